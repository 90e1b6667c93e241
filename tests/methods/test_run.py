"""Answers: each step of each question is computed once, in its slot, and chunks change no byte."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory import methods
from counterfactory.answers.store import gather
from counterfactory.core.errors import UserError
from counterfactory.core.files import read_json, read_table, write_table
from counterfactory.data.dataset import load_dataset, load_split, save_dataset
from counterfactory.methods import Answer
from counterfactory.methods import run as run_module
from counterfactory.methods.batches import answer_questions
from counterfactory.methods.registry import METHODS, Method
from counterfactory.methods.run import Job, answer
from counterfactory.questions.interventions import write_questions

pytest_plugins = ["tests.squares"]

NETWORK = '''
"""A small network with noise: its answers depend on every input, and on the order of sums."""
import numpy as np
import torch
from counterfactory.core.noise import normal
from counterfactory.methods import Answer

def load(name, seed, data, models, settings, device):
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 64, 3, padding=1), torch.nn.GELU(), torch.nn.Conv2d(64, 1, 3, padding=1)
    )

    @torch.no_grad()
    def answer(batch):
        noise = torch.from_numpy(normal(batch.align(batch.seeds), (1, 6, 6), "noise", batch.step))
        x = torch.from_numpy(batch.align(batch.images)).float() / 127.5 - 1
        set_to = batch.align(np.nan_to_num(np.stack(list(batch.do.values()), 1), nan=-1.0).sum(1))
        x = network(torch.cat([x, noise], 1)) + torch.from_numpy(set_to).float()[:, None, None, None] / 100
        images = (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        parents = {name: np.where(np.isnan(batch.do[name]), values, batch.do[name])
                   for name, values in batch.parents.items()}
        return batch.pick(images), parents

    return Answer(answer, network_calls=1)
'''


def register(monkeypatch, name):
    """Adds a method to the registry whose module is not in the package."""
    monkeypatch.setitem(METHODS, name, Method(name))
    monkeypatch.setattr(run_module, "code_hash", lambda *modules: "code")


def chunk_names(count: int, size: int) -> list[str]:
    return [f"{start:06d}-{min(start + size, count):06d}" for start in range(0, count, size)]


@pytest.fixture
def network(tmp_path, monkeypatch):
    """Registers a method `network` and returns its folder."""
    folder = tmp_path / "more_methods"
    folder.mkdir()
    (folder / "network.py").write_text(NETWORK)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "counterfactory.methods.network", raising=False)
    register(monkeypatch, "network")
    return folder


@pytest.fixture
def place(squares, questions_settings):
    """Writes the questions of every suite and returns all folders."""
    place = SimpleNamespace(
        data=squares,
        models=squares.parent / "models",
        questions=squares.parent / "questions",
        answers=squares.parent,
    )
    for suite in ("do", "null", "reverse"):
        write_questions(suite, questions_settings, squares, place.questions / f"{suite}.parquet")
    return place


def answer_all(place, method, suite, chunk_size, batch_size=16, out=None):
    questions = place.questions / f"{suite}.parquet"
    out = out or place.answers / method / f"chunks{chunk_size}"
    for chunk in chunk_names(len(read_table(questions)), chunk_size):
        settings = SimpleNamespace(batch_size=batch_size)
        answer(settings, Job(method, suite, chunk, place.data, place.models, questions, out / suite))
    return gather(out, suite, questions)


@pytest.mark.parametrize("suite", ["do", "null", "reverse"])
def test_chunks_change_no_byte(place, network, suite):
    images, table = answer_all(place, "network", suite, 7)
    others, other_table = answer_all(place, "network", suite, 64)
    assert images.tobytes() == others.tobytes()
    pd.testing.assert_frame_equal(table, other_table)
    assert len(np.unique(images)) > 20


def test_two_processes_change_no_byte(place, network, tmp_path):
    code = """
import sys
from pathlib import Path
from types import SimpleNamespace
from counterfactory import methods
from counterfactory.methods import run
from counterfactory.methods.registry import METHODS, Method
more_methods, data, questions, out, *chunks = sys.argv[1:]
methods.__path__.append(more_methods)
METHODS["network"] = Method("network")
run.code_hash = lambda *modules: "code"
for chunk in chunks:
    job = run.Job("network", "reverse", chunk, Path(data), Path(data), Path(questions), Path(out))
    run.answer(SimpleNamespace(batch_size=16), job)
"""
    folder, questions = tmp_path / "two", place.questions / "reverse.parquet"
    given = [
        sys.executable,
        "-c",
        code,
        str(network),
        str(place.data),
        str(questions),
        str(folder / "reverse"),
    ]
    chunks = chunk_names(len(read_table(questions)), 10)
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(
            lambda names: subprocess.run([*given, *names], check=True), (chunks[::2], chunks[1::2])
        )
        assert len(list(runs)) == 2
    answer_all(place, "network", "reverse", 10, out=tmp_path / "one")
    for chunk in chunks:
        for suffix in (".npy", ".parquet"):
            one, two = (tmp_path / jobs / "reverse" / f"{chunk}{suffix}" for jobs in ("one", "two"))
            assert one.read_bytes() == two.read_bytes()


def test_batch_size_changes_little(place, network):
    few, _ = answer_all(place, "network", "do", 50, batch_size=5)
    many, _ = answer_all(place, "network", "do", 60, batch_size=60)
    apart = np.abs(few.astype(int) - many)
    assert apart.max() <= 1
    assert (apart > 0).mean() <= 1e-3


def run(place, suite, respond, batch_size=8, rows=slice(None)):
    dataset, test = load_dataset(place.data), load_split(place.data, "test")
    questions = read_table(place.questions / f"{suite}.parquet").iloc[rows]
    return questions, test, answer_questions(Answer(respond), questions, dataset, test, batch_size)


@pytest.mark.parametrize("suite", ["do", "null", "reverse"])
def test_asks_every_step_once_and_leaves_the_finished_alone(place, suite):
    def brighter(batch):
        assert batch.images.dtype == np.uint8
        return batch.images + 1, {name: values + 1 for name, values in batch.parents.items()}

    # In a shuffled table questions of one and of many steps share a batch.
    path = place.questions / f"{suite}.parquet"
    shuffled = read_table(path).sample(frac=1, random_state=0)
    write_table(path, shuffled.assign(question=np.arange(len(shuffled))))
    questions, test, (images, parents, made) = run(place, suite, brighter)
    steps = np.array([len(json.loads(text)) for text in questions["steps"]])
    rows = questions["index"].to_numpy()
    assert made == steps.sum()
    assert (images == test.images[rows] + steps.astype(np.uint8)[:, None, None, None]).all()
    for name, values in parents.items():
        assert (values == test.attributes[name].to_numpy()[rows] + steps).all()


def test_a_batch_says_what_is_asked(place):
    seen = []

    def record(batch):
        seen.append(batch)
        return batch.images, batch.parents

    questions, test, _ = run(place, "reverse", record, batch_size=8, rows=slice(5, 50))
    steps = [json.loads(text) for text in questions["steps"]]
    asked = {
        (q, s): action
        for q, actions in zip(questions["question"], steps, strict=True)
        for s, action in enumerate(actions)
    }
    by_row = questions.set_index("seed")
    for batch in seen:
        assert batch.size == 8
        assert (np.diff(batch.slots) > 0).all()
        assert len(batch) == len(batch.images) == len(batch.slots) <= 8
        assert set(batch.do) == set(batch.parents) == {"size", "shade", "kind"}
        for i in range(len(batch)):
            do = {name: values[i] for name, values in batch.do.items() if not np.isnan(values[i])}
            matches = [
                q for q in np.atleast_1d(by_row.loc[batch.seeds[i], "question"]) if q % 8 == batch.slots[i]
            ]
            assert any(asked.pop((q, batch.step), None) == do for q in matches)
            assert batch.rows[i] in np.atleast_1d(by_row.loc[batch.seeds[i], "index"])
            assert (batch.images[i] == test.images[batch.rows[i]]).all()
    assert not asked


def test_align_and_pick():
    empty = np.zeros(3, np.int64)
    batch = methods.Batch(np.zeros((3, 1, 2, 2), np.uint8), {}, {}, empty, empty, np.array([1, 2, 4]), 6, 0)
    values = np.array([[10.0, 11.0], [20.0, 21.0], [40.0, 41.0]])
    aligned = batch.align(values)
    assert aligned[:, 0].tolist() == [10, 10, 20, 10, 40, 10]
    assert (batch.pick(aligned) == values).all()


def test_what_is_not_answered_is_blank_and_not_asked_on(place, monkeypatch):
    asked = []

    def shy(batch):
        asked.extend(batch.seeds)
        kind = np.where(np.isnan(batch.do["kind"]), batch.parents["kind"], np.nan)
        return batch.images, batch.parents | {"kind": kind}

    register(monkeypatch, "shy")
    monkeypatch.setitem(
        sys.modules, "counterfactory.methods.shy", SimpleNamespace(load=lambda **given: Answer(shy))
    )
    images, table = answer_all(place, "shy", "reverse", 100)
    about_kind = table["intervention"] == "kind"
    assert (table["answered"] == ~about_kind).all()
    assert not images[about_kind].any()
    assert images[~about_kind].any(axis=(1, 2, 3)).all()
    assert table["kind"].isna().equals(about_kind)
    counts = pd.Series(asked).value_counts()
    # Once for the question of one cycle and once for that of three.
    assert set(counts[table.loc[about_kind, "seed"].unique()]) == {2}


def test_cost(place, network):
    answer_all(place, "network", "null", 11)
    folder = place.answers / "network" / "chunks11" / "null"
    costs = [read_json(folder / f"{chunk}.cost.json") for chunk in chunk_names(18, 11)]
    assert [cost["questions"] for cost in costs] == [cost["answered"] for cost in costs] == [11, 7]
    assert (
        [cost["images"] for cost in costs] == [cost["network_calls"] for cost in costs] == [9 + 2 * 3, 7 * 3]
    )
    assert all(
        cost["seconds"] > 0 and cost["load_seconds"] > 0 and cost["peak_rss_mb"] > 10 for cost in costs
    )


def test_progress_is_shown(place, capsys):
    answer_all(place, "copy", "null", 18)
    assert "answer copy null 000000-000018  " in capsys.readouterr().err


def test_a_failure_leaves_nothing(place, monkeypatch):
    def broken(batch):
        return batch.images.astype(float), batch.parents

    register(monkeypatch, "broken")
    monkeypatch.setitem(
        sys.modules, "counterfactory.methods.broken", SimpleNamespace(load=lambda **given: Answer(broken))
    )
    with pytest.raises(TypeError, match="must return uint8 .*, not float64"):
        answer_all(place, "broken", "null", 18)
    assert not list(place.answers.glob("broken/**/[!.]*.*"))
    assert not list(place.answers.glob("broken/**/.*.state"))


def test_another_chunk_size_replaces_the_chunks_it_overlaps(place, tmp_path):
    out = tmp_path / "answers"
    answer_all(place, "copy", "null", 6, out=out)
    images, table = answer_all(place, "copy", "null", 4, out=out)
    assert sorted(path.name for path in (out / "null").glob("*.npy")) == [
        f"{c}.npy" for c in chunk_names(18, 4)
    ]
    assert len(list((out / "null").glob("[!.]*"))) == 3 * 5
    assert len(images) == len(table) == 18


def test_gather_refuses_what_does_not_belong(place, tmp_path):
    out, questions = tmp_path / "answers", place.questions / "null.parquet"
    with pytest.raises(UserError, match="contains no answers"):
        gather(out, "null", questions)
    answer_all(place, "copy", "null", 6, out=out)
    table = read_table(questions)
    assert gather(out, "null", table)[1]["question"].tolist() == list(range(18))
    with pytest.raises(UserError, match="not the answers to these 18 questions"):
        gather(out, "null", table.assign(seed=table["seed"] + 1))
    (out / "null" / "000006-000012.npy").unlink()
    with pytest.raises(UserError, match="not the answers to these 18 questions"):
        gather(out, "null", questions)
    (out / "null" / "000006-000012.npy").write_bytes(b"half a file")
    with pytest.raises(UserError, match="000006-000012.npy: cannot be read"):
        gather(out, "null", questions)


@pytest.mark.parametrize(
    ("method", "suite", "chunk", "text"),
    [
        ("copy", "null", "0-7", "0-7: not the name of a chunk"),
        ("copy", "null", "000000-000019", "000000-000019: not a range of the 18 questions"),
        ("copy", "null", "000005-000005", "not a range"),
        ("copy", "do", "000000-000005", "not the questions of suite do"),
        ("copi", "null", "000000-000005", "copi: no such method; did you mean 'copy'"),
        ("registry", "null", "000000-000005", "registry: no such method"),
        ("run", "null", "000000-000005", "run: no such method"),
    ],
)
def test_refuses(place, tmp_path, method, suite, chunk, text):
    settings = SimpleNamespace(batch_size=4)
    with pytest.raises(UserError, match=text):
        answer(
            settings,
            Job(
                method,
                suite,
                chunk,
                place.data,
                place.models,
                place.questions / "null.parquet",
                tmp_path / "out",
            ),
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("suffix", "damage", "text"),
    [
        ("npy", b"", "000006-000012.npy: .*delete it"),
        ("npy", "floats", "000006-000012.npy: contains float64 .*, not uint8"),
        ("npy", "other shape", r"000006-000012.npy: has images \(6, 1, 3, 3\)"),
        ("npy", "fewer", "000006-000012.npy: has images .* for 6 questions"),
        ("npy", "of another method", "000006-000012.npy: not the images of 000006-000012.parquet"),
        ("parquet", b"", "000006-000012.parquet: .*delete it"),
        ("parquet", b"half", "000006-000012.parquet: .*delete it"),
        ("parquet", "no column", "000006-000012.parquet: has no column answered"),
    ],
)
def test_gather_names_the_damaged_file(place, tmp_path, suffix, damage, text):
    out, questions = tmp_path / "answers", place.questions / "null.parquet"
    answer_all(place, "copy", "null", 6, out=out)
    path = out / "null" / f"000006-000012.{suffix}"
    images = {"floats": np.zeros((6, 1, 6, 6)), "other shape": np.zeros((6, 1, 3, 3), np.uint8)}
    images["fewer"] = np.zeros((5, 1, 6, 6), np.uint8)
    images["of another method"] = np.zeros((6, 1, 6, 6), np.uint8)
    if damage == "no column":
        write_table(path, read_table(path).drop(columns="answered"))
    elif isinstance(damage, str):
        np.save(path, images[damage])
    else:
        path.write_bytes(damage)
    with pytest.raises(UserError, match=text) as error:
        gather(out, "null", questions)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("steps", ["", "{", "5", '{"size": 1}', "[1]"])
def test_questions_without_valid_steps_are_refused(place, steps):
    path = place.questions / "null.parquet"
    table = read_table(path)
    write_table(path, table.assign(steps=[steps, *table["steps"][1:]]))
    with pytest.raises(UserError, match="null.parquet: column steps: not a JSON list of interventions"):
        answer_all(place, "copy", "null", 18)


@pytest.mark.slow
def test_a_large_chunk_takes_little_memory_and_few_files(place, tmp_path):
    rng, count = np.random.default_rng(0), 200_000
    (tmp_path / "test").mkdir()
    np.save(tmp_path / "test" / "images.npy", rng.integers(0, 256, (1000, 1, 28, 28), np.uint8))
    size, shade, kind = rng.uniform(1, 4, 1000), rng.uniform(50, 200, 1000), rng.integers(0, 3, 1000)
    attributes = pd.DataFrame({"index": range(1000), "size": size, "shade": shade, "kind": kind})
    write_table(tmp_path / "test" / "attributes.parquet", attributes)
    save_dataset(tmp_path, replace(load_dataset(place.data), shape=(1, 28, 28)))
    table = pd.DataFrame({"question": np.arange(count), "suite": "do", "index": np.arange(count) % 1000})
    table = table.assign(intervention="size", protocol="marginal", cycles=1, seed=np.arange(count))
    write_table(
        tmp_path / "do.parquet", table.assign(steps=[f'[{{"size": {v}}}]' for v in rng.random(count)])
    )
    code = """
import sys
from pathlib import Path
from types import SimpleNamespace
from counterfactory.methods.run import Job, answer
home = Path(sys.argv[1])
job = Job("copy", "do", "000000-200000", home, home, home / "do.parquet", home / "out")
answer(SimpleNamespace(batch_size=100), job)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cost = read_json(tmp_path / "out" / "000000-200000.cost.json")
    assert cost["answered"] == count
    # Not peak_rss_mb, which includes the memory of this process at the time of the fork.
    assert int(peak) / 1024 < 300

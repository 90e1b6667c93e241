"""Answers to the suite flip: columns of an explainer, images that it omits, and resuming after a kill."""

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.answers.store import gather
from counterfactory.core.errors import MissingWeights
from counterfactory.core.files import read_json, read_table
from counterfactory.data.dataset import load_split
from counterfactory.methods import run as answers
from counterfactory.methods.registry import METHODS, Method
from counterfactory.methods.run import Job, answer
from counterfactory.questions.flip import write_questions

pytest_plugins = ["tests.squares"]

ATTRIBUTES = {
    "big": SimpleNamespace(of="size", above=2.5),
    "bright": SimpleNamespace(of="shade", above=150.0),
}


class Explainer:
    """Inverts images about `big`, leaves those about `bright` unanswered, and records its questions."""

    columns = {"answered": bool, "reached": bool, "network_calls": float}

    def __init__(self) -> None:
        self.batches = []
        self.kill_after = None

    def __call__(self, batch):
        if self.kill_after == len(self.batches):
            raise KeyboardInterrupt
        self.batches.append(batch)
        known = batch.attribute == "big"
        images = np.where(known[:, None, None, None], 255 - batch.images, batch.images)
        calls = np.where(known, batch.seeds % 7, np.nan).astype(float)
        more = {"answered": known, "reached": known & (batch.target == 1), "network_calls": calls}
        return images, {name: np.full(len(batch), np.nan) for name in batch.parents}, more


@pytest.fixture
def place(squares, questions_settings, monkeypatch):
    questions_settings.flip = SimpleNamespace(
        images=30, attributes=["big", "bright"], targets={}, repeats=1, repeat_images=0
    )
    models = squares.parent / "models"
    (models / "ddpm" / "seed0").mkdir(parents=True)
    (models / "ddpm" / "seed0" / "model.safetensors").write_bytes(b"weights")
    place = SimpleNamespace(
        data=squares,
        models=models,
        questions=squares.parent / "questions" / "flip.parquet",
        out=squares.parent / "answers" / "explainer" / "flip",
        respond=Explainer(),
        settings=SimpleNamespace(batch_size=8, explainer=SimpleNamespace(images=None)),
    )
    write_questions("flip", questions_settings, squares, place.questions, ATTRIBUTES)
    module = SimpleNamespace(load=lambda **given: place.respond)
    monkeypatch.setitem(sys.modules, "counterfactory.methods.explainer_here", module)
    monkeypatch.setitem(
        METHODS,
        "explainer_here",
        Method("Explainer", models=("ddpm",), section="explainer_here", suites=("flip",)),
    )
    monkeypatch.setattr(answers, "code_hash", lambda *modules: "code")
    return place


def run(place, chunk="000000-000060", **changes):
    own = SimpleNamespace(**{"images": None, **changes})
    place.settings = SimpleNamespace(batch_size=8, explainer_here=own)
    job = Job("explainer_here", "flip", chunk, place.data, place.models, place.questions, place.out)
    answer(place.settings, job)


def test_what_is_answered_and_what_is_added(place):
    run(place)
    images, table = gather(place.out.parent, "flip", place.questions)
    big = (table["attribute"] == "big").to_numpy()
    assert (table["answered"].to_numpy() == big).all()
    assert table["answered"].dtype == bool
    assert table["reached"].dtype == bool
    factual = load_split(place.data, "test").images[table["index"]]
    assert (images[big] == 255 - factual[big]).all()
    assert not images[~big].any()
    assert table[["size", "shade", "kind"]].isna().all(axis=None)
    assert (table["network_calls"].isna() == ~big).all()
    cost = read_json(place.out / "000000-000060.cost.json")
    assert cost["network_calls"] == table["network_calls"].sum()
    assert (cost["questions"], cost["answered"], cost["images"]) == (60, 30, 60)


def test_the_batch_says_what_is_to_be_flipped(place):
    run(place)
    table = read_table(place.questions)
    for name in ("attribute", "label", "target"):
        assert np.concatenate([getattr(batch, name) for batch in place.respond.batches]).tolist() == (
            table[name].tolist()
        )


def test_only_the_first_images_may_be_answered(place):
    run(place, images=7, chunk="000000-000010")
    run(place, images=7, chunk="000010-000060")
    table = read_table(place.questions)
    first = table["index"].isin(table["index"].unique()[:7]).to_numpy()
    assert first.sum() == 14
    _, found = gather(place.out.parent, "flip", place.questions)
    assert (found["answered"] == first & (table["attribute"] == "big")).all()
    assert found["reached"].dtype == bool
    assert sum(len(batch) for batch in place.respond.batches) == 14


def test_a_killed_chunk_goes_on_behind_its_last_batch(place):
    run(place)
    whole = {
        path.name: path.read_bytes() for path in place.out.iterdir() if path.suffix in (".npy", ".parquet")
    }
    calls = read_json(place.out / "000000-000060.cost.json")["network_calls"]
    shutil.rmtree(place.out)

    place.respond = Explainer()
    place.respond.kill_after = 3
    with pytest.raises(KeyboardInterrupt):
        run(place)
    assert not [path for path in place.out.iterdir() if path.is_file()]
    # Two files, independent of the number of finished batches.
    assert len(list((place.out / ".000000-000060.state").iterdir())) == 2
    place.respond = Explainer()
    run(place)
    assert len(place.respond.batches) == 8 - 3
    assert {name: (place.out / name).read_bytes() for name in whole} == whole
    cost = read_json(place.out / "000000-000060.cost.json")
    assert cost["network_calls"] == calls
    assert cost["images"] == 60
    assert not (place.out / ".000000-000060.state").exists()


@pytest.mark.parametrize("change", ["weights", "settings", "code", "questions", "images", "table", "none"])
def test_a_state_of_something_else_is_not_taken_up(place, monkeypatch, change):
    place.respond.kill_after = 3
    with pytest.raises(KeyboardInterrupt):
        run(place)
    settings, redone = {}, 8
    if change == "weights":
        (place.models / "ddpm" / "seed0" / "model.safetensors").write_bytes(b"others")
    elif change == "settings":
        settings = {"start_step": 3}
    elif change == "code":
        monkeypatch.setattr(answers, "code_hash", lambda *modules: "other code")
    elif change == "questions":
        table = read_table(place.questions)
        table.assign(seed=table["seed"] + 1).to_parquet(place.questions)
    elif change == "images":
        path = place.out / ".000000-000060.state" / "images.npy"
        content = bytearray(path.read_bytes())
        content[200] ^= 1
        path.write_bytes(content)
    elif change == "table":
        (place.out / ".000000-000060.state" / "answers.npz").write_bytes(b"half")
    else:
        redone = 8 - 3
    place.respond = Explainer()
    run(place, **settings)
    assert len(place.respond.batches) == redone


def test_chunks_change_no_byte(place):
    run(place)
    images, table = gather(place.out.parent, "flip", place.questions)
    for chunk in ("000000-000013", "000013-000060"):
        run(place, chunk)
    others, other_table = gather(place.out.parent, "flip", place.questions)
    assert images.tobytes() == others.tobytes()
    pd.testing.assert_frame_equal(table, other_table)


def test_weights_that_are_missing_leave_the_questions_unanswered(place, monkeypatch, capsys):
    def load(**given):
        raise MissingWeights("answers.vgg19_weights: 'away.pth' is not a file; put it there, or name another")

    module = SimpleNamespace(load=load)
    monkeypatch.setitem(sys.modules, "counterfactory.methods.explainer_here", module)
    run(place)
    images, table = gather(place.out.parent, "flip", place.questions)
    assert not table["answered"].any() and not images.any()
    assert table["reason"].str.startswith("answers.vgg19_weights: 'away.pth' is not a file").all()
    lines = [line for line in capsys.readouterr().err.splitlines() if "away.pth" in line]
    assert lines == [
        "answer explainer_here flip 000000-000060: not answered: answers.vgg19_weights: 'away.pth' is not a file; "
        "put it there, or name another"
    ]
    assert read_json(place.out / "000000-000060.cost.json")["answered"] == 0
    # When the weights exist, the same chunk is answered.
    monkeypatch.setitem(
        sys.modules,
        "counterfactory.methods.explainer_here",
        SimpleNamespace(load=lambda **given: place.respond),
    )
    (place.models / "ddpm" / "seed0" / "model.safetensors").write_bytes(b"other weights")
    run(place)
    assert gather(place.out.parent, "flip", place.questions)[1]["answered"].sum() == 30


def test_images_left_out_say_so(place):
    run(place, images=4)
    table = gather(place.out.parent, "flip", place.questions)[1]
    assert table["reason"].tolist() == [""] * 8 + ["the method answers fewer images"] * 52

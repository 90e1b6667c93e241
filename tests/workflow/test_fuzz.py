"""Every file of a finished run, damaged in every way: the steps that read it succeed or print one line.

The run is :mod:`tests.workflow.tiny`. Configuration values are in `tests/config/test_every_leaf.py`, hostile files of
others in `tests/pretrained/test_hostile_files.py`.
"""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.workflow import tiny

# A valid start of another format, or bytes that are no text.
OTHER_TYPE = {
    ".parquet": b"[1, 2]\n",
    ".npy": b"PAR1" + bytes(60) + b"PAR1",
    ".json": b"[1, 2]\n",
    ".csv": b"\x00\x01\xff" * 50,
    ".safetensors": b'{"a": 1}',
    ".svg": b"\xff\xfe",
}
# Files whose damage is reported as a warning: they are by-products, and the step does without them.
BY_PRODUCTS = (".cost.json", ".svg", "log.csv")
SLOW = {
    "figures",
    "tables",
    "report",
}  # steps of more than a second: they get one damage of each kind of file
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(tiny_run, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder / tiny.RESULTS


def damages(path, files):
    """Yields names and contents of damaged versions of a file."""
    data = path.read_bytes()
    yield "cut short", data[: len(data) // 2]
    yield "empty", b""
    yield "of another type", OTHER_TYPE[path.suffix]
    others = [one for one in files if one.suffix == path.suffix and one.read_bytes() != data]
    # Another file of the same name first, then one of the same format only.
    others.sort(key=lambda one: one.name != path.name)
    for other in dict.fromkeys(others[:1] + others[-1:]):
        yield f"swapped with {other.parent.name}/{other.name}", other.read_bytes()


@pytest.mark.parametrize("part", ["data", "questions", "models", "answers", "scores", "tables", "figures"])
def test_damaged_files_are_one_line(finished, tmp_path, capfd, part):
    files = [path for path in finished.rglob("*") if path.is_file() and path.suffix in OTHER_TYPE]
    files = sorted(path for path in files if not any(name.startswith(".") for name in path.parts))
    seen, tried = set(), 0
    judges = Counter()
    for path in [path for path in files if path.relative_to(finished).parts[0] == part]:
        name, times = str(path.relative_to(finished)), path.stat()
        versions = list(damages(path, files))
        if name.startswith("models/judges/"):
            # The judges of all variables are alike: each damage of a file is tried with one of them.
            versions = versions[judges[path.name] :: len(tiny.VARIABLES)]
            judges[path.name] += 1
        for kind, content in versions:
            for step in tiny.readers(name):
                words = [*step, tiny.chunk(step[2])] if step[0] == "answer" else list(step)
                # Slow steps once for each kind of file and damage.
                case = (step[0], path.suffix, part, kind.split()[0], path.parent.name in ("seed0", part))
                if step[0] in SLOW and case in seen:
                    continue
                seen.add(case)
                original = path.read_bytes()
                path.write_bytes(content)
                try:
                    status = tiny.run(*words, "--out", output(tmp_path, step[0]))
                finally:
                    path.write_bytes(original)
                    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
                said = capfd.readouterr().err
                lines = [line for line in said.splitlines() if line.startswith("counterfactory ")]
                here = f"{name} {kind}: {' '.join(words)}: {said[-500:]}"
                assert (status, len(lines)) in ((0, 0), (1, 1), (2, 1)), here
                assert "Traceback" not in said and all(len(line) < 600 for line in lines), here
                assert not lines or Path(name).parent.name in lines[0] or path.stem in lines[0], here
                tried += 1
    assert tried >= 4


def output(folder, command):
    """Returns a new path for the output of a step, so that the finished run stays as it is."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    names = {"questions": "x.parquet", "score": "x.parquet", "summarise": "x.csv", "report": "x.html"}
    return folder / "out" / names.get(command, "x")


def train(model):
    return tiny.run("train", model, "--out", f"again/{model}")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x80\x04N."])
def test_a_damaged_training_state_is_started_afresh(finished, content):
    folder = Path("again") / "vae"
    (folder / ".state").mkdir(parents=True, exist_ok=True)
    (folder / ".state" / "state.pt").write_bytes(content)
    assert train("vae") == 0 and (folder / "model.safetensors").is_file()
    assert not (folder / ".state").exists()


@pytest.mark.parametrize(
    ("one", "other", "step", "said"),
    [
        (
            "models/judges/angle",
            "models/judges/light",
            ("score", "effectiveness", "copy"),
            "contains the model judge of light, not judge of angle",
        ),
        ("models/oracle", "models/classifier/seed0", ("score", "flip", "copy"), "contains the model oracle"),
        (
            "answers/vae/seed0",
            "answers/truth/seed0",
            ("score", "axioms", "vae"),
            "has answers of truth/seed0",
        ),
        ("scores/flip", "scores/axioms", tiny.SUMMARISE, "has the scores of the metric flip"),
    ],
    ids=["judges", "models", "methods", "metrics"],
)
def test_swapped_folders_are_noticed(finished, tmp_path, capfd, one, other, step, said):
    def swap():
        (finished / one).rename(tmp_path / "aside")
        (finished / other).rename(finished / one)
        (tmp_path / "aside").rename(finished / other)

    swap()
    try:
        status = tiny.run(*step, "--out", output(tmp_path, step[0]))
    finally:
        swap()
    line = capfd.readouterr().err.splitlines()[-1]
    assert status == 1 and said in line

"""Every script in `benchmarks/` runs to its end, at the smallest sizes, on one finished run of Pendulum."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterfactory.cli import main
from counterfactory.data import sources
from counterfactory.data.dataset import save_split
from counterfactory.metrics.summary import COLUMNS
from tests.data.samples import strokes

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "benchmarks"
HELPERS = {"finished.py", "quality_figure.py", "training_cost.py"}
CONFIG = """
results: results
dataset: pendulum
device: cpu
methods: [copy, vae, hvae, causaldiffae, dime, truth]
data: {train: 80, valid: 20, judges: 80, test: 20, image_size: 16}
scm: {steps: 4, hidden: [4]}
judges: {training: &brief {steps: 2, batch_size: 16, warmup: 1, valid_every: 2}}
oracle: {training: *brief}
identity: {renderings: 1, training: *brief}
attributes:
  thick: null
  bright: null
  slanted: null
  wide: null
  tall: null
  long: null
  large: null
  right: {of: angle, above: 2.0}
  low: {of: light, above: 100.0}
models:
  vae: {network: {channels: 4, hidden: 8, latent: 2, exposure: []}, training: *brief}
  hvae:
    network: {resolutions: [8, 4, 1], widths: [4, 4, 4], encoder_blocks: [1, 1, 1], decoder_blocks: [1, 1, 1],
      latents: [2, 2, 2], exposure: []}
    training: *brief
  causaldiffae: {network: {width: 8, multipliers: [1, 2], exposure: []}, training: *brief}
  ddpm: {network: {width: 8, multipliers: [1, 2]}, training: *brief}
  classifier: {network: {width: 8, halvings: 2}, training: *brief}
questions:
  do: {images: 4, interventions: [angle, light, shadow_length, shadow_position], protocols: [marginal]}
  null: {images: 3, cycles: [1, 2]}
  reverse: {images: 0, interventions: [angle]}
  sweep: {images: 0}
  flip: {images: 4, attributes: [right], targets: {}, repeats: 1, repeat_images: 0}
answers:
  batch_size: 10
  causaldiffae: {steps: 3}
  dime: &short {timestep_respacing: 6, start_step: 3, batch_size: 8, perceptual: none, classifier_scales: [1.0]}
  fastdime: {<<: *short, warmup_mask: 1}
  dime_x: {timestep_respacing: 6, start_step: 3, batch_size: 8, perceptual: none, stop_step: 1, restart_step: 2}
scores: {metrics: [axioms]}
"""
MODELS = ["scm", "vae", "hvae", "causaldiffae", "ddpm", "classifier", "oracle", "identity"]
VARIABLES = ["angle", "light", "shadow_length", "shadow_position"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "config.yaml").write_text(CONFIG)
    results = folder / "results" / "pendulum"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        commands = [["synthesise"], ["questions", "do"], ["questions", "null"]]
        commands += [["train", name] for name in [*MODELS, *(f"judges/{name}" for name in VARIABLES)]]
        for command in commands:
            assert main(command) == 0, command
        for suite in ("do", "null"):
            count = len(pd.read_parquet(results / "questions" / f"{suite}.parquet"))
            assert main(["answer", "truth", suite, f"000000-{count:06d}"]) == 0
    return folder


@pytest.fixture
def in_run(finished, monkeypatch):
    """Makes the folder of the run the working folder."""
    monkeypatch.chdir(finished)


@pytest.fixture
def bench(monkeypatch, capsys):
    """Returns a function that runs a script in this process and returns its output."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def run(script, *words):
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        capsys.readouterr()
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        return capsys.readouterr().out

    return run


def rows(output):
    """Returns the rows of the Markdown tables of an output, without headers."""
    lines = [line for line in output.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if not set(line) <= set("|-: ") and not (following and set(following) <= set("|-: "))
    ]


def test_every_script_is_tested():
    text = Path(__file__).read_text()
    scripts = {path.name for path in SCRIPTS.glob("*.py")} - HELPERS
    assert scripts == set(re.findall(r'(?:bench|script)\("(\w+\.py)"', text))


def test_abduction(in_run, bench):
    found = rows(bench("abduction.py", "--images", 2))
    assert len(found) == 4 and all(float(cell) >= 0 for row in found for cell in row[1:])


def test_corrections(in_run, bench, finished):
    words = ["--results", finished / "results" / "pendulum", "--model", "vae", "--images", 4, "--train", 8]
    lines = bench("corrections.py", *words, "--cycles", 2).splitlines()
    # Without a variable that acts as exposure: nothing, the bias of the latents, a transport without shrinkage,
    # one with the default, and both corrections.
    variants = ["none", "debias", "transport + shrunk by 0", "transport", "transport + debias"]
    assert [line.split(":")[0] for line in lines[1:]] == [name for name in variants for _ in VARIABLES]
    assert all("do(" in line and "L1" in line and "back" in line for line in lines[1:])


def test_leakage(in_run, bench, finished):
    words = ["--results", finished / "results" / "pendulum", "--model", "vae", "--images", 4, "--train", 40]
    lines = bench("leakage.py", *words).splitlines()
    assert [line.split(":")[0] for line in lines] == list(VARIABLES)
    assert all("chance 0.000" in line and line.count("error") == 2 for line in lines)


def test_dials(in_run, bench, tmp_path):
    words = ["--images", 2, "--steps", 2, "--guidance", 0.5, 1, "--stickiness", 0.5, 1, "--out", tmp_path]
    found = rows(bench("dials.py", *words))
    assert len(found) == 2 * len(VARIABLES) + 2
    assert (tmp_path / "dial_guidance.svg").exists() and (tmp_path / "dial_stickiness.png").exists()


@pytest.mark.parametrize("split", ["test", "valid"])
def test_explanations(in_run, bench, split):
    found = rows(bench("explanations.py", "--images", 3, "--split", split))
    assert [row[:2] for row in found] == [[name, "right"] for name in ("dime", "fastdime", "dime_x")]


def test_labels(in_run, bench, tmp_path):
    words = ["--shares", 0.5, 1, "--steps", 2, "--images", 2, "--out", tmp_path]
    found = rows(bench("labels.py", *words))
    assert len(found) == 2 * len(VARIABLES) and (tmp_path / "limited_labels.svg").exists()
    # Trained models are kept.
    assert rows(bench("labels.py", *words)) == found


def test_quality(in_run, bench, tmp_path):
    table, figure, other = tmp_path / "quality.csv", tmp_path / "quality.svg", tmp_path / "other.yaml"
    other.write_text("models: {vae: {network: {latent: 3}}}")
    words = ["--methods", "vae", "--minutes", 1e-6, 0.05, 0.07, "--images", 2, "--csv", table]
    words += ["--recipe", "ours", f"other={other}", "--batch-size", "other=8"]
    found = rows(bench("quality.py", *words))
    assert [row[:3] for row in found] == [
        [recipe, "vae", minutes]
        for minutes in ("0.05", "0.07")
        for recipe in ("ours", "other")
        for _ in VARIABLES
    ]
    assert {row[5] for row in found} == {f"do({name})" for name in VARIABLES}
    frame = pd.read_csv(table)
    references = frame[frame["recipe"] == "reference"]
    assert set(references["method"]) == {"copy", "truth"} and (references["steps"] == 0).all()
    assert (
        references.loc[(references["method"] == "truth") & (references["score"] == "l1"), "value"] == 0
    ).all()
    assert (frame.loc[frame["recipe"] == "other", "batch_size"] == 8).all()
    # Another method extends the table: of both phases of the GAN, and of explanations. What is there is not repeated.
    words = ["--methods", "vae", "gan", "fastdime", "--minutes", 0.05, "--images", 2, "--explained", 3]
    found = rows(bench("quality.py", *words, "--csv", table, "--figure", figure))
    assert [row[1] for row in found] == ["gan"] * len(VARIABLES) + ["fastdime"]
    assert found[-1][5] == "flip(right)"
    longer = pd.read_csv(table)
    assert longer.iloc[: len(frame)].equals(frame) and len(longer) > len(frame)
    assert "CPU minutes" in figure.read_text() and "sound answers" in figure.read_text()
    kept = table.read_bytes()
    assert bench("quality.py", *words, "--csv", table) == "" and table.read_bytes() == kept


def test_quality_refuses_a_recipe_that_changes_nothing(in_run, bench, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("models: {hvae: {training: {steps: 3}}}")
    words = ["--methods", "vae", "--recipe", f"other={other}", "--csv", tmp_path / "quality.csv"]
    with pytest.raises(SystemExit, match="does not change models.vae"):
        bench("quality.py", *words)


def test_variation(in_run, bench):
    words = ["--methods", "vae", "--images", 2, "--seeds", 0, 1, "--precision", "float32", "bfloat16"]
    found = rows(bench("variation.py", *words, "--threads", 1, 2))
    trainings = [("0", "float32", "1"), ("1", "float32", "1"), ("0", "bfloat16", "1"), ("0", "float32", "2")]
    assert [tuple(row[1:4]) for row in found] == [one for one in trainings for _ in VARIABLES]
    assert {row[5] for row in found} == {f"do({name})" for name in VARIABLES}
    # Another seed is another network; the reference is not changed by what follows it.
    assert found[0][6:] != found[len(VARIABLES)][6:]


def test_training_spread(finished, bench, monkeypatch, tmp_path):
    shutil.copytree(finished / "results", tmp_path / "results")
    shutil.copy(finished / "config.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    key = ["pendulum", "vae", 0, "do", "angle", "marginal", 1, "predicted_angle", 0.0, 0.0, 0.0, 4, ""]
    table = pd.DataFrame([key] * 3, columns=COLUMNS)
    table["seed"], table["value"] = [0, 1, 2], [1.0, 2.0, 6.0]
    (tmp_path / "results" / "pendulum" / "scores").mkdir(exist_ok=True)
    table.to_csv(tmp_path / "results" / "pendulum" / "scores" / "scores.csv", index=False)
    words = ["--machine", "two cores", "--command", "make run"]
    [found] = rows(bench("training_spread.py", *words, "--out", tmp_path / "released"))
    assert found == ["VAE", "3.000 ± 2.646"]
    assert "two cores" in (tmp_path / "released" / "pendulum.yaml").read_text()
    # The trainings of this run are not the default ones, so the package is not changed.
    with pytest.raises(SystemExit):
        bench("training_spread.py", *words)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The folder of as many images as MNIST has."""
    folder = tmp_path_factory.mktemp("digits")
    np.save(folder / "images.npy", np.tile(strokes(50), (1400, 1, 1)))
    np.save(folder / "labels.npy", (np.arange(70_000) % 10).astype(np.uint8))
    return folder


def test_judges(bench, digits, tmp_path, monkeypatch):
    stand_in = sources.Digits(*(np.load(digits / f"{name}.npy") for name in ("images", "labels")))
    monkeypatch.setattr(sources, "load_digits", lambda source: stand_in)
    words = ["--config", ROOT / "config.yaml", ROOT / "workflow" / "presets" / "paper.yaml"]
    words += ["--judges", "thickness", "--steps", 2, "--images", 400, "--test", 20, "--out", tmp_path]
    [found] = rows(bench("judges.py", *words))
    assert found[0] == "thickness" and float(found[5]) > 0
    # The data and the judge are kept.
    assert rows(bench("judges.py", *words)) == [found]


def test_morphology(bench, digits):
    output = bench("morphology.py", "--digits", digits, "--images", 25, "--rounds", 1, "--threads", 1)
    assert all(f"{name}: " in output and f"{name}, 1 threads: " in output for name in ("render", "measure"))


def test_rendering_reuse(bench, digits, tmp_path):
    frame = {"index": [0, 1], "source": [3, 8], "thickness": [2.5, 3.0], "intensity": [120.0, 200.0]}
    save_split(tmp_path, "test", np.zeros((2, 1, 32, 32), np.uint8), pd.DataFrame(frame))
    (tmp_path / "digits").symlink_to(digits)
    output = bench("rendering_reuse.py", "--data", tmp_path, "--images", 2, "--values", 2, "--rounds", 1)
    assert output.startswith("8 questions of 2 images, equal images")


def test_training(bench):
    output = bench("training.py", "--images", 32, "--rounds", 1)
    assert "vae ours, bfloat16, batch 256: " in output and "hvae ours, batch 32: " in output
    output = bench("training.py", "--curve", 32)
    assert output.splitlines()[-1].split()[0] == "32"


def script(name, *words, cwd):
    """Runs a script in its own process and returns its last line, JSON."""
    command = [sys.executable, str(SCRIPTS / name), *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_slices(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    over = tmp_path / "over.yaml"
    over.write_text(CONFIG)
    words = ["--preset", "smoke", "--config", over, "--folder", tmp_path, "--cores", 1, "--minutes", 9]
    found = script("slices.py", *words, "--", "results/pendulum/data/dataset.json", cwd=ROOT)
    assert found["finished"] and found["trainings"] == {}


def test_workflow(tmp_path):
    assert script("workflow.py", 2, cwd=tmp_path)["what"] == "local"

"""Imported models in the workflow: nothing but the parents is trained, and every suite is answered."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.core.files import read_json
from counterfactory.models.classifier.network import ClassifierNetwork
from tests import published_states
from tests.published_states import UNET
from tests.workflow import tiny
from tests.workflow.test_workflow import plan

pytest_plugins = ["tests.workflow.test_workflow"]

VARIABLES = ("angle", "light", "shadow_length", "shadow_position")
CLASSIFIER = {"architecture": "counterfactory", "outputs": "right", "pixels": "[-1, 1]"}
CONFIG = """
results: results
dataset: pendulum
methods: [copy, hvae, dime, truth]
device: cpu
data: {train: 60, valid: 10, judges: 20, test: 10, image_size: 16}
scm: {steps: 6, hidden: [8]}
judges: {training: {batch_size: 16}}
attributes: {thick: null, bright: null, slanted: null, wide: null, tall: null, long: null, large: null,
  right: {of: angle, above: 2.0}}
models:
  hvae: {weights: hvae.pt}
  ddpm: {weights: ddpm.pt, options: {num_heads: 4, use_new_attention_order: false, predict_xstart: false,
    diffusion_steps: 50, noise_schedule: linear}}
  classifier: {weights: classifier.pt, options: {architecture: counterfactory, outputs: right, pixels: "[-1, 1]"}}
questions:
  do: {images: 3, interventions: [angle]}
  null: {images: 2, cycles: [1]}
  reverse: {images: 2, interventions: [angle], cycles: [1]}
  sweep: {images: 0}
  flip: {images: 3, attributes: [right], targets: {}, repeats: 1, repeat_images: 1}
answers: {chunk_size: 20, chunks: 1, batch_size: 10,
  dime: {perceptual: none, timestep_respacing: 10, start_step: 3, classifier_scales: [2.0]}}
scores: {metrics: [axioms], bootstrap: {resamples: 20}}
"""


def write_checkpoints(folder: Path) -> None:
    """Writes random weights in the published formats."""
    torch.save(published_states.hvae(3, 16, 4, VARIABLES), folder / "hvae.pt")
    torch.save(published_states.unet(3, 16)[1], folder / "ddpm.pt")
    torch.save(classifier().state_dict(), folder / "classifier.pt")


def classifier(images: np.ndarray | None = None) -> ClassifierNetwork:
    """Returns a random classifier; of given images, uint8, it assigns half to each class."""
    torch.manual_seed(0)
    network = ClassifierNetwork(3, 1, width=4, halvings=2, features=8).eval()
    if images is not None:
        with torch.no_grad():
            network.head.bias -= network(torch.from_numpy(images) / 127.5 - 1).median()
    return network


def images_of(method: str, suite: str) -> np.ndarray:
    found = sorted((tiny.RESULTS / "answers" / method / "seed0" / suite).glob("*.npy"))
    return np.concatenate([np.load(path) for path in found])


@pytest.mark.slow
def test_only_the_parents_are_trained_and_every_suite_is_answered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_checkpoints(tmp_path)
    Path("tiny.yaml").write_text(CONFIG)

    def step(*words: object) -> None:
        assert tiny.run(*words) == 0, words

    step("synthesise")
    test = np.load(tiny.RESULTS / "data" / "test" / "images.npy")
    torch.save(classifier(test).state_dict(), "classifier.pt")
    step("train", "scm")
    step("import", "hvae.pt", "--as", "hvae")
    for model, options in (("ddpm", UNET), ("classifier", CLASSIFIER)):
        step("import", f"{model}.pt", "--as", model, "--options", json.dumps(options))
    suites = ("do", "null", "reverse", "flip")
    for suite in suites:
        step("questions", suite)
        step("answer", "hvae", suite, tiny.chunk(suite))
    step("answer", "dime", "flip", tiny.chunk("flip"))

    models = tiny.RESULTS / "models"
    assert {path.name for path in models.iterdir()} == {"scm", "hvae", "ddpm", "classifier"}
    for name in ("hvae", "ddpm", "classifier"):
        assert read_json(models / name / "seed0" / "model.json")["imported"]["file"] == f"{name}.pt"
        assert not (models / name / "seed0" / "log.csv").exists()
    for suite in suites:
        questions = pd.read_parquet(tiny.RESULTS / "questions" / f"{suite}.parquet")
        answers = images_of("hvae", suite)
        assert len(answers) == len(questions) and answers.dtype == np.uint8
        factual = test[questions["index"]]
        # With the whole residual, the empty intervention returns the image, whatever the weights are.
        if suite == "null":
            assert np.abs(answers.astype(int) - factual).max() <= 1
        elif suite == "do":
            assert (answers != factual).any()
    questions = pd.read_parquet(tiny.RESULTS / "questions" / "flip.parquet")
    explained = images_of("dime", "flip")
    assert len(explained) == len(questions)
    assert (explained != test[questions["index"]]).any()


def test_the_workflow_trains_no_imported_model(folder):
    write_checkpoints(folder)
    (folder / "tiny.yaml").write_text(CONFIG)
    every = plan(folder, "--configfile", folder / "tiny.yaml")[1]
    rules = {
        name.split("/models/")[1].rpartition("/")[0]: rule
        for name, rule in every.items()
        if name.endswith("model.json")
    }
    assert rules == {
        "scm/seed0": "train",
        **{f"{name}/seed0": "import_model" for name in ("hvae", "ddpm", "classifier")},
    }


def test_a_method_of_imported_models_only_is_answered_once(folder):
    """Several training seeds of given weights would be the same answers, counted as several trainings."""
    write_checkpoints(folder)
    (folder / "tiny.yaml").write_text(CONFIG + "seeds: [1, 2]\n")
    every = plan(folder, "--configfile", folder / "tiny.yaml")[1]

    def seeds(method: str) -> set[str]:
        return {name.split("/")[4] for name in every if f"/answers/{method}/" in name}

    assert seeds("dime") == {"seed1"}
    assert seeds("hvae") == {"seed1", "seed2"}  # the mechanisms of the parents are trained twice
    assert seeds("copy") == {"seed0"}

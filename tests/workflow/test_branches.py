"""Parts of the workflow that the default run does not have: Pendulum, fine-tuning, the diffusion autoencoder."""

import pandas as pd
import pytest

from counterfactory.core.files import read_table
from tests.workflow.test_workflow import PRESETS, plan, snakemake

pytest_plugins = ["tests.workflow.test_workflow"]

PENDULUM = ["--configfile", PRESETS / "pendulum.yaml"]
TINY = """
results: results
methods: [copy, vae, vae_ft, causaldiffae, truth]
data: {train: 300, valid: 60, judges: 200, test: 40, image_size: 16}
scm: {steps: 30, hidden: [8]}
judges: {training: {steps: 20, batch_size: 32, valid_every: 10}}
models:
  vae: {training: {steps: 20, batch_size: 32, valid_every: 10}}
  hvae: {network: {resolutions: [8, 4, 2, 1]}}
  vae_ft: {training: {steps: 6, batch_size: 16, valid_every: 3}}
  causaldiffae:
    network: {width: 8, multipliers: [1, 2]}
    training: {steps: 10, batch_size: 16, valid_every: 5}
questions:
  do: {images: 4}
  null: {images: 3, cycles: [1, 2]}
  reverse: {images: 2, cycles: [1]}
  sweep: {images: 1, values: 2}
  flip: {images: 0}
answers: {chunk_size: 20, batch_size: 10, causaldiffae: {steps: 3}}
scores: {metrics: [effectiveness, measured, axioms, truth], bootstrap: {resamples: 20}}
"""


def test_pendulum_needs_no_digits(folder):
    every = plan(folder, *PENDULUM)[1]
    assert "digits" not in every.values() and "synthesise" in every.values()
    results = "results/pendulum/pendulum"
    assert {
        f"{results}/models/judges/{name}/model.safetensors" for name in ("angle", "shadow_length")
    } <= set(every)
    assert not any("/idx/" in name for name in every)


def test_fine_tuning_is_there_only_if_asked_for(folder):
    preset = ["--configfile", PRESETS / "smoke.yaml", "--config"]
    few = plan(folder, *preset, "methods=[copy, vae, truth]")[1]
    assert not any(part in name for name in few for part in ("/models/vae_ft/", "/models/predictors/"))
    assert not any("/scores/dci/" in name for name in few)  # no method here has codes
    switched = plan(folder, *preset, "methods=[copy, vae, truth]", "finetune=true")[1]
    assert all(any(part in name for name in switched) for part in ("/models/vae_ft/", "/models/predictors/"))
    assert any("/answers/vae_ft/" in name for name in switched)
    every = plan(folder, *preset, "methods=[copy, vae_ft, causaldiffae, truth]")[1]
    assert any("/scores/dci/" in name for name in every)
    models = {name.split("/models/")[1].split("/")[0] for name in every if "/models/" in name}
    # The model that fine-tuning starts from is trained, although it is not a method of the run.
    assert {
        "vae",
        "vae_ft",
        "causaldiffae",
        "scm",
        "predictors",
        "judges",
    } <= models and "hvae" not in models


@pytest.mark.slow
def test_pendulum_runs_with_every_causal_method(folder, forked):
    (folder / "tiny.yaml").write_text(TINY)
    # The explorer of Pendulum is tested in a browser.
    snakemake(folder, "results/report.html", "--configfile", PRESETS / "pendulum.yaml", folder / "tiny.yaml")
    results = folder / "results" / "pendulum"
    scores = read_table(results / "scores" / "scores.csv")
    asked = scores[
        (scores["suite"] == "do") & (scores["method"] == "truth") & (scores["metric"] == "truth_l1")
    ]
    assert set(asked["intervention"]) == {"angle", "light", "shadow_length", "shadow_position", "random"}
    assert (asked["value"] == 0).all()
    assert set(scores["method"]) == {"copy", "vae", "vae_ft", "causaldiffae", "truth"}
    for method in ("vae_ft", "causaldiffae"):
        mine = scores[(scores["method"] == method) & (scores["metric"] == "predicted_angle")]
        assert len(mine) and pd.notna(mine["value"]).all()
    assert (folder / "results" / "report.html").exists()

"""Bad input from end to end: each mistake is one line, and everything else is still computed.

The commands of the rules run one after another in this process, at a toy scale on Pendulum. The configuration has an
attribute that no test image has, one so rare that the classifier predicts the same class for every image, an explainer
too weak to flip anything, one whose perceptual network has no weights, and metrics whose networks have none.
"""

import json

import pandas as pd
import pytest

from counterfactory.cli import main
from counterfactory.config import load_settings, read_config
from counterfactory.core.checkpoint import load_model
from counterfactory.core.errors import MissingWeights
from tests.workflow.test_workflow import snakemake

pytest_plugins = ["tests.workflow.test_workflow"]

BAD = """
results: results
dataset: pendulum
methods: [copy, dime, fastdime, dime_x, truth]
data: {train: 400, valid: 100, judges: 200, test: 60, image_size: 16}
attributes:
  {thick: null, bright: null, slanted: null, wide: null, tall: null, long: null, large: null,
  right: {of: angle, above: 2.0}, rare: {of: light, above: 146.0}, far: {of: shadow_position, above: 18.0}}
oracle: {training: &brief {steps: 60, batch_size: 32, warmup: 5, valid_every: 30}}
identity: {network: {name: vggface2_resnet50, weights: away/resnet50_ft_weight.pkl}}
models:
  vae: {network: {exposure: []}}
  hvae: {network: {exposure: [], resolutions: [8, 4, 2, 1]}}
  causaldiffae: {network: {exposure: []}}
  classifier: {network: {width: 8, halvings: 2}, training: *brief}
  ddpm:
    network: {width: 8, multipliers: [1, 2]}
    diffusion: {steps: 21}
    training: {steps: 6, batch_size: 16, warmup: 2, valid_every: 3}
questions:
  do: {images: 0, interventions: [angle]}
  null: {images: 0}
  reverse: {images: 0, interventions: [angle]}
  sweep: {images: 0}
  flip: {images: 12, attributes: [right, rare, far], targets: {}, repeats: 2, repeat_images: 3}
answers:
  chunks: 7
  vgg19_weights: away/vgg19.pth
  dime: &walk {images: 1, timestep_respacing: 0, start_step: 3, batch_size: 10, perceptual: vgg19}
  fastdime:
    {<<: *walk, images: null, perceptual: none, classifier_scales: [20.0], warmup_mask: 0}
  dime_x: {<<: *walk, images: null, perceptual: classifier, classifier_scale: 1.0e-6, restart_step: 2, stop_step: 1}
scores:
  metrics: [flip, identity, mnac, correlation, diversity, cout, oracle_frechet, fid, graph_consistency]
  lpips: {net: vgg, weights: away/vgg16.pth}
  fid: {images: 8, least: 2, weights: away/inception.pth}
  bootstrap: {resamples: 50}
"""
REASONS = {
    "identity": "identity.network.weights: 'away/resnet50_ft_weight.pkl' is not a file; put it there, or name another",
    "vgg19": "answers.vgg19_weights: 'away/vgg19.pth' is neither a file nor one of torchvision; put it there, or name "
    "another",
    "lpips": "scores.lpips.weights: 'away/vgg16.pth' is neither a file nor one of auto, torchvision, package; put it "
    "there, or name another",
    "inception": "scores.fid.weights: 'away/inception.pth' is neither a file nor one of auto, pytorch_fid, package; "
    "put it there, or name another",
}


@pytest.fixture
def bad(folder):
    (folder / "bad.yaml").write_text(BAD)
    return folder


def test_more_chunks_than_questions_is_one_line_of_the_plan(bad):
    done = snakemake(bad, "-n", "--configfile", bad / "bad.yaml")
    said = [line for line in done.stderr.splitlines() if line.startswith("config: ")]
    line = "config: answers.chunks is 7, but dime answers 6 questions of the suite flip: 6 chunks are used"
    assert said[0] == line
    # Missing weights are reported before anything runs.
    assert sorted(name.split()[1] for name in said[1:]) == [
        "answers.vgg19_weights",
        "identity.network.weights",
        "scores.fid.weights",
        "scores.lpips.weights",
    ]
    assert "fetch_weights" in done.stdout + done.stderr and "models/identity" not in done.stdout + done.stderr


def test_weights_are_fetched_when_their_file_appears(bad, forked):
    target = "results/pendulum/models/vgg19/model.safetensors"
    given = [target, "--configfile", bad / "bad.yaml"]
    done = snakemake(bad, *given)
    assert done.stdout.count(REASONS["vgg19"]) + done.stderr.count(REASONS["vgg19"]) == 1
    with pytest.raises(MissingWeights):
        load_model((bad / target).parent)
    done = snakemake(bad, "-n", *given)
    assert "fetch_weights" not in done.stdout + done.stderr
    (bad / "away").mkdir()
    (bad / "away" / "vgg19.pth").write_bytes(b"")
    done = snakemake(bad, "-n", *given)
    assert "fetch_weights" in done.stdout + done.stderr


@pytest.mark.slow
def test_everything_else_still_comes_out(bad, monkeypatch, capfd):
    monkeypatch.chdir(bad)
    settings = load_settings(read_config(["config.yaml", "bad.yaml"]))
    results = bad / "results" / "pendulum"

    def step(*words):
        """Runs a command, which must succeed, and returns its output."""
        code = main([*map(str, words), "--config", "config.yaml", "bad.yaml"])
        said = capfd.readouterr()
        assert code == 0, said.err
        return said.err

    step("synthesise", "--dataset", "pendulum")
    said = step("questions", "flip")
    assert [line for line in said.splitlines() if line.startswith("attributes.far")] and "right" not in said
    for words in (["train", "classifier"], ["train", "ddpm"], ["train", "oracle"]):
        step(*words)
    constant = json.loads((results / "models" / "classifier" / "seed0" / "model.json").read_text())[
        "constant"
    ]
    assert "rare" in constant and "right" not in constant

    for network, reason in REASONS.items():
        assert step("weights", network, "--optional").splitlines() == [
            f"weights {network}: {reason}; steps that require them are skipped"
        ]
    count = len(pd.read_parquet(results / "questions" / "flip.parquet"))
    for method in settings.methods:
        said = step("answer", method, "flip", f"000000-{count:06d}")
        lines = [line for line in said.splitlines() if "not answered" in line]
        if method == "dime":
            assert lines == [f"answer dime flip 000000-{count:06d}: not answered: {REASONS['vgg19']}"]
        elif method in ("fastdime", "dime_x"):
            assert len(lines) == len(set(constant) & {"rare", "far"})
    for metric in ("correlation", "fid"):
        step("reference", metric)
    for metric in settings.scores.metrics:
        said = step("score", metric, *settings.methods)
        missing = {"identity": "identity", "diversity": "lpips", "fid": "inception"}.get(metric)
        lines = [line for line in said.splitlines() if line.startswith("score ")]
        assert lines == ([f"score {metric}: absent: {REASONS[missing]}"] if missing else [])
    step("summarise", *sorted((results / "scores").glob("*/seed0.parquet")))
    for command in ("tables", "figures", "report"):
        step(command)

    scores = pd.read_csv(results / "scores" / "scores.csv", keep_default_na=False, na_values={"value": [""]})
    assert (scores["reason"][scores["value"].isna()] != "").all()
    found = scores.set_index(["method", "intervention", "metric"])
    flips = found["value"].xs(("right", "flip_rate"), level=(1, 2))
    assert flips["fastdime"] > 0 and flips["dime_x"] == flips["copy"] == 0 and flips["truth"] == 1
    assert found["reason"]["dime_x", "right", "mnac"] == "the classifier's prediction did not flip"
    assert found["reason"]["dime", "right", "flip_rate"] == REASONS["vgg19"]
    for method in settings.methods:
        for what in ("rare", "far"):
            assert found["reason"][method, what, "flip_rate"].startswith(
                f"the classifier predicts no for {what}"
            )
        for metric, network in (("fid", "inception"), ("fva", "identity"), ("sigma_l", "lpips")):
            assert found["reason"][method, "right", metric] == REASONS[network]
    table = (results / "tables" / "flip_right.md").read_text()
    for line in (f"DiME: {REASONS['vgg19']}.", f"FVA, FS: {REASONS['identity']}."):
        assert line in table
    assert "rare: the classifier predicts no for rare" in (results / "tables" / "flip_rare.md").read_text()
    page = (bad / "results" / "pendulum" / "report.html").read_text()
    assert "Explanation scores, right" in page and "away/vgg19.pth" in page

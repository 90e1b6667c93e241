"""The presets of published tables: plans, refusals, and (slow) DiME with generated weights of the published format."""

import json
import shutil

import pandas as pd
import pytest
import torch

from counterfactory.config import load_settings, read_config
from counterfactory.report.published import read_published
from tests.faces import write_faces
from tests.fixtures.originals import Original
from tests.workflow.test_workflow import PRESETS, ROOT, plan, snakemake

WEIGHTS = ("ddpm-celeba.pt", "classifier.pth", "oracle.pth", "resnet50_ft_weight.pkl")
TOY = """\
data: {{celeba: {{folder: {celeba}}}, image_size: 32, train: 100, valid: 8, judges: 70, test: 30}}
judges: {{training: {{batch_size: 32}}}}
questions: {{flip: {{images: 2, repeat_images: 1}}}}
answers:
  chunks: 1
  dime: &toy {{timestep_respacing: 10, start_step: 2, classifier_scales: [8.0], perceptual: none, l_perc: 0.0}}
  fastdime: {{<<: *toy, warmup_mask: 1}}
scores: {{metrics: [flip, mnac, correlation, diversity, cout, oracle_frechet]}}
device: cpu
"""


def test_the_benchmark_has_a_plan_with_its_metrics(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    _, every = plan(tmp_path, "--configfile", PRESETS / "melistas.yaml")
    folder = "results/melistas/morphomnist"
    assert "results/melistas/report.html" in every
    assert f"{folder}/scores/reference/do_fid.safetensors" in every
    for metric in ("effectiveness", "minimality", "composition_embeddings", "do_fid"):
        assert f"{folder}/scores/{metric}/seed0.parquet" in every
    assert not any(part in name for name in every for part in ("/classifier/", "/ddpm/", "/flip"))


def test_the_benchmark_asks_what_its_published_values_answer():
    """Every value of the two published tables for Morpho-MNIST is a score of this preset."""
    settings = load_settings(read_config([ROOT / "config.yaml", PRESETS / "melistas.yaml"]))
    assert settings.protocol == "melistas" and settings.scores.effectiveness.targets == "own"
    assert settings.answers.temperatures["hvae"].latents == 0.1 and settings.questions.do.bins == "means"
    assert settings.judges.linear and settings.judges.context and settings.judges.confounded
    studies = [
        one for one in read_published()[1] if one.source == "melistas2024" and "morphomnist" in one.datasets
    ]
    for value in [value for study in studies for value in study.values]:
        assert value.ours in settings.methods
        if value.suite == "do":
            assert value.intervention in (*settings.questions.do.interventions, "every")
            assert value.protocol in settings.questions.do.protocols
        else:
            assert value.suite == "null" and value.cycles in settings.questions.null.cycles


@pytest.mark.parametrize(
    "given", ["paper.yaml", "melistas.yaml", {"protocol": "causal-gen"}, {"protocol": "melistas"}]
)
def test_published_image_mechanisms_are_neither_centred_nor_corrected(given):
    own = read_config([ROOT / "config.yaml", PRESETS / given]) if isinstance(given, str) else given
    for mechanism in (load_settings(own).models.vae, load_settings(own).models.hvae):
        network = mechanism.network
        assert not any(
            (network.centred, network.transport, network.levels, network.calibrate, network.debias)
        )
    assert network.prior_log_scale is None


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("celeba"), identities=140)


def test_published_weights_of_dime_are_imported_and_nothing_is_trained(tmp_path, celeba):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    over = tmp_path / "celeba.yaml"
    over.write_text(f"data: {{celeba: {{folder: {celeba}}}}}\n")
    words = ("--configfile", PRESETS / "dime_celeba.yaml", over)
    done = snakemake(tmp_path, "-n", *words, check=False)
    said = done.stdout + done.stderr
    assert done.returncode and "Traceback" not in said
    assert "models.ddpm.weights: weights/ddpm-celeba.pt is no file" in said
    (tmp_path / "weights").mkdir()
    for name in WEIGHTS:
        (tmp_path / "weights" / name).touch()
    # As if the images were read: the preset needs all of CelebA.
    (tmp_path / "results" / "dime_celeba" / "celeba" / "data").mkdir(parents=True)
    (tmp_path / "results" / "dime_celeba" / "celeba" / "data" / "dataset.json").touch()
    _, every = plan(tmp_path, *words)
    made = {rule for name, rule in every.items() if name.endswith("model.safetensors")}
    assert "import_model" in made and not any(rule.startswith("train") for rule in every.values())
    assert "results/dime_celeba/report.html" in every
    for metric in ("flip", "identity", "mnac", "correlation", "diversity", "cout", "oracle_frechet", "fid"):
        assert f"results/dime_celeba/celeba/scores/{metric}/seed0.parquet" in every


@pytest.mark.slow
def test_dime_with_generated_weights_of_the_published_format(tmp_path, celeba, forked):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / "weights").mkdir()
    originals = ("unet_32_heads4", "classifier_densenet121", "oracle_vggface2_resnet50")
    for name, file in zip(originals, WEIGHTS, strict=False):
        torch.save(Original(name).checkpoint(), tmp_path / "weights" / file)
    over = tmp_path / "toy.yaml"
    over.write_text(TOY.format(celeba=celeba))
    snakemake(tmp_path, "--configfile", PRESETS / "dime_celeba.yaml", over)
    results = tmp_path / "results" / "dime_celeba"
    assert "The configuration chooses the protocol dime" in (results / "report.html").read_text()
    origin = json.loads((results / "celeba" / "models" / "ddpm" / "seed0" / "model.json").read_text())[
        "imported"
    ]
    assert origin["file"] == WEIGHTS[0]
    scores = pd.read_csv(results / "celeba" / "scores" / "scores.csv", keep_default_na=False, na_values=[""])
    rates = scores[scores["metric"] == "flip_rate"].set_index("method")
    assert set(rates.index) == {"copy", "dime", "fastdime"} and (rates["intervention"] == "Smiling").all()
    # The generated classifier may predict one class only; the reason is stated then.
    assert ((rates["n"] > 0) | rates["reason"].astype(str).str.contains("classifier")).all()

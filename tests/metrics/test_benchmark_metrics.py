"""Metrics of published benchmarks: minimality, composition in embeddings, FID of interventions, variance."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.core.errors import MissingWeights
from counterfactory.data.dataset import Variable
from counterfactory.metrics import composition_embeddings, do_fid
from counterfactory.metrics.cf_variance import cf_variance, variance
from counterfactory.metrics.composition_embeddings import distance, judge_embeddings, vgg_embeddings
from counterfactory.metrics.inputs import load_suite
from counterfactory.metrics.minimality import EMPTY, cld, divergence, minimality
from counterfactory.metrics.registry import METRICS
from counterfactory.metrics.resources import Resources
from counterfactory.models.judges.model import Judge
from counterfactory.models.judges.network import JudgeNetwork
from counterfactory.pretrained.inception import FEATURES
from counterfactory.questions.bins import Bins
from tests.fixtures.originals import check_value, made, values
from tests.metrics.conftest import toy_dataset
from tests.metrics.flips import answer_flips, blank, lit

CHOSEN = ("minimality", "composition_embeddings", "do_fid", "cf_variance")


def test_they_are_computed_only_where_they_are_chosen():
    from counterfactory.config import load_settings

    assert not any(METRICS[name].default for name in CHOSEN)
    assert not set(CHOSEN) & set(load_settings({}).scores.metrics)
    assert load_settings({"scores": {"metrics": list(CHOSEN)}}).scores.metrics == list(CHOSEN)


@pytest.mark.parametrize("number", range(4))
def test_minimality_as_published(number):
    """Scores and both probabilities of twelve counterfactuals, in the cases that the original's code printed."""
    fixture = values("minimality")
    row = fixture["rows"][number]
    parents, vae = fixture["inputs"][row["intervention"]], row["embedding"] == "vae"
    real, shift = (made(name, [12, 6], "uniform").numpy().astype(np.float64) for name in ("real", "shift"))
    moved = 0.4 * real + 0.6 * shift
    if vae:
        real, moved = real[:, :3], moved[:, :3]  # the original reads the means only
    factual, after = np.array(parents["factual"]), np.array(parents["counterfactual"])
    if "edges" in parents:
        factual, after = (np.searchsorted(parents["edges"], one) for one in (factual, after))

    def between(image, others):
        return divergence(others, image[None]) if vae else np.abs(others - image[None]).mean(1)

    for one in range(12):
        d = between(real[one], moved[one : one + 1])[0]
        distances = between(real[one], real)
        found = cld(d, distances[factual == after[one]], distances[factual == factual[one]])
        check_value("minimality", f"{row['intervention']} {one}", found, row["scores"][one], 1e-6, 1.0)


def test_minimality_of_a_copy_and_of_another_image(place, settings):
    """Six images of distinct digits: digit 0 becomes 1 by copying, by an image of digit 1, and by one between."""
    images = np.zeros((6, 1, 32, 32), np.uint8) + (40 * np.arange(6, dtype=np.uint8))[:, None, None, None]
    test = pd.read_parquet(place.data / "test" / "attributes.parquet")
    place.write_split("test", images, test)
    place.write_split("train", images, test)
    asked = {
        "index": 0,
        "intervention": "digit",
        "protocol": "marginal",
        "steps": [{"digit": 1}],
        "true_digit": 1.0,
    }
    questions = place.write_questions("do", [asked] * 3 + [{**asked, "true_digit": 9.0}])
    given = np.stack([images[0], images[1], images[0] + 20, images[1]])
    folder = place.write_answers("copy", questions, given)
    answers = load_suite("do", place.data, place.questions["do"], folder)
    score = minimality(answers, images, test, Bins(toy_dataset(), test), 10)
    copy, whole = np.log(0.8 + 0.2 * np.e), np.log(0.8 * np.e + 0.2)
    np.testing.assert_allclose(score.values[:3], [copy, whole, 0.0], atol=1e-12)
    assert np.isnan(score.values[3]) and score.reason[3] == EMPTY
    settings.minimality = SimpleNamespace(questions=2, bins="means")
    table = place.score("minimality", ["copy"], settings)
    np.testing.assert_allclose(table["value"], [copy, whole])


def test_composition_in_embeddings():
    torch.manual_seed(0)
    variables = toy_dataset().variables
    judges = {one.name: Judge(JudgeNetwork(1, one.classes).eval(), one, (), "cpu") for one in variables}
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 32, 32), dtype=np.uint8)
    features = judge_embeddings(judges, images, {})
    assert features.shape == (3, 3 * 64)
    # The last layer of a judge, applied to its part of the embedding, gives its output.
    digit = judges["digit"].model
    expected = digit.outputs(torch.from_numpy(images).float() / 127.5 - 1)
    torch.testing.assert_close(digit.head[3](torch.from_numpy(features[:, 128:])), expected)
    np.testing.assert_allclose(distance(np.array([[1.0, 3.0]]), np.array([[0.0, 5.0]])), [1.5])
    assert distance(features, features).tolist() == [0.0] * 3
    effect = Variable("intensity", "continuous", "grey levels", 64.0, 255.0)
    informed = {"thickness": Judge(JudgeNetwork(1, context=1).eval(), variables[0], (effect,), "cpu")}
    low, high = (judge_embeddings(informed, images, {"intensity": np.full(3, x)}) for x in (64.0, 255.0))
    assert (distance(low, high) > 0).all()


def test_vgg_embeddings_are_the_mean_of_the_last_features():
    scaling = torch.nn.Identity()
    scaling.shift = torch.zeros(())
    trunk = SimpleNamespace(scaling_layer=scaling, net=lambda x: [x, 2 * x])
    images = np.stack([np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4), 255, np.uint8)])
    np.testing.assert_allclose(vgg_embeddings(trunk, images), [[-2.0] * 3, [2.0] * 3])


def test_composition_without_vgg_names_the_setting(place, settings, monkeypatch):
    questions = place.write_questions("null", [{}, {"cycles": 10}])
    place.write_answers("copy", questions, place.images[:2])
    judges = {
        one.name: Judge(JudgeNetwork(1, one.classes).eval(), one, (), "cpu")
        for one in toy_dataset().variables
    }
    monkeypatch.setattr(composition_embeddings, "load_judge", lambda folder, *_: judges[folder.name])
    settings.composition_embeddings = SimpleNamespace(questions=5)
    table = place.score("composition_embeddings", ["copy"], settings)
    judged, seen = (table[table["metric"] == f"composition_{name}"] for name in ("judges", "vgg"))
    assert judged["value"].tolist() == [0.0, 0.0] and judged["cycles"].tolist() == [1, 10]
    assert seen["value"].isna().all() and set(seen["reason"]) == {composition_embeddings.NOT_VGG}


def test_fid_of_interventions_compares_with_the_train_split(place, settings, monkeypatch, tmp_path):
    """One feature is the mean grey level. Answers lie 10 above training images of the same variance: distance 100."""

    def embedder(resources, label):
        def embed(images):
            features = np.zeros((len(images), FEATURES), np.float32)
            features[:, 0] = images.mean((1, 2, 3))
            return features

        return embed

    monkeypatch.setattr(do_fid, "embedder", embedder)
    grey = np.full((6, 1, 32, 32), 50, np.uint8) + (3 * np.arange(6, dtype=np.uint8))[:, None, None, None]
    test = pd.read_parquet(place.data / "test" / "attributes.parquet")
    place.write_split("train", np.concatenate([grey, np.full_like(grey, 255)]), pd.concat([test, test]))
    settings.do_fid = SimpleNamespace(images=6, real=6)
    resources = Resources(settings, place.data, tmp_path, reference=tmp_path / "real.safetensors")
    do_fid.compute_reference(resources, {}, resources.reference)
    rows = [{"index": n, "intervention": "thickness", "protocol": "marginal"} for n in range(6)] * 2
    questions = place.write_questions("do", rows)
    questions["intervention"] = ["thickness"] * 6 + ["digit"] * 6
    place.questions["do"].unlink()
    questions.to_parquet(place.questions["do"])
    answered = np.arange(12) < 7
    folder = place.write_answers("any", questions, np.concatenate([grey + 10, grey]), answered)
    answers = load_suite("do", place.data, place.questions["do"], folder)
    whole, few = do_fid.load(resources)(answers)
    assert (
        whole.value == pytest.approx(100.0, abs=1e-3) and whole.n == 6 and "fewer than 2,048" in whole.reason
    )
    assert np.isnan(few.value) and "fewer than two answers" in few.reason


def test_fid_of_interventions_without_weights_is_absent(place, settings, monkeypatch, tmp_path):
    def embedder(resources, label):
        def embed(images):
            raise MissingWeights("no weights of Inception")

        return embed

    monkeypatch.setattr(do_fid, "embedder", embedder)
    place.write_split("train", place.images, pd.read_parquet(place.data / "test" / "attributes.parquet"))
    settings.do_fid = SimpleNamespace(images=6, real=6)
    resources = Resources(settings, place.data, tmp_path, reference=tmp_path / "real.safetensors")
    do_fid.compute_reference(resources, {}, resources.reference)
    with pytest.raises(MissingWeights, match="no weights of Inception"):
        do_fid.load(resources)


def test_variance_over_repeats():
    """Two answers of grey 0 and 51 in one of four pixels: variance (51 / 255)^2 / 4 in [-1, 1], a quarter of 0.04."""
    two = np.zeros((2, 1, 2, 2), np.uint8)
    two[1, 0, 0, 0] = 51
    assert variance(two) == pytest.approx(0.04 / 4)
    images = np.concatenate([blank(2), lit(blank(2), 0, level=51)])
    answers = answer_flips(blank(4), images)
    answers.questions["index"] = [0, 1, 0, 1]
    answers.questions["repeat"] = [0, 0, 1, 1]
    answers.questions["answered"] = [True, True, True, False]
    first, deviation = cf_variance(answers)
    assert first.values[0] == pytest.approx(0.04 / images[0].size) and np.isnan(first.values[1])
    assert deviation.values[0] == pytest.approx(127.5 * 0.2 / images[0].size ** 0.5)
    assert "all repeats" in first.reason[1] and first.rows.tolist() == [0, 1]
    once = cf_variance(answer_flips(blank(2), blank(2)))[0]
    assert np.isnan(once.values).all() and "questions.flip.repeats" in once.reason

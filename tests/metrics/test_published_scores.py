"""Scores equal those that the code of DiME and of counterfactual-benchmark printed; JPEG files are read as written."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from counterfactory.data.dataset import Variable
from counterfactory.metrics.correlation import correlation_scores
from counterfactory.metrics.cout import cout_scores
from counterfactory.metrics.diversity import diversity_scores
from counterfactory.metrics.effectiveness import effectiveness
from counterfactory.metrics.identity import identity_scores
from counterfactory.metrics.inputs import SuiteAnswers, load_suite
from counterfactory.metrics.jpeg import jpeg_round_trip
from counterfactory.metrics.mnac import mnac_scores
from counterfactory.models.binary_scores import f1_score
from tests.fixtures.originals import check_value, made, values
from tests.metrics.flips import StubClassifier, answer_flips, blank, lit, pixel

BOOTSTRAP = SimpleNamespace(resamples=20, level=0.95, seed=0)
FLIPS = values("fva_fs_mnac_cd")
QUERY, COUNT = 31, 20
NAMES = [f"a{number}" for number in range(40)]


def flips() -> SuiteAnswers:
    """Twenty flipped images: one pixel holds the number of the image, another one whether it is the answer."""
    factual = blank(COUNT)
    factual[:, 0, 1, 0] = np.arange(COUNT)
    return answer_flips(factual, lit(factual, 0), attribute=NAMES[QUERY])


def stored(before: np.ndarray, after: np.ndarray) -> Callable:
    """Returns a function of images that looks up the rows of factual images and of answers."""
    return lambda images: np.where(
        (images[:, 0, 0, 0] > 0)[:, None], after[images[:, 0, 1, 0]], before[images[:, 0, 1, 0]]
    )


def drawn(name: str) -> np.ndarray:
    shape, rule = FLIPS["inputs"][name]
    return made(name, shape, rule).double().numpy()


def oracle() -> StubClassifier:
    logits = drawn("logits")
    found = stored(logits, logits + 0.7 * drawn("change"))
    functions = {
        name: lambda images, column=column: 1 / (1 + np.exp(-found(images)[:, column]))
        for column, name in enumerate(NAMES)
    }
    return StubClassifier(**functions)


CLASSIFIER = StubClassifier(**{NAMES[QUERY]: pixel(0)})


def test_fva_and_fs_of_dime():
    features = drawn("features")
    embed = stored(features, features + 1.5 * drawn("drift"))
    fva, fs = identity_scores(flips(), CLASSIFIER, embed, threshold=0.5)
    check_value("fva_fs_mnac_cd", "cosines", fs.values, FLIPS["cosines"], FLIPS["tolerance"])
    check_value("fva_fs_mnac_cd", "FVA", fva.values.mean(), FLIPS["FVA"], FLIPS["tolerance"])
    check_value("fva_fs_mnac_cd", "FS", fs.values.mean(), FLIPS["FS"], FLIPS["tolerance"])


def test_mnac_of_dime():
    mnac = mnac_scores(flips(), CLASSIFIER, oracle())[0]
    check_value("fva_fs_mnac_cd", "MNAC of each image", mnac.values, FLIPS["MNAC_each"], 0.0)
    check_value("fva_fs_mnac_cd", "MNAC", mnac.values.mean(), FLIPS["MNAC"], FLIPS["tolerance"])


def test_cd_of_dime():
    train = np.eye(len(NAMES))
    train[QUERY] = drawn("correlations")
    train[QUERY, QUERY] = 1.0
    (score,) = correlation_scores(flips(), CLASSIFIER, oracle(), train, BOOTSTRAP, "nan")
    check_value("fva_fs_mnac_cd", "CD", score.value, FLIPS["CD"], FLIPS["tolerance"])


def test_f1_of_binary_attributes():
    """The benchmark's score is the mean over batches, and 0 without a positive image; ours has no value there."""
    fixture = values("effectiveness_f1")
    found, predicted, true = [], [], []
    for batch in fixture["inputs"]["batches"]:
        output = np.array(batch["output"])
        # torchmetrics takes outputs outside of [0, 1] for logits.
        probability = output if ((output >= 0) & (output <= 1)).all() else 1 / (1 + np.exp(-output))
        predicted.append(probability > 0.5)
        true.append(np.array(batch["target"]))
        found.append(f1_score(predicted[-1], true[-1]))
    assert np.isnan(found).tolist() == [False, False, False, False, True]
    check_value("effectiveness_f1", "batches", np.nan_to_num(found), fixture["each_batch"], 1e-6)
    check_value("effectiveness_f1", "mean", np.nan_to_num(found).mean(), fixture["value"], 1e-6)
    # This package scores a whole set of questions: 5 true positives, 2 false positives and 2 false negatives.
    assert f1_score(np.concatenate(predicted), np.concatenate(true)) == pytest.approx(2 * 5 / (2 * 5 + 2 + 2))


RANGES = {"thickness": (0.87598526, 6.255515), "intensity": (66.601204, 254.90317)}


def test_effectiveness_against_the_own_parents(place):
    """Errors in px and grey levels, and accuracy; the benchmark applies a sigmoid to the intensity, ours does not."""
    fixture = values("effectiveness_morphomnist")
    given, expected = fixture["inputs"], fixture["value"]
    target = {
        name: _physical(name, np.array(given["targets"][name])[:, 0]) for name in ("thickness", "intensity")
    } | {"digit": np.array(given["digit_targets"], float)}
    output = {
        name: _physical(name, np.array(given["outputs"][name])[:, 0]) for name in ("thickness", "intensity")
    } | {"digit": np.array(given["digit_outputs_argmax"], float)}
    questions = place.write_questions("do", [{"intervention": "thickness", "protocol": "other_bin"}] * 3)
    folder = place.write_answers("any", questions, place.images[:3], **target)
    answers = load_suite("do", place.data, place.questions["do"], folder)
    variables = tuple(
        replace(one, low=RANGES[one.name][0], high=RANGES[one.name][1]) if one.name in RANGES else one
        for one in answers.dataset.variables
    )
    answers = replace(answers, dataset=replace(answers.dataset, variables=variables))

    def score(name: str, values: np.ndarray, targets: str) -> float:
        return float(effectiveness(answers, name, lambda images, parents: values, targets).values.mean())

    for name in ("thickness", "digit"):
        check_value("effectiveness_morphomnist", name, score(name, output[name], "own"), expected[name], 1e-5)
        assert score(name, output[name], "true") != pytest.approx(expected[name], rel=1e-3)
    bent = _physical("intensity", 1 / (1 + np.exp(-np.array(given["outputs"]["intensity"])[:, 0])))
    found = score("intensity", bent, "own")
    check_value(
        "effectiveness_morphomnist", "intensity, with the sigmoid", found, expected["intensity"], 1e-5
    )
    assert score("intensity", output["intensity"], "own") > 1.5 * expected["intensity"]


def _physical(name: str, units: np.ndarray) -> np.ndarray:
    """Returns values in px or grey levels, from values in [-1, 1]."""
    variable = Variable(name, "continuous", "", *RANGES[name])
    return (units + 1) / 2 * (variable.high - variable.low) + variable.low


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_that_of_a_file_that_pillow_writes_by_default(tmp_path, channels):
    """The published scripts save RGB images; three equal channels give the same grey levels as one."""
    images = np.random.default_rng(3).integers(0, 256, (2, channels, 20, 24), np.uint8)
    back = jpeg_round_trip(images)
    for image, found in zip(images, back, strict=True):
        Image.fromarray(np.broadcast_to(image, (3, 20, 24)).transpose(1, 2, 0).copy()).save(
            tmp_path / "x.jpg"
        )
        read = np.asarray(Image.open(tmp_path / "x.jpg")).transpose(2, 0, 1)
        np.testing.assert_array_equal(np.broadcast_to(found, (3, 20, 24)), read)


def noisy_flips() -> SuiteAnswers:
    """Twelve answers to images with noise in every pixel, half of them from dark to bright, each asked twice."""
    rng = np.random.default_rng(4)
    dark, bright = rng.integers(0, 90, (12, 1, 16, 16)), rng.integers(110, 255, (12, 1, 16, 16))
    up = (np.arange(12) < 6)[:, None, None, None]
    factual, images = (np.where(up, *pair).astype(np.uint8) for pair in ((dark, bright), (bright, dark)))
    factual = factual[::2].repeat(2, 0)
    index, goal = np.repeat(np.arange(6), 2), up.ravel().astype(int)
    return answer_flips(factual, images, repeat=[0, 1] * 6, index=index, label=1 - goal, target=goal)


def _bright(images: np.ndarray) -> np.ndarray:
    return images.mean((1, 2, 3)) / 200


SEEN = StubClassifier(
    bright=_bright,
    odd=lambda images: images[:, 0, 3, 3] % 2,
    steep=lambda images: images[:, 0, 5, 5] > images[:, 0, 5, 6],
)


def _embed(images: np.ndarray) -> np.ndarray:
    return images[:, 0].reshape(len(images), -1).astype(float) + 1.0


@pytest.mark.parametrize(
    "scores",
    [
        lambda answers, **jpeg: identity_scores(answers, SEEN, _embed, 0.9, **jpeg),
        lambda answers, **jpeg: mnac_scores(answers, SEEN, SEEN, **jpeg)[:1],
        lambda answers, **jpeg: correlation_scores(answers, SEEN, SEEN, np.eye(3), BOOTSTRAP, **jpeg),
        lambda answers, **jpeg: diversity_scores(answers, SEEN, None, **jpeg),
        lambda answers, **jpeg: cout_scores(answers, SEEN, 6, **jpeg),
    ],
    ids=["identity", "mnac", "cd", "diversity", "cout"],
)
def test_scores_of_jpeg_files(scores, monkeypatch):
    """Of images that were compressed already, the scores are those of the option; of the images themselves not."""
    monkeypatch.setattr(
        "counterfactory.metrics.diversity.lpips_distance",
        lambda model, first, second: np.abs(first.astype(float) - second).mean((1, 2, 3)),
    )
    answers = noisy_flips()
    packed = replace(
        answers, factual=jpeg_round_trip(answers.factual), images=jpeg_round_trip(answers.images)
    )

    def numbers(found: list) -> list:
        return [np.atleast_1d(getattr(one, "values", getattr(one, "value", None))) for one in found]

    expected, found, plain = (
        numbers(one) for one in (scores(packed), scores(answers, jpeg=True), scores(answers))
    )
    for wanted, value in zip(expected, found, strict=True):
        np.testing.assert_array_equal(value, wanted)
        assert np.isfinite(value).any()
    assert any((value != other).any() for value, other in zip(found, plain, strict=True))

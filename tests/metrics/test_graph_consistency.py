"""Graph consistency of rendered answers whose changes are known."""

import numpy as np
import pandas as pd
import pytest

from counterfactory.data.morphology import measure, render
from counterfactory.data.morphomnist import DATASET
from counterfactory.data.processes import INTENSITY as PROCESS
from counterfactory.metrics.graph_consistency import FLIPPED, consistency_scores
from counterfactory.metrics.mnac import mnac_scores
from tests.metrics.flips import StubClassifier, answer_flips

THICKNESS, NOISE = np.array([1.8, 2.2, 2.8]), np.array([0.3, -1.0, -0.5])
INTENSITY = PROCESS.value(THICKNESS, NOISE)
ATTRIBUTES = {"thick": {"of": "thickness", "above": 2.5}, "bright": {"of": "intensity", "above": 160.0}}


LINES = (
    ((6, 8), (6, 19), (21, 12)),
    ((5, 10), (14, 8), (14, 19), (21, 19)),
    ((22, 7), (6, 14), (22, 20)),
)


def drawn(thickness, intensity):
    """Returns three figures of lines, rendered with these parents."""
    digits = np.zeros((3, 28, 28))
    y, x = np.mgrid[:28, :28]
    for image, points in zip(digits, LINES, strict=True):
        for (y0, x0), (y1, x1) in zip(points[:-1], points[1:], strict=True):
            along = ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / ((y1 - y0) ** 2 + (x1 - x0) ** 2)
            along = np.clip(along, 0, 1)
            away = np.hypot(y - y0 - along * (y1 - y0), x - x0 - along * (x1 - x0))
            np.maximum(image, 255 * np.clip(2.0 - away, 0, 1), out=image)
    images = render(digits.astype(np.uint8), np.asarray(thickness, float), np.asarray(intensity, float))
    return np.pad(images, ((0, 0), (2, 2), (2, 2)))[:, None]


FACTUAL = drawn(THICKNESS, INTENSITY)
SEEN = measure(FACTUAL)
TEST = pd.DataFrame({"thickness": THICKNESS, "intensity": INTENSITY, "digit": [1, 0, 1]})
TEST = TEST.assign(**PROCESS.abduct(THICKNESS, INTENSITY))


def classifier(name, flips=True):
    """Returns a classifier that predicts 0 for the factual images and `flips` for all others."""

    def probability(images):
        same = [(images[i] == FACTUAL).all((1, 2, 3)).any() for i in range(len(images))]
        return np.where(same, 0.0, float(flips))

    stub = StubClassifier(**{name: probability})
    stub.attributes = ATTRIBUTES
    return stub


def scores_of(images, name, **more):
    answered = answer_flips(FACTUAL, images, attribute=name, dataset=DATASET, **more)
    return {score.metric: score for score in consistency_scores(answered, classifier(name), ATTRIBUTES, TEST)}


def test_a_thicker_stroke_should_be_brighter():
    thicker = THICKNESS + 1.0
    true = scores_of(drawn(thicker, PROCESS.value(thicker, NOISE)), "thick")
    ignorant = scores_of(drawn(thicker, INTENSITY), "thick")
    # Rendering is quantized, so the measured thickness has an error of some tenths of a px.
    assert (true["inconsistency_intensity"].values < 15).all() and (
        ignorant["inconsistency_intensity"].values > 15
    ).all()
    np.testing.assert_allclose(true["moved_intensity"].values, true["due_intensity"].values, atol=15)
    np.testing.assert_allclose(ignorant["moved_intensity"].values, 0.0, atol=1.0)
    np.testing.assert_allclose(
        ignorant["inconsistency_intensity"].values, ignorant["due_intensity"].values, atol=1.0
    )
    assert np.isnan(true["inconsistency_thickness"].values).all() and set(
        true["inconsistency_thickness"].reason
    ) == {FLIPPED}


def test_a_brighter_stroke_should_keep_its_thickness():
    brighter = INTENSITY + 30.0
    true = scores_of(drawn(THICKNESS, brighter), "bright")
    confused = scores_of(drawn(THICKNESS + 1.0, brighter), "bright")
    np.testing.assert_allclose(true["inconsistency_thickness"].values, 0.0, atol=0.1)
    np.testing.assert_array_equal(true["due_thickness"].values, 0.0)
    np.testing.assert_allclose(confused["inconsistency_thickness"].values, 1.0, atol=0.3)


def test_changes_are_in_the_direction_of_the_flip():
    darker = drawn(THICKNESS + 0.5, INTENSITY - 30.0)
    stub = classifier("bright")
    probability = stub.functions["bright"]
    stub.functions["bright"] = lambda images: 1.0 - probability(images)  # bright before, dark after
    answered = answer_flips(FACTUAL, darker, attribute="bright", label=1, target=0, dataset=DATASET)
    scores = {score.metric: score.values for score in consistency_scores(answered, stub, ATTRIBUTES, TEST)}
    assert (scores["moved_thickness"] < 0).all() and (scores["inconsistency_thickness"] > 0).all()


def test_a_class_changes_no_other_parent_and_a_blank_answer_is_scored():
    stub = StubClassifier(digit=lambda images: np.tile([0.0, 0.0, 1.0], (len(images), 1)))
    answered = answer_flips(FACTUAL, FACTUAL * 0, attribute="digit", target=2, dataset=DATASET)
    scores = {score.metric: score.values for score in consistency_scores(answered, stub, ATTRIBUTES, TEST)}
    np.testing.assert_array_equal(scores["due_thickness"], 0.0)
    np.testing.assert_allclose(scores["inconsistency_thickness"], SEEN["thickness"])
    np.testing.assert_allclose(scores["inconsistency_intensity"], SEEN["intensity"])
    blank = scores_of(FACTUAL * 0, "thick")
    assert np.isfinite(blank["inconsistency_intensity"].values).all()


def test_answers_that_did_not_flip_have_no_score():
    scores = scores_of(FACTUAL, "thick")
    assert all(np.isnan(score.values).all() for score in scores.values())
    assert "did not flip" in scores["inconsistency_intensity"].reason[0]


def test_mnac_by_measurement():
    thicker = drawn([3.5, 3.5, 3.6], INTENSITY)
    answered = answer_flips(FACTUAL, thicker, attribute="thick", dataset=DATASET)
    counted, measured = mnac_scores(answered, classifier("thick"), classifier("thick"))
    assert measured.values.tolist() == [1.0, 1.0, 0.0]  # a perfect edit, twice; the third was thick before
    assert counted.values.tolist() == [1.0, 1.0, 1.0]
    nothing = answer_flips(FACTUAL, FACTUAL, attribute="thick", dataset=DATASET)
    assert np.isnan(mnac_scores(nothing, classifier("thick"), classifier("thick"))[1].values).all()
    stub = StubClassifier(digit=lambda images: np.tile([0.0, 0.0, 1.0], (len(images), 1)))
    digit = answer_flips(FACTUAL, thicker, attribute="digit", target=2, dataset=DATASET)
    measured = mnac_scores(digit, stub, classifier("thick"))[1]
    assert np.isnan(measured.values).all() and set(measured.reason) == {"this attribute is not measured"}


def test_only_simulated_worlds_are_measured():
    answered = answer_flips(FACTUAL, FACTUAL, attribute="thick", dataset=None)
    unknown = answered.dataset.__class__("toy", DATASET.variables, DATASET.edges, DATASET.shape, False)
    answered = answer_flips(FACTUAL, drawn(THICKNESS + 1, INTENSITY), attribute="thick", dataset=unknown)
    assert consistency_scores(answered, classifier("thick"), ATTRIBUTES, TEST) == []
    measured = mnac_scores(answered, classifier("thick"), classifier("thick"))[1]
    assert "not simulated" in measured.reason[0] and pytest.approx(0) == np.isfinite(measured.values).sum()

"""Effectiveness by measurement in a world with a known measurement."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.data.dataset import save_dataset
from counterfactory.metrics import measured as module
from counterfactory.metrics.inputs import load_suite

from .conftest import toy_dataset

BLANK = {"thickness": 0.0}


@pytest.fixture(autouse=True)
def world(monkeypatch):
    """Thickness is the number of bright pixels / 10, intensity their mean; without a stroke, thickness is NaN."""

    def measure(images):
        lit = (images > 0).sum((1, 2, 3))
        total = images.sum((1, 2, 3), dtype=np.float64)
        thickness = np.where(lit > 0, lit / 10, np.nan)
        return pd.DataFrame({"area": lit, "thickness": thickness, "intensity": total / np.maximum(lit, 1)})

    monkeypatch.setattr(module, "world", lambda name: SimpleNamespace(measure=measure, BLANK=BLANK))


def stroke(pixels, grey):
    image = np.zeros((1, 32, 32), np.uint8)
    image.reshape(-1)[:pixels] = grey
    return image


@pytest.fixture
def found(place):
    row = {
        "intervention": "thickness",
        "protocol": "marginal",
        "steps": [{"thickness": 2.0}],
        "true_thickness": 2.0,
    }
    row["true_intensity"] = 100.0
    digit = {**row, "intervention": "digit", "steps": [{"digit": 3}]}
    questions = place.write_questions("do", [row, row, digit])
    truth = place.write_answers("truth", questions, np.stack([stroke(21, 101)] * 3))
    answers = np.stack([stroke(23, 90), stroke(0, 0), stroke(20, 100)])
    folder = place.write_answers("any", questions, answers)
    scores = module.measured(load_suite("do", place.data, place.questions["do"], folder, truth))
    return {score.metric: score for score in scores}


def test_against_the_true_parents(found):
    # The second answer is blank: a wrong answer, not a missing score.
    np.testing.assert_allclose(found["measured_thickness"].values, [0.3, 2.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(found["measured_intensity"].values, [10.0, 100.0, 0.0], atol=1e-12)


def test_against_the_measured_truth(found):
    np.testing.assert_allclose(found["measured_thickness_truth"].values, [0.2, 2.1, np.nan], atol=1e-12)
    np.testing.assert_allclose(found["measured_intensity_truth"].values, [11.0, 101.0, np.nan], atol=1e-12)
    assert "it would be another image" in found["measured_thickness_truth"].reason[2]
    assert len(found) == 4  # area is no parent


def test_without_a_blank_value_the_score_is_missing(place, monkeypatch):
    monkeypatch.delitem(BLANK, "thickness")
    row = {
        "intervention": "thickness",
        "protocol": "marginal",
        "true_thickness": 2.0,
        "true_intensity": 1.0,
    }
    questions = place.write_questions("do", [{**row, "steps": [{"thickness": 2.0}]}] * 3)
    truth = place.write_answers("truth", questions, np.stack([stroke(21, 101), stroke(0, 0), stroke(0, 0)]))
    folder = place.write_answers("any", questions, np.stack([stroke(0, 0), stroke(22, 90), stroke(0, 0)]))
    scores = module.measured(load_suite("do", place.data, place.questions["do"], folder, truth))
    thickness, to_truth = (score for score in scores if score.metric.startswith("measured_thickness"))
    np.testing.assert_allclose(thickness.values, [np.nan, 0.2, np.nan], atol=1e-12)
    assert np.isnan(to_truth.values).all()
    assert thickness.reason[0] == thickness.reason[2] == module.NOT_SEEN
    assert list(to_truth.reason) == [module.NOT_SEEN, module.NOT_SEEN_TRUE, module.NOT_SEEN]


def test_without_a_simulated_world_there_are_no_scores(place):
    questions = place.write_questions("do", [{"intervention": "digit", "protocol": "marginal"}])
    answers = place.write_answers("any", questions, place.images[:1])
    save_dataset(place.data, toy_dataset(simulated=False))
    assert module.measured(load_suite("do", place.data, place.questions["do"], answers)) == []

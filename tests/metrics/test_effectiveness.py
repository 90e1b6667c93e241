"""Effectiveness with judges of known errors."""

from dataclasses import replace

import numpy as np
import pytest

from counterfactory.metrics.effectiveness import effectiveness, normalised
from counterfactory.metrics.inputs import load_suite


@pytest.fixture
def answered(place):
    questions = place.write_questions("do", [{"intervention": "thickness", "protocol": "marginal"}] * 5)
    folder = place.write_answers("any", questions, place.images[:5])
    return load_suite("do", place.data, place.questions["do"], folder)


def test_errors_of_a_judge_with_known_errors(answered):
    seen = {}

    def judge(images, parents):
        seen.update(parents)
        assert images.shape == (5, 1, 32, 32)
        return answered.true("thickness") + np.array([0.25, -0.25, 0.0, 0.5, 0.0])

    score = effectiveness(answered, "thickness", judge)
    assert score.metric == "predicted_thickness"
    np.testing.assert_allclose(score.values, [0.25, 0.25, 0.0, 0.5, 0.0], atol=1e-12)
    assert list(seen) == ["thickness", "intensity", "digit"]


def test_digits_score_0_or_1(answered):
    score = effectiveness(answered, "digit", lambda images, parents: np.array([0.0, 1.0, 7.0, 3.0, 0.0]))
    assert score.values.tolist() == [1.0, 1.0, 0.0, 1.0, 0.0]


def test_an_undetermined_parent_has_no_score(answered):
    for name in ("thickness", "digit"):
        answered.questions.loc[2, f"true_{name}"] = np.nan
        score = effectiveness(answered, name, lambda images, parents: np.zeros(5))
        assert np.isnan(score.values).tolist() == [False, False, True, False, False]
        assert "not determined" in score.reason


def test_errors_in_published_units(answered):
    """The digit has no published unit; another data set has no such score."""
    scores = [
        effectiveness(answered, name, lambda images, true, name=name, off=off: true[name] + off)
        for name, off in (("thickness", 0.6), ("intensity", 23.5), ("digit", 0.0))
    ]
    named = replace(answered, dataset=replace(answered.dataset, name="morphomnist"))
    scaled = normalised(named, scores)
    assert [score.metric for score in scaled] == ["normalised_thickness", "normalised_intensity"]
    for score in scaled:
        np.testing.assert_allclose(score.values, 0.25)
    assert normalised(answered, scores) == []

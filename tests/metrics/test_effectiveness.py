"""Effectiveness with judges of known errors."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from counterfactory.data.dataset import Variable
from counterfactory.metrics.effectiveness import binary_scores, effectiveness, normalised
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


def test_own_targets_are_the_parents_of_the_method(answered):
    """The method believes in 0.5 px more than the truth; a judge with a context sees that value too."""
    answered.questions["thickness"] += 0.5
    seen = {}

    def judge(images, parents):
        seen.update(parents)
        return answered.true("thickness") + 0.1

    np.testing.assert_allclose(effectiveness(answered, "thickness", judge).values, 0.1)
    np.testing.assert_allclose(seen["thickness"], answered.true("thickness"))
    np.testing.assert_allclose(effectiveness(answered, "thickness", judge, "own").values, 0.4)
    np.testing.assert_allclose(seen["thickness"], answered.own("thickness"))


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


def test_f1_and_balanced_accuracy_of_a_variable_with_two_classes(answered):
    """Truth 1 1 1 0 0, predicted 1 1 0 1 0: F1 4 / 6, balanced accuracy (2/3 + 1/2) / 2."""
    variables = (*answered.dataset.variables, Variable("bald", "categorical", classes=2))
    answers = replace(answered, dataset=replace(answered.dataset, variables=variables))
    answers.questions["true_bald"] = [1.0, 1.0, 1.0, 0.0, 0.0]
    bootstrap = SimpleNamespace(seed=0, resamples=200, level=0.95)
    score = effectiveness(answers, "bald", lambda images, parents: np.array([1.0, 1.0, 0.0, 1.0, 0.0]))
    f1, balanced = binary_scores(answers, "bald", score.values, bootstrap)
    assert (f1.metric, balanced.metric) == ("f1_bald", "balanced_accuracy_bald")
    assert f1.group == ("thickness", "marginal", 1) and f1.n == balanced.n == 5
    assert f1.value == pytest.approx(4 / 6) and balanced.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert 0.0 <= f1.low < f1.value < f1.high <= 1.0


@pytest.mark.parametrize(
    "true,answered_rows,f1,balanced",
    [
        ([0, 0, 0, 0, np.nan], [1] * 5, "no answered question has the true value 1", "same"),
        ([1, 1, 1, 1, 1], [1] * 5, "", "no answered question has the true value 0"),
        # The only positive question is not answered.
        ([1, 0, 0, 0, 0], [0, 1, 1, 1, 1], "no answered question has the true value 1", "same"),
        ([0, 1, 1, 1, 1], [0, 1, 1, 1, 1], "", "no answered question has the true value 0"),
        ([1, 1, 0, 0, 0], [0] * 5, "the method does not answer this question", "same"),
        ([np.nan] * 5, [1] * 5, "the true parent is not determined", "same"),
        ([1, 1, np.nan, np.nan, np.nan], [0, 0, 1, 1, 1], "the true parent is not determined", "same"),
        ([0, 1, 0, 1, 0], [1] * 5, "", ""),
    ],
)
def test_why_a_score_of_a_binary_variable_is_missing(answered, true, answered_rows, f1, balanced):
    variables = (*answered.dataset.variables, Variable("bald", "categorical", classes=2))
    answers = replace(answered, dataset=replace(answered.dataset, variables=variables))
    answers.questions["true_bald"] = np.array(true, float)
    answers.questions["answered"] = np.array(answered_rows, bool)
    bootstrap = SimpleNamespace(seed=0, resamples=20, level=0.95)
    score = effectiveness(answers, "bald", lambda images, parents: np.zeros(5))
    found = binary_scores(answers, "bald", score.values, bootstrap)
    for one, reason in zip(found, (f1, f1 if balanced == "same" else balanced), strict=True):
        assert one.reason == reason
        assert np.isnan(one.value) == bool(reason) and (one.n == 0) == bool(reason)

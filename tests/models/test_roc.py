"""AUC and thresholds, against counting pairs."""

import numpy as np
import pytest

from counterfactory.models.identity.roc import area_under_curve, threshold_at


def test_area_counts_pairs_and_ties_half():
    assert area_under_curve(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0
    assert area_under_curve(np.array([1.0]), np.array([2.0])) == 0.0
    assert area_under_curve(np.array([2.0, 5.0]), np.array([2.0, 9.0])) == pytest.approx(
        (0.5 + 0 + 1 + 0) / 4
    )
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 6, 40), rng.integers(0, 5, 30)
    above = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    assert area_under_curve(positive, negative) == pytest.approx(above)


def test_area_without_a_group_is_absent():
    assert (
        area_under_curve(np.empty(0), np.ones(3)) is None
        and area_under_curve(np.ones(3), np.empty(0)) is None
    )


@pytest.mark.parametrize("rate", [0.004, 0.01, 0.1, 0.5])
def test_the_threshold_is_the_lowest_that_keeps_the_rate(rate):
    scores = np.random.default_rng(1).normal(size=300)
    threshold = threshold_at(scores, rate)
    assert (scores > threshold).mean() <= rate
    below = np.sort(scores)[np.searchsorted(np.sort(scores), threshold) - 1]
    assert (scores > below).mean() > rate


def test_a_threshold_of_few_scores():
    assert threshold_at(np.array([0.1, 0.7]), 0.01) == 0.7

"""Intervals over training seeds and questions: closed forms, limits, and coverage on simulated scores."""

import numpy as np
import pytest
from scipy import stats

from counterfactory.metrics.seeds import crossed_interval, set_interval


def test_without_an_effect_of_the_seed_the_interval_is_that_of_the_questions():
    questions = np.random.default_rng(0).normal(size=50)
    low, high = crossed_interval(np.stack([questions] * 3))
    half = stats.t.ppf(0.975, 49) * questions.std(ddof=1) / np.sqrt(50)
    assert (low, high) == pytest.approx((questions.mean() - half, questions.mean() + half))


def test_without_an_effect_of_the_question_the_interval_is_that_of_the_seeds():
    seeds = np.array([1.0, 2.0, 6.0])
    low, high = crossed_interval(np.repeat(seeds[:, None], 40, axis=1))
    half = stats.t.ppf(0.975, 2) * seeds.std(ddof=1) / np.sqrt(3)
    assert (low, high) == pytest.approx((3.0 - half, 3.0 + half))


def test_equal_scores_have_no_width():
    assert crossed_interval(np.full((2, 5), 0.25)) == (0.25, 0.25)


@pytest.mark.parametrize(("count", "least"), [(2, 0.89), (3, 0.92), (5, 0.92), (10, 0.92)])
@pytest.mark.parametrize("training", [0.0, 0.05, 0.3])
def test_coverage(count, least, training):
    rng = np.random.default_rng(7)
    trials, questions, hits = 600, 100, 0
    for _ in range(trials):
        scores = training * rng.standard_normal((count, 1)) + rng.exponential(0.7, (1, questions)) - 0.7
        low, high = crossed_interval(scores + 0.7 * rng.standard_normal((count, questions)))
        hits += low <= 0.0 <= high
    # Three standard errors of 600 trials at 95 % are .027. Two seeds cover .92 where the effect of training is as large
    # as the noise of the question, because its estimate is then often zero.
    assert least <= hits / trials <= 0.98


def test_an_interval_over_questions_alone_covers_too_little():
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(300):
        scores = 0.3 * rng.standard_normal() + rng.normal(size=100)
        half = 1.96 * scores.std(ddof=1) / 10.0
        hits += abs(scores.mean()) <= half
    assert hits / 300 < 0.6


def test_scores_of_whole_sets():
    # t with one degree of freedom at 95 % is 12.706; the standard deviation of (1, 3) divided by the root of 2 is 1.
    low, high = set_interval([1.0, 3.0], [(np.nan, np.nan), (np.nan, np.nan)])
    assert (low, high) == pytest.approx((2.0 - 12.7062, 2.0 + 12.7062), abs=1e-4)
    low, high = set_interval([2.0, 2.0], [(1.0, 3.0), (1.5, 2.5)])
    assert (low, high) == pytest.approx((1.25, 2.75))


@pytest.mark.parametrize("values", [np.zeros((1, 5)), np.zeros((5, 1)), np.full((2, 2), np.nan), np.zeros(4)])
def test_too_few_scores_are_refused(values):
    with pytest.raises(ValueError, match="at least two"):
        crossed_interval(values)

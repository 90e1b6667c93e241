"""The bootstrap: closed forms for two scores, the normal limit, the coverage."""

import numpy as np
import pytest

from counterfactory.metrics import bootstrap
from counterfactory.metrics.bootstrap import bootstrap_interval


def test_equal_scores_have_no_spread():
    assert bootstrap_interval(np.full(7, 0.3)) == (0.3, 0.3)
    assert bootstrap_interval(np.array([2.0])) == (2.0, 2.0)


def test_two_scores():
    # The mean of a resample of {0, 1} is 0, 1/2 or 1, with probability 1/4, 1/2, 1/4.
    assert bootstrap_interval(np.array([0.0, 1.0]), level=0.95) == (0.0, 1.0)
    assert bootstrap_interval(np.array([0.0, 1.0]), level=0.30) == (0.5, 0.5)


def test_many_scores_approach_the_normal_interval():
    values = np.random.default_rng(0).exponential(size=4000)
    low, high = bootstrap_interval(values, resamples=4000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_coverage():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(300):
        low, high = bootstrap_interval(rng.normal(size=60), resamples=300, seed=seed)
        hits += low <= 0.0 <= high
    # 0.95 less the known shortfall at n = 60 (about 0.01), within three standard errors of 300 trials.
    assert 0.90 <= hits / 300 <= 0.98


def test_the_interval_is_a_function_of_the_seed(monkeypatch):
    values = np.random.default_rng(2).normal(size=101)
    whole = bootstrap_interval(values, seed=3)
    assert whole == bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    monkeypatch.setattr(bootstrap, "DRAWS", 1000)  # the block size changes nothing
    assert bootstrap_interval(values, seed=3) == whole


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0, 2.0]]])
def test_scores_must_be_finite(values):
    with pytest.raises(ValueError, match="at least one score"):
        bootstrap_interval(np.array(values))

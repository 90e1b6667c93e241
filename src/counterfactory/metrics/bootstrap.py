r"""The percentile bootstrap interval of a mean (Efron, 1979; Efron & Tibshirani, 1993, chapter 13).

From n scores, R resamples of n scores each are drawn with replacement; the interval of level a spans the
quantiles :math:`(1-a)/2` and :math:`(1+a)/2` of their means,

.. math:: \bar m_r = \frac1n \sum_{i=1}^n m_{J_{ri}}, \qquad J_{ri} \sim U\{1, \ldots, n\}

It speaks of the questions drawn, with the trained model held fixed; seeds of training are compared apart.
"""

from collections.abc import Callable

import numpy as np

from ..core.noise import generator

__all__ = ["bootstrap_interval", "bootstrap_statistic"]

DRAWS = 2_000_000  # scores drawn at once, so that memory does not grow with n


def bootstrap_interval(
    values: np.ndarray, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean.

    Arguments:
        values: Finite scores with shape (n,), n at least 1.
        resamples: The number R of resamples.
        level: The interval's level, in (0, 1).
        seed: Where the resamples come from.

    Returns:
        The lower and upper end; both are the mean where all scores are equal.

    Raises:
        ValueError: If there is no score, or one is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError("a bootstrap needs at least one score, and finite ones")
    if values.min() == values.max():
        return float(values[0]), float(values[0])
    draw = generator(seed, "bootstrap")
    means = np.empty(resamples)
    rows = max(1, DRAWS // len(values))
    for start in range(0, resamples, rows):
        part = means[start : start + rows]
        part[:] = values[draw.integers(len(values), size=(len(part), len(values)), dtype=np.int32)].mean(1)
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def bootstrap_statistic(
    statistic: Callable[[np.ndarray], float],
    count: int,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    r"""Returns an interval of a statistic of a whole set, from resamples of its members.

    Statistics such as a Frechet distance or a sum of absolute differences grow with the ties that a resample has, so
    that their percentile interval may lie beside the statistic itself. The spread of the resamples is what the
    interval tells; it is moved so that their mean lies on the statistic,

    .. math:: [\hat\theta + q_{(1-a)/2} - \bar\theta^*, \; \hat\theta + q_{(1+a)/2} - \bar\theta^*]

    It says nothing of the statistic's own bias at this number of members.

    Arguments:
        statistic: Called with the drawn members, int64 (n,); what is not finite is left out.
        count: The number n of members, at least 1.
        resamples: The number of resamples.
        level: The interval's level, in (0, 1).
        seed: Where the resamples come from.

    Returns:
        The lower and upper end; both NaN if no resample has a finite statistic.
    """
    draw = generator(seed, "bootstrap")
    values = np.array([statistic(draw.integers(count, size=count)) for _ in range(resamples)])
    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, np.nan
    ends = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    low, high = statistic(np.arange(count)) + ends - values.mean()
    return float(low), float(high)

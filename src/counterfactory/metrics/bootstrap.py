r"""Bootstrap confidence intervals of means and of statistics of a whole set.

The percentile interval of a mean (Efron, 1979; Efron & Tibshirani, 1993, chapter 13): from n scores, R resamples of n
scores each are drawn with replacement. The interval of level a spans the quantiles :math:`(1-a)/2` and
:math:`(1+a)/2` of their means

.. math:: \bar m_r = \frac1n \sum_{i=1}^n m_{J_{ri}}, \qquad J_{ri} \sim U\{1, \ldots, n\}

The interval covers the sampling of questions for a fixed trained model. It does not cover the training seed.
"""

from collections.abc import Callable

import numpy as np

from ..core.noise import generator

__all__ = ["bootstrap_interval", "bootstrap_statistic"]

DRAWS = 2_000_000
"""The number of scores drawn at once, which bounds the memory."""


def bootstrap_interval(
    values: np.ndarray, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean.

    Arguments:
        values: Finite scores with shape (n,), n at least 1.
        resamples: The number R of resamples.
        level: The level of the interval, in (0, 1).
        seed: The seed of the resamples.

    Returns:
        The lower and upper end; both are the mean if all scores are equal.

    Raises:
        ValueError: If there is no score, or one is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError("a bootstrap requires at least one score and finite scores only")
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
    r"""Returns a bootstrap interval of a statistic of a whole set.

    Repeated members of a resample bias statistics such as a Frechet distance upwards, so the percentile interval may
    exclude the statistic itself. The interval is therefore shifted, so that the mean of the resamples is the
    statistic:

    .. math:: [\hat\theta + q_{(1-a)/2} - \bar\theta^*, \; \hat\theta + q_{(1+a)/2} - \bar\theta^*]

    The bias of the statistic itself at this number of members is not corrected.

    Arguments:
        statistic: Called with the indices of the drawn members, int64 (n,). Results that are not finite are left out.
        count: The number n of members, at least 1.
        resamples: The number of resamples.
        level: The level of the interval, in (0, 1).
        seed: The seed of the resamples.

    Returns:
        The lower and upper end; both NaN if the statistic is not finite in any resample.
    """
    draw = generator(seed, "bootstrap")
    values = np.array([statistic(draw.integers(count, size=count)) for _ in range(resamples)])
    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, np.nan
    ends = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    low, high = statistic(np.arange(count)) + ends - values.mean()
    return float(low), float(high)

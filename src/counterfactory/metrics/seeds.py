r"""Intervals of scores of several training seeds, which cover questions *and* training.

Every seed answers the same questions. The score of seed s on question q is modelled with crossed random effects

.. math:: y_{sq} = \mu + a_s + b_q + e_{sq},

with independent effects of the training seed, of the question and of their combination. With S seeds, n questions and
the mean squares of the two-way analysis of variance (Searle, Casella & McCulloch, 1992, chapter 4)

.. math::
    M_a = \frac{n}{S-1} \sum_s (\bar y_s - \bar y)^2, \quad
    M_b = \frac{S}{n-1} \sum_q (\bar y_q - \bar y)^2, \quad
    M_e = \frac{\sum_{sq} (y_{sq} - \bar y_s - \bar y_q + \bar y)^2}{(S-1)(n-1)},

the variance of the mean is estimated by :math:`(\max(M_a - M_e, 0) + \max(M_b, M_e)) / Sn`. The two parts have S - 1
and n - 1 degrees of freedom. Their half widths are added in quadrature (as in Graybill & Wang, 1980):

.. math:: \bar y \pm \sqrt{\frac{t_{S-1}^2 \max(M_a - M_e, 0) + t_{n-1}^2 \max(M_b, M_e)}{Sn}}

The quantile of Student's t is large for few seeds: 12.7 for two, 4.3 for three, 2.8 for five. Simulated intervals of
95 % cover the mean in 94 to 96 % of the cases with three or more seeds, and in 91 to 96 % with two. They were drawn
with 300 questions and standard deviations of training between 0 and 0.4 times that of a question;
`tests/metrics/test_seeds.py` repeats this with fewer trials.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

__all__ = ["crossed_interval", "set_interval"]


def crossed_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Returns the interval of the mean over questions and training seeds.

    Arguments:
        values: Finite scores with shape (S, n): S seeds, at least 2, and n questions, at least 2.
        level: The level of the interval, in (0, 1).

    Returns:
        The lower and upper end; both are the mean if all scores are equal.

    Raises:
        ValueError: If there are fewer than two seeds or questions, or a score is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise ValueError(
            "an interval over seeds requires at least two seeds, two questions and finite scores"
        )
    seeds, questions = values.shape
    mean = values.mean()
    of_seed, of_question = values.mean(1), values.mean(0)
    training = questions * ((of_seed - mean) ** 2).sum() / (seeds - 1)
    asked = seeds * ((of_question - mean) ** 2).sum() / (questions - 1)
    rest = ((values - of_seed[:, None] - of_question + mean) ** 2).sum() / ((seeds - 1) * (questions - 1))
    half = math.hypot(
        _quantile(level, seeds) * math.sqrt(max(training - rest, 0.0)),
        _quantile(level, questions) * math.sqrt(max(asked, rest)),
    ) / math.sqrt(seeds * questions)
    return float(mean - half), float(mean + half)


def set_interval(
    values: Sequence[float], intervals: Sequence[tuple[float, float]], level: float = 0.95
) -> tuple[float, float]:
    r"""Returns the interval of the mean of a score of whole sets of answers, such as a Frechet distance.

    The half width over seeds, :math:`t_{S-1} s / \sqrt S` with the standard deviation s of the S values, and the mean
    half width of the intervals over questions are added in quadrature. The questions are the same for every seed, so
    the second part does not decrease with S.

    Arguments:
        values: The finite score of each seed, at least two.
        intervals: The interval over questions of each seed; ends that are not finite are left out.
        level: The level of the interval, in (0, 1).

    Raises:
        ValueError: If there are fewer than two seeds, or a score is not finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or len(scores) < 2 or not np.isfinite(scores).all():
        raise ValueError("an interval over seeds requires at least two finite scores")
    halves = [(high - low) / 2.0 for low, high in intervals if math.isfinite(high - low)]
    training = _quantile(level, len(scores)) * scores.std(ddof=1) / math.sqrt(len(scores))
    half = math.hypot(training, sum(halves) / len(halves) if halves else 0.0)
    return float(scores.mean() - half), float(scores.mean() + half)


def _quantile(level: float, count: int) -> float:
    """Returns the two-sided quantile of Student's t with `count` - 1 degrees of freedom."""
    return float(stats.t.ppf(0.5 + level / 2.0, count - 1))

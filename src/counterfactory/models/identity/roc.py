r"""How well a score tells two groups apart: the area under the ROC curve, and thresholds by false accept rate.

.. math:: \mathrm{AUC} = P(s^+ > s^-) + \tfrac12 P(s^+ = s^-), \qquad
   \mathrm{FAR}(\theta) = P(s^- > \theta)

AUC is the Mann-Whitney statistic over the number of pairs (Hanley and McNeil, Radiology, 1982).
"""

import numpy as np

__all__ = ["area_under_curve", "threshold_at"]


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Returns the share of pairs in which the positive scores more, ties counted half; None without either group.

    Arguments:
        positive: Scores that should be high, (N,).
        negative: Scores that should be low, (M,).
    """
    if not len(positive) or not len(negative):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    above = ranks.sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def threshold_at(negative: np.ndarray, rate: float) -> float:
    """Returns the lowest of the scores (N,) that at most a share `rate` of them exceed."""
    ordered = np.sort(negative)
    return float(ordered[len(ordered) - 1 - int(np.floor(rate * len(ordered)))])

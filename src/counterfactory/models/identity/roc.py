r"""The area under the ROC curve, and the threshold at a false accept rate.

With scores :math:`s^+` of positive and :math:`s^-` of negative examples,

.. math:: \mathrm{AUC} = P(s^+ > s^-) + \tfrac12 P(s^+ = s^-), \qquad
   \mathrm{FAR}(\theta) = P(s^- > \theta).

The AUC is the Mann-Whitney statistic divided by the number of pairs (Hanley and McNeil, Radiology, 1982).
"""

import numpy as np

__all__ = ["area_under_curve", "threshold_at"]


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Returns the AUC, or None if one of the groups is empty.

    Arguments:
        positive: Scores of positive examples, (N,).
        negative: Scores of negative examples, (M,).
    """
    if not len(positive) or not len(negative):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    above = ranks.sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def threshold_at(negative: np.ndarray, rate: float) -> float:
    """Returns the lowest of the scores that at most a share `rate` of them exceed.

    Arguments:
        negative: Scores of negative examples, (N,).
        rate: The false accept rate, in [0, 1).
    """
    ordered = np.sort(negative)
    return float(ordered[len(ordered) - 1 - int(np.floor(rate * len(ordered)))])

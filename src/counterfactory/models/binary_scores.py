r"""F1 and balanced accuracy of binary predictions, for labels of which one value is rare.

With the numbers of true and false positives and negatives,

.. math:: F_1 = \frac{2\,\mathrm{TP}}{2\,\mathrm{TP} + \mathrm{FP} + \mathrm{FN}}, \qquad
   \mathrm{balanced\ accuracy} = \frac12 \left( \frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FN}} +
   \frac{\mathrm{TN}}{\mathrm{TN} + \mathrm{FP}} \right)

A predictor that always says "no" about a label of 2 % of the images has an accuracy of .98, a balanced accuracy of .5
and an F1 of 0 (van Rijsbergen, 1979; Brodersen et al., 2010, doi:10.1109/ICPR.2010.764).
"""

import numpy as np

__all__ = ["balanced_accuracy", "f1_score", "positive_weights"]


def f1_score(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Returns F1, in [0, 1]; NaN if no image is positive, in truth or by prediction.

    Arguments:
        predicted: Predictions 0 or 1, with shape (N,).
        truth: Labels 0 or 1, with shape (N,).
    """
    predicted, truth = np.asarray(predicted) == 1, np.asarray(truth) == 1
    counted = int(predicted.sum()) + int(truth.sum())
    return 2.0 * int((predicted & truth).sum()) / counted if counted else float("nan")


def balanced_accuracy(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Returns the mean of the accuracies on positive and on negative images; NaN if one kind is absent.

    The arguments are those of :func:`f1_score`.
    """
    predicted, truth = np.asarray(predicted) == 1, np.asarray(truth) == 1
    if truth.all() or not truth.any():
        return float("nan")
    return (float(predicted[truth].mean()) + float(1.0 - predicted[~truth].mean())) / 2.0


def positive_weights(labels: np.ndarray, limit: float) -> np.ndarray:
    r"""Returns the weight of positive images of each label in the log-likelihood,

    .. math:: w_a = \mathrm{clip}\left(\frac{N^-_a}{N^+_a}, \frac1L, L\right),

    so that both values of a label have the same total weight unless the ratio is clipped.

    Arguments:
        labels: Labels 0 or 1, with shape (N, A).
        limit: The limit L, at least 1; at 1 all weights are 1.

    Returns:
        Float64 weights with shape (A,).
    """
    positive = (np.asarray(labels) > 0).sum(0)
    ratio = (len(labels) - positive) / np.maximum(positive, 1)
    return np.asarray(np.clip(ratio, 1.0 / limit, limit), np.float64)

r"""Composition and reversibility: the L1 distance between an answer and its factual image.

After m null interventions (suite `null`), or m cycles of an intervention and its inverse (suite `reverse`), an ideal
model returns the factual image. The score `l1` is the distance

.. math:: L_1 = \frac{1}{CHW} \sum_p \left| x_p - \hat x^{(m)}_p \right|

in grey levels, between 0 and 255, of the factual image x and the answer after m cycles (Monteiro et al., 2023,
arXiv:2303.01274; Melistas et al., 2024, arXiv:2403.20287). It is composition on the suite `null` and reversibility on
the suite `reverse`; lower is better.
"""

import numpy as np

from .inputs import Score, Scorer, SuiteAnswers
from .resources import Resources

__all__ = ["axioms", "l1_distance", "load"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `l1`, in grey levels."""
    return axioms


def axioms(answers: SuiteAnswers) -> list[Score]:
    """Returns `l1` of each answer to a suite."""
    return [Score("l1", l1_distance(answers.images, answers.factual))]


def l1_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the mean absolute difference over channels and pixels.

    Arguments:
        first: Uint8 images with shape (N, C, H, W).
        second: Uint8 images of the same shape.

    Returns:
        Distances in grey levels, float64 in [0, 255], with shape (N,).
    """
    difference = np.maximum(first, second) - np.minimum(first, second)  # does not wrap around in uint8
    return difference.reshape(len(difference), -1).mean(1, dtype=np.float64)

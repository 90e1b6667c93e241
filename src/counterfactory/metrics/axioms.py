r"""Composition and reversibility: what an answer must leave as it was.

Doing nothing m times over, or setting a parent and setting it back m times over, should return the image:

.. math:: L_1 = \frac{1}{CHW} \sum_p \left| x_p - \hat x^{(m)}_p \right|

on the scale of grey levels 0-255, between the factual image and the answer after m cycles (Monteiro et al.,
2023, arXiv:2303.01274; the same distance in Melistas et al., 2024, arXiv:2403.20287). The suite `null` scores
composition, the suite `reverse` reversibility.
"""

import numpy as np

from .inputs import Answered, Score, Scorer
from .resources import Resources

__all__ = ["axioms", "l1_distance", "load"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `l1`, in grey levels."""
    return axioms


def axioms(answered: Answered) -> list[Score]:
    """Returns the scores of a suite."""
    return [Score("l1", l1_distance(answered.images, answered.factual))]


def l1_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the mean absolute difference over channels and pixels, in grey levels.

    Arguments:
        first: Uint8 images with shape (N, C, H, W).
        second: Uint8 images of the same shape.

    Returns:
        Float64 distances in [0, 255], with shape (N,).
    """
    difference = np.maximum(first, second) - np.minimum(first, second)  # no wrap-around in uint8
    return difference.reshape(len(difference), -1).mean(1, dtype=np.float64)

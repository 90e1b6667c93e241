"""Splits the rows of a split into those that train and those that select the weights."""

import numpy as np

from ..core.noise import generator

__all__ = ["hold_out"]


def hold_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits `count` rows into training and validation rows, equal for all evaluation networks with one seed.

    Arguments:
        count: The number of rows.
        share: The share of validation rows, in (0, 1); there is at least one.
        seed: The seed of the evaluation network.

    Returns:
        The training rows and the validation rows, each sorted.
    """
    order = generator(seed, "judges", "held out").permutation(count)
    size = min(max(1, round(share * count)), count - 1)
    return np.sort(order[size:]), np.sort(order[:size])

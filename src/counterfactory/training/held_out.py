"""Which rows of a split select a network's weights instead of training them."""

import numpy as np

from ..core.noise import generator

__all__ = ["hold_out"]


def hold_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits `count` rows in those that train and those that validate, the same for every judge of a seed.

    Arguments:
        count: The number of rows.
        share: The share that validates, in (0, 1); at least one row does.
        seed: The judges' seed.

    Returns:
        The sorted rows that train and the sorted rows that validate.
    """
    order = generator(seed, "judges", "held out").permutation(count)
    size = min(max(1, round(share * count)), count - 1)
    return np.sort(order[size:]), np.sort(order[:size])

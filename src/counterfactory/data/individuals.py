"""Checks whether enough individuals can be held out from the training of the identity network.

Of n individuals with two images or more, round(s n) are held out, where s is `identity.held_out`, at least 1 and at
most n - 1 (:func:`counterfactory.training.held_out.hold_out`). The configuration is checked before anything is
trained, and the training checks the images that it reads.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["individual_errors", "least_share", "paired"]

FEWEST = 6
"""The smallest number of individuals with two images or more."""

FEWEST_HELD_OUT = 4
"""The smallest number of held-out individuals: two select the weights, two are measured."""


def paired(people: Iterable[object]) -> int:
    """Returns the number of individuals with two images or more.

    Arguments:
        people: The individual that each image shows.
    """
    return sum(count > 1 for count in Counter(people).values())


def least_share(count: int) -> float | None:
    """Returns a share, in steps of 0.01, with which enough of `count` individuals are held out; None: too few exist."""
    return None if count < FEWEST else math.ceil(100 * FEWEST_HELD_OUT / count) / 100


def individual_errors(count: int, share: float, splits: Sequence[str]) -> list[str]:
    """Returns a line if the identity network cannot be trained.

    Arguments:
        count: The number of individuals with two images or more.
        share: `identity.held_out`.
        splits: `identity.splits`.
    """
    where = " and ".join(splits)
    least = least_share(count)
    if least is None:
        keys = " or ".join(f"data.{split}" for split in splits)
        return [
            f"identity: {count} individuals of {where} have two images or more, but {FEWEST} are needed; raise {keys}, "
            "or remove identity from scores.metrics"
        ]
    held = min(max(1, round(share * count)), count - 1)
    if held >= FEWEST_HELD_OUT:
        return []
    return [
        f"identity.held_out is {share:g}, which is {held} of the {count} individuals of {where} with two images or "
        f"more, but {FEWEST_HELD_OUT} are needed; set at least {least:g}"
    ]

r"""Cuts rows into splits by a hash of their groups, independent of the order of the rows.

Rows with the same group, such as an individual, are never in two splits. Groups are sorted by

.. math:: \mathrm{SHA256}(\text{seed} / \text{group})

and each is put into the first of `test`, `judges`, `valid` and `train` that has room for all of its rows. A group that
no split has room for is left out.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["ORDER", "SHARES", "cut", "portions", "rank"]

SHARES = {"train": 0.6, "valid": 0.05, "judges": 0.2, "test": 0.15}
"""The default shares of the splits."""

ORDER = ("test", "judges", "valid", "train")
"""The splits in the order in which they are filled."""


def rank(seed: int, group: str) -> str:
    """Returns the key by which groups are sorted in the random order of a seed, a text."""
    return hashlib.sha256(f"{seed}/{group}".encode()).hexdigest()


def portions(splits: Iterable[str], count: int) -> dict[str, int]:
    """Returns the number of rows of each split but `train`, if `count` rows are divided by :data:`SHARES`.

    Arguments:
        splits: The splits that are filled, with `train`; the shares are divided by their sum.
        count: The number of rows.
    """
    splits = list(splits)
    whole = sum(SHARES[split] for split in splits)
    return {split: max(1, int(SHARES[split] / whole * count)) for split in splits if split != "train"}


def cut(groups: Sequence[str], sizes: Mapping[str, int], seed: int) -> dict[str, list[int]]:
    """Returns the rows of each split.

    Arguments:
        groups: The group of each row.
        sizes: The largest number of rows of each split that is filled. If there are fewer rows than their sum, no split
            but `train` has more rows than its share, the value in :data:`SHARES` divided by the sum over the given
            splits; `train` has the others.
        seed: The seed of the order.

    Returns:
        For each split of `sizes` its rows. Rows of one group are neighbours, in ascending order.
    """
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    room = {split: sizes[split] for split in ORDER if split in sizes}
    if sum(sizes.values()) > len(groups):
        others = {split: min(room[split], count) for split, count in portions(sizes, len(groups)).items()}
        room |= others | {"train": min(sizes["train"], len(groups) - sum(others.values()))}
    found: dict[str, list[int]] = {split: [] for split in sizes}
    for group in sorted(members, key=lambda one: (rank(seed, one), one)):
        rows = members[group]
        split = next((one for one in room if room[one] >= len(rows)), None)
        if split is not None:
            found[split] += rows
            room[split] -= len(rows)
    return found

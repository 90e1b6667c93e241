"""Checks whether a table of images or the folder of CelebA holds what a configuration asks for.

The table and the lists are read, but no image. The checks are those of the steps that read the images and train the
identity network; here they are made before the workflow plans its steps.
"""

import io
from collections.abc import Iterator
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from ..data.individuals import individual_errors, paired
from ..data.variable import SPLITS
from .model_checks import used_networks

if TYPE_CHECKING:
    import pandas as pd

    from .settings import Settings

__all__ = ["data_errors"]


def data_errors(settings: "Settings") -> Iterator[str]:
    """Yields one line for each reason why the images of `folder` or `celeba` cannot be read as the settings ask.

    Arguments:
        settings: The whole configuration.
    """
    check = {"folder": _folder_people, "celeba": _celeba_people}.get(settings.dataset)
    if check is None:
        return
    try:
        people = check(settings)
    except UserError as error:
        yield from str(error).splitlines()
        return
    trained = settings.identity.network.name == "trained" and "identity" in used_networks(settings)
    if people is not None and trained:
        splits = settings.identity.splits
        count = paired(person for split in splits for person in people[split])
        yield from individual_errors(count, settings.identity.held_out, splits)


def _folder_people(settings: "Settings") -> dict[str, list[Any]] | None:
    """Returns the individuals of the images of each split, or None without a column of identities."""
    from ..data.folder_splits import planned_rows

    rows, splits = planned_rows(settings.data)
    if settings.data.identity_column is None:
        return None
    return {split: [rows[position].identity for position in splits[split]] for split in SPLITS}


def _celeba_people(settings: "Settings") -> dict[str, list[Any]] | None:
    """Returns the persons of the images of each split, or None without a list of identities."""
    from ..data.celeba import divide
    from ..data.celeba_lists import read_lists

    with redirect_stderr(io.StringIO()):  # the step itself prints what it leaves out
        table = read_lists(settings.data.celeba.folder)
        _check_sizes(table, settings)
        splits = divide(table, settings.data)
    if "identity" not in table:
        return None
    return {split: list(one["identity"]) for split, one in splits.items()}


def _check_sizes(table: "pd.DataFrame", settings: "Settings") -> None:
    """Refuses sizes of splits that a partition lacks images for, with sizes that it has images for.

    Raises:
        UserError: If a partition has too few images.
    """
    data = settings.data
    test = data.celeba.test_partition
    people = table["identity"] if "identity" in table else table["index"]
    others = set(people[table["partition"] != 0])
    lines = []
    for number, splits in {0: ("train", "judges"), 3 - test: ("valid",), test: ("test",)}.items():
        own = people[table["partition"] == number]
        if number == 0:
            own = own[~own.isin(others)]
        wanted = {split: getattr(data, split) for split in splits}
        total = sum(wanted.values())
        # Between two splits, the images of at most one person are not used.
        lost = int(own.value_counts().max()) - 1 if number == 0 and len(own) else 0
        room = len(own) - lost
        if total <= len(own):
            continue
        keys = " + ".join(f"data.{split}" for split in splits)
        fitting = {split: count * room // total for split, count in wanted.items()}
        remedy = "add images"
        if min(fitting.values()) >= 1:
            remedy = ", ".join(f"data.{split}: {count:,}" for split, count in fitting.items())
            remedy = f"set for example {remedy}"
        lines.append(
            f"{keys} is {total:,}, but partition {number} has {len(own):,} images in {data.celeba.folder}; {remedy}"
        )
    if lines:
        raise UserError("\n".join(lines))

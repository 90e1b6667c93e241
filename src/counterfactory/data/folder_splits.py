"""Divides the rows of a table of images into the four splits, as :mod:`counterfactory.data.folder` describes."""

from typing import TYPE_CHECKING

from ..core.errors import UserError
from .folder_rows import Notes, Row, read_rows
from .own_images import annotated
from .splits import ORDER, cut, rank
from .variable import SPLITS

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = ["COPIES", "planned_rows", "refuse_faults", "split_rows"]

COPIES = "copies of an image of another split"
"""The kind of fault of a row whose file is, with the same content, in another split."""

REFUSED = 10
"""The number of faults that an error shows."""


def planned_rows(settings: "DataSettings") -> tuple[list[Row], dict[str, list[int]]]:
    """Returns the rows of a table and the positions of those of each split, without reading an image.

    Images that cannot be read and copies of files are not known yet. With a column of identities or of splits, all
    other rows are in the split that they have later.

    Raises:
        UserError: If a split is empty, a row has a fault and `faults` is `refuse`, or all values of a continuous
            variable without a range are equal.
    """
    notes, found = Notes(), annotated(settings)
    rows = read_rows(found, settings, notes)
    refuse_faults(settings, notes)
    for name in sorted(found.automatic) if rows else ():
        values = {row.values[name] for row in rows}
        if len(values) == 1:
            raise UserError(
                f"data: {name} is {values.pop():g} in all images; leave it out, or name its range"
            )
    return rows, split_rows(rows, [row.name for row in rows], settings, notes)


def refuse_faults(settings: "DataSettings", notes: Notes) -> None:
    """Raises an error that shows the first faults, if there are any and `faults` is `refuse`."""
    if not notes.faults or settings.faults != "refuse":
        return
    lines = [line for _, _, line in sorted(notes.faults, key=lambda note: note[1])]
    more = [f"and {len(lines) - REFUSED:,} more"] if len(lines) > REFUSED else []
    word = "1 row has a fault" if len(lines) == 1 else f"{len(lines):,} rows have faults"
    raise UserError(
        "\n".join([f"data: {word}; correct them, or set data.faults: skip", *lines[:REFUSED], *more])
    )


def split_rows(
    rows: list[Row], digests: list[str], settings: "DataSettings", notes: Notes
) -> dict[str, list[int]]:
    """Returns the positions of the rows of each split, in the random order of the seed.

    Arguments:
        rows: The rows that can be used.
        digests: The hash of the file of each row.
        settings: The section `data`.
        notes: The faults of the other rows, which explain an empty split; copies are added to it.

    Raises:
        UserError: If a split is empty, or an individual is in two splits of the table.
    """
    groups = [row.identity or digest for row, digest in zip(rows, digests, strict=True)]
    sizes = {split: getattr(settings, split) for split in SPLITS}
    if settings.split_column is None:
        found = cut(groups, sizes, settings.seed)
    else:
        _check_individuals(rows, settings)
        named = {split: [i for i, row in enumerate(rows) if row.split == split] for split in SPLITS}
        pool = named["train"]
        filled = {split: sizes[split] for split in SPLITS if split == "train" or not named[split]}
        if len(filled) > 1:
            parts = cut([groups[i] for i in pool], filled, settings.seed)
            named |= {split: [pool[i] for i in part] for split, part in parts.items()}
        found = named
    _leave_out_copies(found, rows, digests, notes)
    for split, positions in found.items():
        positions.sort(key=lambda i: (rank(settings.seed, digests[i]), rows[i].name))
        found[split] = positions[: sizes[split]]
        if not found[split]:
            raise UserError(f"data.{split}: no image is left for this split; {_remedy(rows, notes)}")
    return found


def _remedy(rows: list[Row], notes: Notes) -> str:
    """Returns why rows are left out, with the first one of each kind, and what to do."""
    if not notes.faults:
        return "name a larger table, or more individuals"
    first: dict[str, str] = {}
    counts: dict[str, int] = {}
    for kind, _, line in notes.faults:
        first.setdefault(kind, line.removesuffix("; left out"))
        counts[kind] = counts.get(kind, 0) + 1
    reasons = "; ".join(f"{counts[kind]:,} x {kind}, such as {line}" for kind, line in first.items())
    usable = len(rows) - counts.get(COPIES, 0)
    total = usable + len(notes.faults)
    return f"{usable:,} of {total:,} rows can be used; left out: {reasons}; correct them, or the section data"


def _leave_out_copies(
    splits: dict[str, list[int]], rows: list[Row], digests: list[str], notes: Notes
) -> None:
    """Keeps files of equal content only in the first split of :data:`ORDER` that has one.

    Raises:
        UserError: If no image of a split is left.
    """
    home: dict[str, tuple[str, str]] = {}
    for split in ORDER:
        for i in splits[split]:
            home.setdefault(digests[i], (split, rows[i].name))
    for split, positions in splits.items():
        for i in positions:
            own, name = home[digests[i]]
            if own != split:
                text = f"{rows[i].name}: in the split {split}, with the same content as {name} in {own}"
                notes.fault(COPIES, rows[i].number, text)
        splits[split] = [i for i in positions if home[digests[i]][0] == split]
        if positions and not splits[split]:
            raise UserError(
                f"data.{split}: all {len(positions):,} images of this split are copies of images of other splits; "
                "remove copies from the table"
            )


def _check_individuals(rows: list[Row], settings: "DataSettings") -> None:
    """Refuses a table that puts an individual into two splits."""
    seen: dict[str, Row] = {}
    for row in rows if settings.identity_column else ():
        first = seen.setdefault(row.identity, row)
        if first.split != row.split:
            raise UserError(
                f"data.split_column: {settings.split_column}: {settings.identity_column} {row.identity!r} is in "
                f"{first.split} (row {first.number}) and in {row.split} (row {row.number}); correct the table, or "
                "remove a key"
            )

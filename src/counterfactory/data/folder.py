"""Reads a folder of image files and a table of their annotations as a data set.

The section `data` of the configuration names the folder, the table and the causal graph
(:mod:`counterfactory.data.own_images`). Images are read as :mod:`counterfactory.data.photographs` describes.

Splits are read from the column that names them. Without such a column they are cut by groups of rows
(:mod:`counterfactory.data.splits`): the group of a row is its individual, or, without a column of identities, the
content of its file.

If files of equal content are in several splits, because of the column of splits or of identities, a test image would be
a training image too. Such files are kept in one split, the first of `test`, `judges`, `valid` and `train` that has one,
and the rows of the other splits are left out. Only files that are equal byte by byte are found, not an image that was
saved again.

Every row that is left out and every image that was converted has a line in `notes.txt`, or in `faults.txt` if no data
set can be made. No true counterfactuals are known.
"""

import hashlib
import sys
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from ..core.errors import UserError
from ..core.files import write_text
from ..core.progress import progress
from .dataset import SPLITS, described_by, save_dataset, save_split
from .folder_rows import Notes, Row, read_rows
from .folder_splits import COPIES, refuse_faults, split_rows
from .own_images import Annotated, annotated, declare
from .photographs import kind_of, read_photograph
from .registry import DatasetEntry
from .variable import Variable

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = ["synthesise"]

CHUNK = 256
"""Images read between two updates of the progress line."""

FIRST_ROW = "row 1 is the first one below the header"
"""The line before the rows of `notes.txt`, which says how they are counted."""

FAULTS = "faults.txt"
"""The file that lists the irregularities if no data set can be made."""


def synthesise(
    settings: "DataSettings", confounded: bool, digits: Path | str, out: Path | str, threads: int = 1
) -> None:
    """Writes the four splits, `dataset.json` and `notes.txt`.

    Attributes have the columns `index` (the row of the table, from 1), `file`, `identity` (a number for each
    individual, with a column of identities), the variables and the labels.

    Arguments:
        settings: The section `data`.
        confounded: Has no effect: photographs cannot be made again with other attributes.
        digits: Not read.
        out: The output folder.
        threads: The number of reading threads; no image depends on it.

    Raises:
        UserError: If the folder or the table is missing or damaged, there are too few images, or a row has a fault and
            `faults` is `refuse`.
    """
    out = Path(out)
    found = annotated(settings)
    notes = Notes()
    rows = read_rows(found, settings, notes)
    rows, images, digests = _read(rows, settings, notes, threads)
    try:
        splits = split_rows(rows, digests, settings, notes)
        refuse_faults(settings, notes)
    except UserError as error:
        if not notes.lines():
            raise
        # The workflow removes notes.txt, an output of the step, if the step fails.
        write_text(out / FAULTS, "\n".join([*notes.summary(), "", FIRST_ROW, *notes.lines()]) + "\n")
        raise UserError(f"{error}\nAll irregularities are listed in {out / FAULTS}") from None
    (out / FAULTS).unlink(missing_ok=True)
    entry = declare(_entry(), settings)
    variables = _with_ranges(found, entry.variables, rows, splits["train"])
    labels = _with_ranges(found, entry.labels, rows, splits["train"])
    _check_classes((*variables, *labels), rows, splits, notes)

    people = {word: number for number, word in enumerate(sorted({row.identity for row in rows}))}
    for split in SPLITS:
        chosen = [rows[position] for position in splits[split]]
        columns: dict[str, Any] = {
            "index": [row.number for row in chosen],
            "file": [row.name for row in chosen],
        }
        if settings.identity_column:
            columns["identity"] = [people[row.identity] for row in chosen]
        for variable in (*variables, *labels):
            kind = np.int64 if variable.classes else np.float64
            columns[variable.name] = np.array([row.values[variable.name] for row in chosen], kind)
        save_split(out, split, images[splits[split]], pd.DataFrame(columns))
    counts = ", ".join(f"{split} {len(splits[split]):,}" for split in SPLITS)
    spare = len(rows) - sum(map(len, splits.values())) - sum(kind == COPIES for kind, _, _ in notes.faults)
    head = [
        f"{found.table.path.name}: {len(found.table) + len(found.table.ragged):,} rows, {len(notes.faults):,} left out",
        f"images per split: {counts}"
        + (f"; {spare:,} not used: {_full(rows, splits, settings)}" if spare else ""),
        *notes.summary(),
    ]
    print("\n".join(head), file=sys.stderr)
    write_text(out / "notes.txt", "\n".join([*head, "", FIRST_ROW, *notes.lines()]) + "\n")
    save_dataset(
        out, described_by("folder", replace(entry, variables=variables, labels=labels), settings.image_size)
    )


def _full(rows: list[Row], splits: dict[str, list[int]], settings: "DataSettings") -> str:
    """Returns why images are in no split: the keys that limit their splits, or that their group has no room."""
    sizes = {split: getattr(settings, split) for split in SPLITS}
    full = [split for split in SPLITS if len(splits[split]) >= sizes[split]]
    if settings.split_column:
        named = Counter(row.split for row in rows)
        full = [split for split in full if named[split] > sizes[split]]
    elif sum(sizes.values()) >= len(rows):
        full = []
    if full:
        return ", ".join(f"data.{split} is {sizes[split]:,}" for split in full)
    group = "images of their individual" if settings.identity_column else "copies of their file"
    return f"no split has room for all {group}"


def _entry() -> DatasetEntry:
    """Returns an entry without variables, which the section `data` completes."""
    return DatasetEntry(variables=(), origin="", train=0, test=0)


def _read(
    rows: list[Row], settings: "DataSettings", notes: Notes, threads: int
) -> tuple[list[Row], np.ndarray, list[str]]:
    """Reads the images: the rows that can be read, uint8 (N, C, H, W), and the hash of each file."""
    size, channels = settings.image_size, settings.channels
    images = np.empty((len(rows), channels, size, size), np.uint8)

    def one(row: Row) -> tuple[Any, str]:
        try:
            pixels = read_photograph(row.path, channels, size, settings.crop, settings.filter)
            return pixels, hashlib.sha256(row.path.read_bytes()).hexdigest()
        except UserError as error:
            return str(error), ""

    kept: list[Row] = []
    digests: list[str] = []
    copies: dict[str, Row] = {}
    with ThreadPoolExecutor(max(1, threads)) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # such images are refused
        starts = range(0, len(rows), CHUNK)
        # Without rows there is no progress to show.
        for start in progress(starts, len(starts), "read images", "chunks") if rows else ():
            part = rows[start : start + CHUNK]
            for row, (photograph, digest) in zip(part, pool.map(one, part), strict=True):
                if isinstance(photograph, str):
                    notes.fault("unreadable images", row.number, photograph.partition("; ")[0])
                    continue
                for converted in photograph.converted:
                    notes.remark(f"images: {kind_of(converted)}", row.number, f"{row.name}: {converted}")
                first = copies.setdefault(digest, row)
                if first is not row:
                    other = (row.values, row.identity) != (first.values, first.identity)
                    notes.remark(
                        "copies of a file" + ", but with other values" * other,
                        row.number,
                        f"{row.name}: the same content as {first.name}" + ", but other values" * other,
                    )
                images[len(kept)] = photograph.pixels
                kept.append(row)
                digests.append(digest)
    return kept, images[: len(kept)], digests


def _with_ranges(
    found: Annotated, variables: tuple[Variable, ...], rows: list[Row], train: list[int]
) -> tuple[Variable, ...]:
    """Returns the variables, the automatic ranges those of the train split.

    Raises:
        UserError: If all values of a continuous variable are equal.
    """
    made = []
    for variable in variables:
        if variable.name in found.automatic:
            values = [rows[position].values[variable.name] for position in train]
            low, high = min(values), max(values)
            if not low < high:
                raise UserError(f"data: {variable.name} is {low:g} in all train images; leave it out")
            variable = replace(variable, low=low, high=high)
        made.append(variable)
    return tuple(made)


def _check_classes(
    variables: tuple[Variable, ...], rows: list[Row], splits: dict[str, list[int]], notes: Notes
) -> None:
    """Notes classes that no image of a split has."""
    for variable in variables:
        for split in SPLITS if variable.classes else ():
            seen = {rows[position].values[variable.name] for position in splits[split]}
            lacking = [name for label, name in enumerate(variable.names) if label not in seen]
            if lacking:
                notes.remark(
                    "classes that a split lacks",
                    0,
                    f"{variable.name}: {split} has no image of {', '.join(lacking[:10])}",
                )

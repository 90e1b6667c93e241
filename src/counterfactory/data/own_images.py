"""Declares the data set `folder`: the variables, labels and split sizes that a table and the configuration describe.

What the section `data` leaves out is inferred from the table (:mod:`counterfactory.data.columns`). This module
imports neither numpy nor pandas, so that a configuration can be planned.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from ..core.names import nearest
from .column_roles import RESERVED, key_of, role_of, split_of
from .columns import class_words, look
from .cycles import check_acyclic
from .numerals import numerals_of
from .splits import portions
from .tables import Table, find_table, read_columns
from .variable import SPLITS, Variable

if TYPE_CHECKING:
    from .registry import DatasetEntry

__all__ = [
    "FEWEST_IMAGES",
    "SUFFIXES",
    "Annotated",
    "annotated",
    "declare",
    "find_image_column",
    "images_in",
    "leads_out",
    "listing",
    "locate",
    "planned_counts",
]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
"""The endings of image files, in small letters."""

LOOKED = 200
"""The number of cells of a column that are searched for names of files."""

FEWEST_IMAGES = 20
"""The smallest number of rows of a table."""


@dataclass(frozen=True)
class Annotated:
    """A table of images and the meaning of its columns.

    Arguments:
        table: The table.
        folder: The folder of the images.
        image: The column with the names of the files.
        variables: The parents of the image; the range of a continuous one is that of the configuration, or 0 to 1.
        labels: The annotated columns that are no parents.
        columns: The column in the table of each variable and label.
        automatic: The continuous ones whose range is that of the train split.
    """

    table: Table
    folder: Path
    image: str
    variables: tuple[Variable, ...]
    labels: tuple[Variable, ...]
    columns: Mapping[str, str]
    automatic: frozenset[str]


def declare(entry: "DatasetEntry", section: Any) -> "DatasetEntry":
    """Returns the declaration of the data set `folder`.

    Arguments:
        entry: The entry of the registry.
        section: The section `data`.

    Raises:
        UserError: If the section does not describe the table, or the folder or the table is missing.
    """
    if section.folder is None:
        raise UserError("data.folder is null, but dataset: folder requires it; name the folder of the images")
    found = annotated(section)
    names = [variable.name for variable in found.variables]
    return replace(
        entry,
        variables=found.variables,
        labels=found.labels,
        edges=_edges(section, names),
        channels=section.channels,
        origin=found.table.path.name,
        inputs=(str(found.table.path),),
        identities=section.identity_column is not None,
        images=str(found.folder),
        title=found.folder.resolve().name,
        flips=tuple(variable.name for variable in found.variables if variable.classes),
        sizes=planned_counts(found.table, section),
    )


def annotated(section: Any) -> Annotated:
    """Reads the table of images that the section `data` describes.

    Raises:
        UserError: As :func:`declare`.
    """
    folder = Path(section.folder).expanduser()
    table = read_columns(find_table(folder, section.table))
    image = section.image_column or find_image_column(table, folder)
    table.column(image, "data.image_column")
    taken = {image}
    for key in ("identity_column", "split_column"):
        if (column := getattr(section, key)) is not None:
            table.column(column, f"data.{key}")
            taken.add(column)
    given = {name: one for name, one in section.variables.items() if one is not None}
    labels = {name: one for name, one in section.labels.items() if one is not None}
    chosen = {"variables": given, "labels": labels}
    columns = {
        name: _column_of(name, one.column, table, f"data.{part}.{name}")
        for part, ones in chosen.items()
        for name, one in ones.items()
    }
    twice = sorted(set(given) & set(labels))
    if twice:
        raise UserError(f"data.labels.{twice[0]} is a variable too; remove it from one of them")
    if not given:
        # By name, so that the order of the columns does not matter.
        for column in sorted(table.columns, key=lambda name: (name.lower(), name)):
            looks = look(table.columns[column])
            if column in {*taken, *columns.values()} or role_of(column, table, looks) != "variable":
                continue
            columns[key_of(column, columns)] = column
    names = [*given, *(name for name in columns if name not in {*given, *labels})]
    if not names:
        raise UserError(f"data.variables: no column of {table.path} looks like a variable; name at least one")
    made = {name: _variable(name, {**given, **labels}.get(name), table, columns[name]) for name in columns}
    for reserved in RESERVED:
        if reserved in made:
            raise UserError(
                f"data.variables.{reserved}: this name is reserved; choose another one, with column: {reserved}"
            )
    own = {**given, **labels}
    return Annotated(
        table,
        folder,
        image,
        tuple(made[name] for name in names),
        tuple(made[name] for name in labels),
        columns,
        frozenset(
            name
            for name, one in made.items()
            if one.kind == "continuous" and (name not in own or own[name].range == "auto")
        ),
    )


def find_image_column(table: Table, folder: Path) -> str:
    """Returns the column of a table that holds names of image files in a folder.

    Raises:
        UserError: If there is none.
    """
    if best := _with_most_images(table, folder):
        return best
    for other in dict.fromkeys((folder.absolute().parent, table.path.absolute().parent)):
        if column := _with_most_images(table, other):
            raise UserError(
                f"data.folder: column {column!r} of {table.path} holds names of images in {other}, not in {folder}; "
                "name that folder"
            )
    raise UserError(
        f"data.image_column: no column of {table.path} holds names of images in {folder}; name the column, or "
        "correct data.folder"
    )


def _with_most_images(table: Table, folder: Path) -> str:
    """Returns the column with the most names of images in a folder; an empty text if none has any."""
    best, most = "", 0
    for name, cells in table.columns.items():
        step = max(1, len(cells) // LOOKED)
        hits = sum(locate(folder, cell) is not None for cell in cells[::step][:LOOKED])
        if hits > most:
            best, most = name, hits
    return best


def locate(folder: Path, cell: str) -> Path | None:
    """Returns the image file that a cell names, relative to a folder, with or without its ending, or None.

    An absolute path below the folder is accepted. A name that leads out of the folder counts as missing.
    """
    if os.path.isabs(cell) and Path(cell).is_relative_to(folder.absolute()):
        cell = str(Path(cell).relative_to(folder.absolute()))
    if not cell or "\0" in cell or leads_out(cell):
        return None
    path = folder / cell
    endings = (ending for suffix in SUFFIXES for ending in (suffix, suffix.upper()))
    try:
        if path.is_file():
            return path
        return next((one for ending in endings if (one := folder / f"{cell}{ending}").is_file()), None)
    except OSError:
        return None


def leads_out(cell: str) -> bool:
    """Returns whether a name of a file leads out of the folder that it is relative to."""
    return os.path.isabs(cell) or ".." in Path(cell).parts


def _column_of(name: str, column: str | None, table: Table, key: str) -> str:
    if column is not None or name in table.columns:
        table.column(column or name, f"{key}.column")
        return column or name
    alike = [one for one in table.columns if key_of(one) == name]
    if len(alike) != 1:
        raise UserError(
            f"{key}: {table.path} has no column {name!r}; add column: its name; "
            f"{nearest(name, map(key_of, table.columns))}"
        )
    return alike[0]


def _variable(name: str, own: Any, table: Table, column: str) -> Variable:
    """Returns a variable; what the configuration leaves out is inferred from its column."""
    cells = table.columns[column]
    kind, classes, key = (own.type, tuple(own.classes), name) if own else ("auto", (), name)
    if kind == "auto":
        kind = "categorical" if classes else look(cells).kind
    if kind == "text":
        raise UserError(
            f"data: {key}: column {column!r} looks like text; set its type and classes, or leave it out"
        )
    unit = own.unit if own else ""
    if kind == "continuous":
        if (numerals := numerals_of(cells)).ambiguous:
            raise UserError(
                f"data: {key}: column {column!r} has {numerals.ambiguous!r}, which can be {numerals.other()}; write it "
                "without separators of thousands and with a decimal point"
            )
        low, high = (0.0, 1.0) if own is None or own.range == "auto" else own.range
        if not low < high:
            raise UserError(
                f"data: {key}.range is [{low:g}, {high:g}]; the first number must be less than the second"
            )
        return Variable(name, "continuous", unit, low, high)
    words = classes or (("no", "yes") if kind == "binary" else class_words(cells))
    if len(words) < 2 or len(words) > 1_000 or (kind == "binary" and len(words) != 2):
        wanted = "2" if kind == "binary" else "2 to 1,000"
        raise UserError(f"data: {key} has {len(words)} classes; it must have {wanted}, or be continuous")
    if len(set(words)) < len(words):
        raise UserError(f"data: {key}.classes contains a word twice; remove one")
    return Variable(name, "categorical", unit, classes=len(words), names=words)


def _edges(section: Any, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    edges = tuple((cause, effect) for cause, effect in section.edges)
    for name in (name for edge in edges for name in edge):
        if name not in names:
            raise UserError(f"data.edges contains {name!r}, which is no variable; {nearest(name, names)}")
    check_acyclic(edges, "data.edges")
    return edges


def planned_counts(table: Table, section: Any) -> dict[str, int]:
    """Returns the number of images of each split, if no row has a fault.

    Arguments:
        table: The table.
        section: The section `data`.

    Raises:
        UserError: If a split has no row, or the table has too few.
    """
    total = len(table)
    if section.split_column is None:
        found = dict.fromkeys(SPLITS, 0) | {"train": total}
    else:
        cells = [split_of(cell, section.split_values) for cell in table.columns[section.split_column]]
        found = {split: cells.count(split) for split in SPLITS}
        if not found["train"]:
            words = ", ".join(sorted(set(table.columns[section.split_column]))[:6])
            raise UserError(
                f"data.split_column: no value of {section.split_column} ({words}) names the split train; set "
                "data.split_values, such as {'0': train}"
            )
    missing = [split for split in SPLITS if not found[split]]
    pool = found["train"]
    cut = portions(dict.fromkeys(["train", *missing]), pool)
    counts = {**found, **cut, "train": pool - sum(cut.values())}
    if total < FEWEST_IMAGES:
        raise UserError(
            f"data.table: {table.path} has {total} rows, but at least {FEWEST_IMAGES} are required; name a larger one"
        )
    for split, count in counts.items():
        if count < 1:
            raise UserError(
                f"data.table: {table.path} has {total} rows, which leave {count} for the split {split}; name a larger "
                "table"
            )
    return counts


def listing(folder: Path | str) -> str:
    """Returns a hash of the names and sizes of the image files of a folder and its subfolders; empty for no folder.

    A step that has it as a parameter runs again when a file is added, removed or replaced by one of another size.
    """
    if not folder:
        return ""
    folder = Path(folder)
    lines = [f"{name}\t{(folder / name).stat().st_size}" for name in images_in(folder)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def images_in(folder: Path) -> Iterator[str]:
    """Yields the image files of a folder and its subfolders, as sorted paths below it."""
    found = []
    for place, _, files in os.walk(folder):
        found += [
            os.path.relpath(os.path.join(place, file), folder)
            for file in files
            if file.lower().endswith(SUFFIXES)
        ]
    yield from sorted(found)

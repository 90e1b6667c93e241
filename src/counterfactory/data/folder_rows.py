"""Reads the rows of a table of images: the file and the values of each row, and its faults."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .column_roles import split_of
from .columns import cell_reader, is_missing
from .numerals import numerals_of
from .own_images import Annotated, images_in, leads_out, locate
from .variable import Variable

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = ["Notes", "Row", "counted", "one_line", "read_rows"]

SHOWN = 20
"""The number of spellings or files that one line names."""


@dataclass
class Row:
    """One image with its values.

    Arguments:
        number: The row of the table, from 1 without the header.
        name: The cell with the name of the file.
        path: The file.
        values: The number of each variable and label.
        identity: The individual, or an empty text.
        split: The split that the table names, or an empty text.
    """

    number: int
    name: str
    path: Path
    values: dict[str, float]
    identity: str = ""
    split: str = ""


@dataclass
class Notes:
    """Collects the faults of rows and remarks about a folder of images, one line each, by kind.

    Arguments:
        faults: The rows that are left out because something is wrong: kind, row and line.
        unused: The rows that are not used because the table asks for it: kind, row and line.
        remarks: Conversions and irregularities: kind, row (0: the whole table) and line.
    """

    faults: list[tuple[str, int, str]] = field(default_factory=list)
    unused: list[tuple[str, int, str]] = field(default_factory=list)
    remarks: list[tuple[str, int, str]] = field(default_factory=list)

    def fault(self, kind: str, row: int, text: str) -> None:
        """Records the fault of a row, which is left out."""
        self.faults.append((kind, row, f"row {row}: {one_line(text)}; left out"))

    def skip(self, kind: str, row: int, text: str) -> None:
        """Records a row that is not used."""
        self.unused.append((kind, row, f"row {row}: {one_line(text)}; not used"))

    def remark(self, kind: str, row: int, text: str) -> None:
        """Records a remark about a row, or about the whole table (row 0)."""
        self.remarks.append((kind, row, one_line(f"row {row}: {text}" if row else text)))

    def summary(self) -> list[str]:
        """Returns one line for each kind, with the number of rows."""
        parts = {"left out": self.faults, "not used": self.unused, "noticed": self.remarks}
        return [
            f"{word}: {count:,} x {kind}"
            for word, ones in parts.items()
            for kind, count in Counter(kind for kind, _, _ in ones).items()
        ]

    def lines(self) -> list[str]:
        """Returns all lines, in the order of the rows."""
        return [line for _, _, line in sorted([*self.faults, *self.unused, *self.remarks], key=_by_row)]

    def irregularities(self) -> list[str]:
        """Returns the lines of faults and remarks, in the order of the rows."""
        return [line for _, _, line in sorted([*self.faults, *self.remarks], key=_by_row)]


def _by_row(note: tuple[str, int, str]) -> int:
    return note[1]


def one_line(text: str) -> str:
    """Returns a text as one line; other characters than printable ones are written as escapes, such as `\\x7f`."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in " ".join(text.split()))


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun, in the plural unless the number is 1."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def read_rows(found: Annotated, settings: "DataSettings", notes: Notes) -> list[Row]:
    """Returns the rows whose values are complete and whose file exists, in the order of the table.

    Arguments:
        found: The table.
        settings: The section `data`.
        notes: Faults and remarks are added to it.
    """
    table = found.table
    for number in table.ragged:
        notes.fault(
            "rows with another number of cells than the header",
            number,
            "another number of cells than the header",
        )
    kinds = {variable.name: variable for variable in (*found.variables, *found.labels)}
    cells = {name: table.columns[found.columns[name]] for name in kinds}
    readers = {name: cell_reader(variable, numerals_of(cells[name])) for name, variable in kinds.items()}
    _spellings(kinds, cells, notes)
    images = table.columns[found.image]
    identities = table.columns[settings.identity_column] if settings.identity_column else None
    splits = table.columns[settings.split_column] if settings.split_column else None
    rows = []
    for position, (number, image) in enumerate(zip(table.rows, images, strict=True)):
        if is_missing(image):
            notes.fault("rows without an image", number, "names no image")
            continue
        row = Row(number, image, found.folder / image, {})
        if splits is not None and not _split(row, splits[position], settings, notes):
            continue
        if identities is not None:
            row.identity = identities[position]
            if is_missing(row.identity):
                notes.fault("missing values", number, f"{image}: {settings.identity_column} is missing")
                continue
        path = locate(found.folder, image)
        if path is None:
            why = "leads out of" if leads_out(image) else "no such file in"
            notes.fault("missing files", number, f"{image}: {why} {found.folder}")
            continue
        row.path = path
        if " " in image:
            notes.remark("names with blanks", number, f"{image!r}: a name with blanks")
        if _values(row, {name: column[position] for name, column in cells.items()}, found, readers, notes):
            rows.append(row)
    rows = _without_duplicates(rows, notes)
    named = {str(row.path) for row in rows} | {str(locate(found.folder, image)) for image in images}
    unnamed = [name for name in images_in(found.folder) if str(found.folder / name) not in named]
    if unnamed:
        text = ", ".join(unnamed[:SHOWN]) + (
            f" and {len(unnamed) - SHOWN:,} more" if len(unnamed) > SHOWN else ""
        )
        verb = "is" if len(unnamed) == 1 else "are"
        notes.remark(
            "lists of files in no row", 0, f"{counted(len(unnamed), 'image file')} {verb} in no row: {text}"
        )
    return rows


def _split(row: Row, cell: str, settings: "DataSettings", notes: Notes) -> bool:
    split = split_of(cell, settings.split_values)
    if split is None:
        notes.fault(
            "unknown splits",
            row.number,
            f"{row.name}: {settings.split_column} is {cell!r}, which is no split",
        )
    elif split == "none":
        notes.skip("rows of the split none", row.number, f"{row.name}: {settings.split_column} is {cell!r}")
    row.split = split or ""
    return split not in (None, "none")


def _values(row: Row, cells: Mapping[str, str], found: Annotated, readers: Mapping, notes: Notes) -> bool:
    """Reads the values of a row; returns whether it is complete."""
    for name, cell in cells.items():
        value = readers[name](cell)
        # A word for a missing value may be the name of a class.
        if isinstance(value, str) and is_missing(cell):
            notes.fault("missing values", row.number, f"{row.name}: {found.columns[name]} is missing")
            return False
        if isinstance(value, str):
            notes.fault(
                "values that cannot be read", row.number, f"{row.name}: {found.columns[name]}: {value}"
            )
            return False
        row.values[name] = value
    return True


def _without_duplicates(rows: list[Row], notes: Notes) -> list[Row]:
    """Returns the rows without duplicates: of equal rows the first one, of contradicting rows none."""
    by_path: dict[Path, list[Row]] = defaultdict(list)
    for row in rows:
        by_path[row.path].append(row)
    kept = []
    for row in rows:
        same = by_path[row.path]
        first = same[0]
        if any(
            (one.values, one.identity, one.split) != (first.values, first.identity, first.split)
            for one in same
        ):
            others = ", ".join(str(one.number) for one in same if one is not row)
            notes.fault(
                "contradicting rows",
                row.number,
                f"{row.name}: row {others} gives the same image other values",
            )
        elif row is not first:
            notes.fault("duplicate rows", row.number, f"{row.name}: the same as row {first.number}")
        else:
            kept.append(row)
    return kept


def _spellings(kinds: Mapping[str, Variable], cells: Mapping[str, list[str]], notes: Notes) -> None:
    """Records binary columns in which one value has several spellings, such as 1 and yes."""
    for name, variable in kinds.items():
        if variable.names != ("no", "yes"):
            continue
        counted = Counter(cell for cell in cells[name] if not is_missing(cell))
        if len(counted) > 2:
            words = ", ".join(f"{cell!r} ({count:,})" for cell, count in counted.most_common(SHOWN))
            notes.remark(
                "columns with several spellings", 0, f"{name}: several spellings of no and yes: {words}"
            )

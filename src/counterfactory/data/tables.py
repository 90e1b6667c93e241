"""Reads a table of annotations as columns of text: csv, tsv (or any other separator) and parquet.

This module imports neither numpy nor pandas, so that a configuration can be planned from a table.
"""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..core.errors import BadFile, UserError, reading

__all__ = ["TABLES", "Table", "find_table", "read_columns"]

TABLES = (".csv", ".tsv", ".txt", ".parquet")
"""The endings of tables, in small letters."""

SEPARATORS = (",", ";", "\t", "|")
BLANKS = " "
LINES = re.compile(r"\r\n|\n|\r")
"""The ends of lines; other characters that some programs show as a new line are part of a cell."""

MAX_CELL = 10_000_000


@dataclass(frozen=True)
class Table:
    """The columns of a table, as text.

    Arguments:
        path: The file.
        columns: The cells of each column, without surrounding blanks, in the order of the file.
        ragged: The rows with another number of cells than the header, numbered from 1, which are left out.
        rows: The number in the file of each row that is kept, numbered from 1 without the header.
    """

    path: Path
    columns: dict[str, list[str]]
    ragged: tuple[int, ...]
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str, key: str) -> list[str]:
        """Returns a column.

        Arguments:
            name: Its name in the table.
            key: The key of the configuration that names it.

        Raises:
            UserError: If there is no such column.
        """
        if name not in self.columns:
            from ..core.names import nearest

            raise UserError(f"{key}: {self.path} has no column {name!r}; {nearest(name, self.columns)}")
        return self.columns[name]


def find_table(folder: Path | str, table: str | None) -> Path:
    """Returns the table of a folder of images: the one that is named, or the only one in or beside the folder.

    Raises:
        UserError: If there is none or more than one, or the folder or file is missing.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise UserError(f"data.folder: {folder}: no such folder; name the folder of the images")
    if table is not None:
        named = Path(table).expanduser()
        for path in (named, folder / named):
            if path.is_file():
                return path
        raise UserError(f"data.table: {table}: no such file; name a .csv, .tsv or .parquet file")
    for place in (folder, folder.resolve().parent):
        found = sorted(path for path in place.iterdir() if path.suffix.lower() in TABLES and path.is_file())
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise UserError(f"data.table: {place} has several tables ({names}); name one")
        if found:
            return found[0]
    raise UserError(f"data.table: no .csv, .tsv or .parquet in {folder} or beside it; name the table")


def read_columns(path: Path | str) -> Table:
    """Reads a table.

    The separator of a text file is the one of comma, semicolon, tab, bar and blanks that splits its first lines into
    the same number of cells, more than one. Its text is UTF-8.

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it is damaged or empty, or a column has no name or the name of another one.
    """
    path = Path(path)
    with reading(path, "not a table", "save it as csv, UTF-8", "name the table in data.table"):
        status = os.stat(path)
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int, size: int) -> Table:
    with reading(path, "not a table", "save it as csv, UTF-8", "name the table in data.table"):
        header, rows = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
        _check_header(path, header)
        kept, numbers, ragged = [], [], []
        for number, row in enumerate(rows, 1):
            if len(row) == len(header):
                kept.append([cell.strip() for cell in row])
                numbers.append(number)
            else:
                ragged.append(number)
    if not kept:
        raise BadFile(f"{path}: has no rows; name another table in data.table")
    columns = dict(zip(header, map(list, zip(*kept, strict=True)), strict=True))
    return Table(path, columns, tuple(ragged), tuple(numbers))


def _check_header(path: Path, header: list[str]) -> None:
    for position, name in enumerate(header):
        if not name:
            raise BadFile(f"{path}: column {position + 1} has no name; add one to the first line")
        if name in header[:position]:
            raise BadFile(f"{path}: two columns are called {name!r}; rename one")


def _parquet(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    columns = [
        ["" if cell is None else _plain(cell) for cell in column.to_pylist()] for column in table.columns
    ]
    return [str(name).strip() for name in table.column_names], map(list, zip(*columns, strict=True))


def _plain(cell: object) -> str:
    """Returns a cell as text: whole numbers without a decimal point, so that 3.0 and 3 are the same class."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15 else str(cell)


def _text(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    text = path.read_text(encoding="utf-8-sig")
    if "\0" in text[:10_000]:
        raise ValueError("binary content")
    lines = LINES.split(text)
    # The lists of CelebA begin with the number of rows.
    if len(lines) > 2 and lines[0].strip().isdigit():
        lines = lines[1:]
    if not any(line.strip() for line in lines):
        raise ValueError("empty")
    separator = _separator(lines)
    if separator == BLANKS:
        rows = iter([line.split() for line in lines if line.strip()])
        header = next(rows)
        first = lines[1].split() if len(lines) > 1 else header
        return ["image", *header] if len(first) == len(header) + 1 else header, rows
    csv.field_size_limit(MAX_CELL)
    cells = iter([row for row in csv.reader(lines, delimiter=separator) if any(cell.strip() for cell in row)])
    return [name.strip() for name in next(cells)], cells


def _separator(lines: list[str]) -> str:
    """Returns the separator: of those that split the header, the one that splits the most of the first rows alike."""
    first = [line for line in lines[:50] if line.strip()]
    best, most = ",", 0
    for separator in SEPARATORS:
        widths = [len(row) for row in csv.reader(first, delimiter=separator)]
        alike = sum(width == widths[0] for width in widths) if widths and widths[0] > 1 else 0
        if alike > most:
            best, most = separator, alike
    header, widths = len(first[0].split()), [len(line.split()) for line in first[1:]]
    alike = sum(width in (header, header + 1) and width > 1 for width in widths)
    return BLANKS if not most and alike > len(widths) // 2 else best

"""A table as data: columns that know their unit and direction, cells that know their interval or why they are empty.

What is built once is written four ways (:mod:`counterfactory.report.write`) and kept in
`tables/index.json`, from which the page is made. Nothing here knows what the numbers mean.
"""

import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = [
    "Cell",
    "Column",
    "Row",
    "Table",
    "embolden_best",
    "embolden_columns",
    "footnotes",
    "format_cell",
    "format_number",
    "join_tables",
]


@dataclass(frozen=True)
class Column:
    """One column.

    Arguments:
        key: Its name in the CSV.
        title: Its head.
        group: The head that it shares with its neighbours.
        unit: Its unit.
        better: `lower`, `higher` or nothing.
        decimals: How many digits behind the point are shown.
        text: Whether its cells hold words and not numbers.
    """

    key: str
    title: str
    group: str = ""
    unit: str = ""
    better: str = ""
    decimals: int = 3
    text: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell: a number with what is known of its uncertainty, or words, or the reason why it is empty.

    Arguments:
        value: The number; `None` where there is none.
        low: Lower end of its interval (one seed).
        high: Upper end of its interval (one seed).
        spread: Standard deviation over seeds (several seeds).
        seeds: How many seeds the number is the mean of.
        n: How many questions are behind it.
        text: Words instead of a number.
        reason: Why there is no number, or why it is the mean of a part of the questions only.
        best: Whether it is the best of the methods in its column.
        decimals: Digits behind the point, where they are not its column's.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    seeds: int = 1
    n: int | None = None
    text: str = ""
    reason: str = ""
    best: bool = False
    decimals: int | None = None


@dataclass(frozen=True)
class Row:
    """One row: its name, its key in the CSV, its role (`floor`, `method`, `ceiling` or nothing) and its cells."""

    name: str
    cells: tuple[Cell, ...]
    role: str = ""
    key: str = ""


@dataclass(frozen=True)
class Table:
    """One table; `stub` heads the column of the rows' names."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    stub: str = "method"
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the table as plain lists and mappings, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Table":
        """Returns the table that :meth:`as_dict` described."""
        columns = tuple(Column(**column) for column in fields["columns"])
        rows = tuple(
            Row(**(row | {"cells": tuple(Cell(**cell) for cell in row["cells"])})) for row in fields["rows"]
        )
        return cls(**(fields | {"columns": columns, "rows": rows, "notes": tuple(fields["notes"])}))


def format_number(value: float, decimals: int) -> str:
    """Returns `value` with fixed decimals and, from 10,000 on, groups of three digits; never `-0.00`."""
    text = f"{value:,.{decimals}f}" if abs(value) >= 10_000 else f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def format_cell(cell: Cell, column: Column) -> tuple[str, str]:
    """Returns a cell's number (or words) and its uncertainty, each possibly empty.

    The uncertainty is `± spread` over several seeds, `[low, high]` for one seed.
    """
    if cell.text:
        return cell.text, ""
    if cell.value is None:
        return "", ""
    decimals = column.decimals if cell.decimals is None else cell.decimals
    value = format_number(cell.value, decimals)
    if cell.spread is not None:
        return value, f"± {format_number(cell.spread, decimals)}"
    if cell.low is not None and cell.high is not None:
        low, high = (format_number(end, decimals) for end in (cell.low, cell.high))
        return value, f"[{low}, {high}]"
    return value, ""


def embolden_best(cells: Sequence[Cell], rivals: Sequence[bool], better: str, decimals: int) -> list[Cell]:
    """Scores the best of `cells`, one score of different methods.

    A lone rival has nobody to be better than; numbers that are shown alike are equally good. Where some stand on fewer
    questions than others, only those that stand on the most compete: the others were not asked the same.

    Arguments:
        cells: One score, a cell a method.
        rivals: Which of them compete; the floor and the ceiling do not.
        better: `lower`, `higher`, or nothing: then none is best.
        decimals: How many digits behind the point are shown.
    """
    shown = {
        i: round(cell.value, decimals)
        for i, (cell, rival) in enumerate(zip(cells, rivals, strict=True))
        if rival and cell.value is not None
    }
    most = max((cells[i].n or 0 for i in shown), default=0)
    shown = {i: value for i, value in shown.items() if (cells[i].n or 0) == most}
    if not better or len(shown) < 2:
        return list(cells)
    best = min(shown.values()) if better == "lower" else max(shown.values())
    return [replace(cell, best=shown.get(i) == best) for i, cell in enumerate(cells)]


def embolden_columns(table: Table) -> Table:
    """Scores the best method in every column that has a direction."""
    rivals = [row.role == "method" for row in table.rows]
    columns = [
        embolden_best([row.cells[j] for row in table.rows], rivals, column.better, column.decimals)
        for j, column in enumerate(table.columns)
    ]
    rows = tuple(
        replace(row, cells=tuple(column[i] for column in columns)) for i, row in enumerate(table.rows)
    )
    return replace(table, rows=rows)


def footnotes(table: Table) -> dict[str, str]:
    """Returns reason -> letter for every reason why something is absent from a cell, in order of appearance."""
    reasons = dict.fromkeys(cell.reason for row in table.rows for cell in row.cells if cell.reason)
    letters = [
        *string.ascii_lowercase,
        *(a + b for a in string.ascii_lowercase for b in string.ascii_lowercase),
    ]
    return dict(zip(reasons, letters, strict=False))


def join_tables(key: str, title: str, tables: Sequence[Table]) -> Table:
    """Puts tables with the same rows side by side."""
    columns = tuple(
        replace(column, group=f"{table.title}: {column.group}" if column.group else table.title)
        for table in tables
        for column in table.columns
    )
    keys = dict.fromkeys((row.key, row.name, row.role) for table in tables for row in table.rows)
    rows = []
    for row_key, name, role in keys:
        cells: list[Cell] = []
        for table in tables:
            found = next((row.cells for row in table.rows if row.key == row_key), None)
            cells += found or [Cell(reason="not asked")] * len(table.columns)
        rows.append(Row(name, tuple(cells), role, row_key))
    return Table(key, title, columns, tuple(rows), stub=tables[0].stub if tables else "method")

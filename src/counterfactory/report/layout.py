"""Data classes of a table, its columns, rows and cells, and their formatting.

A table is built once, then written as CSV, Markdown and LaTeX (:mod:`counterfactory.report.write`) and stored in
`tables/index.json`, from which the page is rendered.
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
    "empty_table",
    "ends_of",
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
        title: Its heading.
        group: The heading that it shares with neighbouring columns.
        unit: Its unit.
        better: The direction of improvement, `lower` or `higher`; empty if there is none.
        decimals: The number of decimals.
        text: Whether its cells contain text instead of numbers.
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
    """One cell: a number with its uncertainty, a text, or the reason why there is no number.

    Arguments:
        value: The number; `None` if there is none.
        low: The lower end of its interval: over questions for one seed, over questions and training for several.
        high: The upper end of that interval.
        spread: The standard deviation over seeds (several seeds).
        seeds: The number of seeds that the number is a mean of.
        n: The number of questions that the number is a mean of.
        text: A text instead of a number.
        reason: Why there is no number, or why the mean covers only some of the questions.
        best: Whether it is the best of the methods in its column.
        decimals: The number of decimals, if it differs from the column's.
        method: The method, where several are compared by single questions.
        ties: The methods whose paired difference from this one includes 0, itself included.
        link: The answers behind the number, as a choice of the explorer (`suite=do&method=vae&...`); empty: none.
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
    method: str = ""
    ties: tuple[str, ...] = ()
    link: str = ""


@dataclass(frozen=True)
class Row:
    """One row: its name, its cells, its role (`floor`, `method`, `ceiling` or empty), and its key in the CSV."""

    name: str
    cells: tuple[Cell, ...]
    role: str = ""
    key: str = ""


@dataclass(frozen=True)
class Table:
    """One table; `stub` is the heading of the column with the names of the rows."""

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
            Row(
                **(
                    row
                    | {
                        "cells": tuple(
                            Cell(**cell | {"ties": tuple(cell.get("ties", ()))}) for cell in row["cells"]
                        )
                    }
                )
            )
            for row in fields["rows"]
        )
        return cls(**(fields | {"columns": columns, "rows": rows, "notes": tuple(fields["notes"])}))


def empty_table(key: str, reason: str) -> Table:
    """Returns a table with one row that states why the table `key` has no content."""
    title = key.replace("_", " ").capitalize()
    columns = (Column("notice", "notice", text=True),)
    return Table(key, title, columns, (Row("empty", (Cell(text=reason),), key="empty"),), stub="table")


def format_number(value: float, decimals: int) -> str:
    """Returns `value` with fixed decimals, and with thousands separators from 10,000 on; zero has no minus sign."""
    text = f"{value:,.{decimals}f}" if abs(value) >= 10_000 else f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def format_cell(cell: Cell, column: Column) -> tuple[str, str]:
    """Returns the number or text of a cell and its uncertainty; either may be empty.

    The uncertainty is the interval `[low, high]`, or `± spread` over several seeds where there is no interval.
    """
    if cell.text:
        return cell.text, ""
    if cell.value is None:
        return "", ""
    decimals = column.decimals if cell.decimals is None else cell.decimals
    value = format_number(cell.value, decimals)
    if cell.low is not None and cell.high is not None:
        low, high = (format_number(end, decimals) for end in (cell.low, cell.high))
        return value, f"[{low}, {high}]"
    if cell.spread is not None:
        return value, f"± {format_number(cell.spread, decimals)}"
    return value, ""


def ends_of(cell: Cell) -> tuple[float, float]:
    """Returns the ends of the bar of a cell with a value: its interval, or one standard deviation over seeds.

    Both ends are the value where the cell has neither.
    """
    assert cell.value is not None
    if cell.low is not None and cell.high is not None:
        return cell.low, cell.high
    if cell.spread is not None:
        return cell.value - cell.spread, cell.value + cell.spread
    return cell.value, cell.value


def embolden_best(cells: Sequence[Cell], rivals: Sequence[bool], better: str, decimals: int) -> list[Cell]:
    """Sets `best` of the best cell among one score of several methods, and of all that are within noise of it.

    Where single questions were scored, a cell is within noise if the paired difference from the best one includes 0
    (:mod:`counterfactory.report.paired`); otherwise, if both numbers are equal as shown. Only the cells with the
    largest number of questions are compared, because the others cover other questions. A single candidate is not
    marked.

    Arguments:
        cells: One score, one cell per method.
        rivals: Which cells are compared; floor and ceiling are not.
        better: `lower` or `higher`; empty: no cell is best.
        decimals: The number of decimals shown.
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
    leaders = [i for i in shown if shown[i] == best]
    within = {name for i in leaders for name in cells[i].ties}
    return [
        replace(cell, best=i in leaders or (i in shown and bool(cell.method) and cell.method in within))
        for i, cell in enumerate(cells)
    ]


def embolden_columns(table: Table) -> Table:
    """Sets `best` of the best method in every column that has a direction."""
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
    """Returns the letter of each reason in the cells of a table, in order of appearance."""
    reasons = dict.fromkeys(cell.reason for row in table.rows for cell in row.cells if cell.reason)
    letters = [
        *string.ascii_lowercase,
        *(a + b for a in string.ascii_lowercase for b in string.ascii_lowercase),
    ]
    return dict(zip(reasons, letters, strict=False))


def join_tables(key: str, title: str, tables: Sequence[Table]) -> Table:
    """Joins tables with the same rows, column by column.

    Arguments:
        key: The key of the joined table.
        title: Its title.
        tables: The tables; their titles become the shared headings of their columns.
    """
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

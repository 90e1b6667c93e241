"""Limitations of the results, in sentences generated from the tables and the configuration."""

from collections.abc import Mapping
from typing import Any

from .layout import Cell, Column, Table, format_cell
from .narrative import name_and_unit

__all__ = ["caveats"]


def caveats(tables: Mapping[str, Table], config: Mapping[str, Any]) -> list[str]:
    """Returns the limitations of the results.

    Arguments:
        tables: The tables by key.
        config: The configuration of the run.
    """
    found = [
        _one_seed(config),
        _judge_errors(tables.get("judges")),
        _measurement_errors(tables.get("main_measured")),
        _missing_truth(tables.get("main_effectiveness")),
        _residual_temperature(config),
        _own_temperatures(config),
        _protocol(config),
    ]
    if any(key.startswith("published_") for key in tables):
        found.append(
            "Published values were computed with other judges, other questions and other amounts of data. Unless a "
            "table is marked as comparable, they indicate the order of magnitude only."
        )
    return [text for text in found if text]


def _one_seed(config: Mapping[str, Any]) -> str:
    if len(config.get("seeds", [0])) > 1:
        return ""
    return (
        "There is one training seed. Intervals describe the variation over questions for these trained networks, not "
        "the variation over trainings. Configure more seeds to measure the latter."
    )


def _judge_errors(judges: Table | None) -> str:
    if judges is None:
        return ""
    parts = [
        f"{name} {format_cell(row.cells[0], judges.columns[0])[0]}{f' {unit}' if unit else ''}"
        for row in judges.rows
        for name, unit in [name_and_unit(row.name)]
        if row.cells[0].value is not None
    ]
    if not parts:
        return ""
    return (
        f"Predicted scores are computed by judges that have errors themselves ({', '.join(parts)} on real test "
        "images). A method can exploit errors of a judge; measured scores and the distance to the truth do not "
        "depend on judges."
    )


def _ceiling_cells(table: Table | None) -> list[tuple[Column, Cell]]:
    """Returns the columns of a table and the cells of the ceiling, if both exist."""
    rows = [row for row in table.rows if row.role == "ceiling"] if table is not None else []
    return list(zip(table.columns, rows[0].cells, strict=True)) if table is not None and rows else []


def _measurement_errors(measured: Table | None) -> str:
    parts = [
        f"{column.title.removesuffix(' to target')} {format_cell(cell, column)[0]} {column.unit} under {column.group}"
        for column, cell in _ceiling_cells(measured)
        if column.title.endswith(" to target")
        and cell.value is not None
        and f"({column.title.split(' ')[0]})" in column.group
    ]
    if not parts:
        return ""
    return (
        "Measurements have errors: the true counterfactual also differs from its target "
        f"({', '.join(parts)}). The columns to truth exclude this error."
    )


def _missing_truth(predicted: Table | None) -> str:
    missing = dict.fromkeys(column.group for column, cell in _ceiling_cells(predicted) if cell.value is None)
    if not missing:
        return ""
    return (
        f"No true counterfactual exists under {' and '.join(missing)}, so there is no rendered ceiling and no distance "
        "to the truth."
    )


def _residual_temperature(config: Mapping[str, Any]) -> str:
    answers = config.get("answers", {})
    if "residual_temperature" not in answers:
        return ""
    temperature = answers["residual_temperature"]
    return (
        "Composition depends on the temperature of the abducted pixel noise: it is multiplied by "
        f"{temperature:g} here. Published values often use 0.1."
    )


def _own_temperatures(config: Mapping[str, Any]) -> str:
    parts = [
        f"{name} {', '.join(f'{kind} {value:g}' for kind, value in own.items() if value is not None)}"
        for name, own in config.get("answers", {}).get("temperatures", {}).items()
        if name in config.get("methods", [])
    ]
    return f"Temperatures of single methods: {'; '.join(parts)}." if parts else ""


def _protocol(config: Mapping[str, Any]) -> str:
    name = config.get("protocol", "ours")
    if name == "ours":
        return ""
    return (
        f"The configuration chooses the protocol {name}: the options of answers, questions, likelihood, judges and "
        "scores that it does not name itself follow that published code. Values of another protocol are not comparable."
    )

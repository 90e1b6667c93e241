"""Limitations of the results, in sentences generated from the tables and the configuration."""

from collections.abc import Mapping
from typing import Any

from ..methods.registry import METHODS
from .facts import imported_judges
from .layout import Cell, Column, Table, format_cell
from .narrative import name_and_unit
from .vocabulary import method_title

__all__ = ["caveats"]


def caveats(tables: Mapping[str, Table], config: Mapping[str, Any], simulated: bool = True) -> list[str]:
    """Returns the limitations of the results.

    Arguments:
        tables: The tables by key.
        config: The configuration of the run.
        simulated: Whether the data set is simulated.
    """
    found = [
        _one_seed(config, "spread" in tables),
        _judge_errors(tables.get("judges"), "main_measured" in tables or "main_truth" in tables),
        _imported_judges(config),
        _confounded(config, tables.get("judges")),
        _measurement_errors(tables.get("main_measured")),
        _missing_truth(tables.get("main_effectiveness"), simulated),
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


def _one_seed(config: Mapping[str, Any], measured: bool) -> str:
    if len(config.get("seeds", [0])) > 1:
        return ""
    return (
        "There is one training seed. Intervals describe the variation over questions for these trained networks, not "
        "the variation over trainings. "
        + (
            "The tables of the variation over trainings show how far three trainings differed for this release."
            if measured
            else "Configure more seeds to measure the latter."
        )
    )


def _judge_errors(judges: Table | None, others: bool) -> str:
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
        "images). A method can exploit errors of a judge"
        + ("; measured scores and the distance to the truth do not depend on judges." if others else ".")
    )


def _imported_judges(config: Mapping[str, Any]) -> str:
    names = imported_judges(config)
    if not names:
        return ""
    return (
        f"The judges of {', '.join(names)} were not trained in this run but imported. It is not known which images "
        "they were trained on: they may have been trained on images that a method was trained on, or on test images."
    )


def _confounded(config: Mapping[str, Any], judges: Table | None) -> str:
    trained = (
        [row.key for row in judges.rows if row.key not in imported_judges(config)]
        if judges is not None
        else []
    )
    if not config.get("judges", {}).get("confounded") or not trained:
        return ""
    return (
        "The judges were trained on images in which causes and effects go together as in the data. A judge may infer "
        "one from the other instead of reading it in the image, so that a predicted score can miss a wrong effect."
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


def _missing_truth(predicted: Table | None, simulated: bool) -> str:
    if not simulated:
        return (
            "The data set is not simulated: no true counterfactual of its images is known, so there is no rendered "
            "ceiling and no distance to the truth. Whether an answer preserves what an intervention should not change "
            "can be scored only through judges and distances to the factual image."
        )
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
    methods, reduced = config.get("methods"), answers.get("reduced", {}).get("residual_temperature")
    entries = [METHODS[name] for name in methods or () if name in METHODS]
    # Methods whose answers contain the abducted pixel noise; without a list of methods, the setting alone is known.
    usual = methods is None or any(entry.module == "dscm" and not entry.section for entry in entries)
    smaller = [
        method_title(name) for name in methods or () if name in METHODS and METHODS[name].section == "reduced"
    ]
    parts = [f"it is multiplied by {answers['residual_temperature']:g} here"] if usual else []
    if smaller and reduced is not None:
        start = "and by" if usual else "it is multiplied by"
        parts.append(f"{start} {reduced:g} for {' and '.join(smaller)}")
    if not parts:
        return ""
    text = f"Composition depends on the temperature of the abducted pixel noise: {', '.join(parts)}."
    if smaller and reduced is not None:
        text += (
            " A smaller residual shows an intervention more clearly, but a null intervention then changes the image: "
            "the two kinds of method are not ranked by composition or by effectiveness alone."
        )
    return text + " Published values often use 0.1."


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

"""Tables of explanations: every method that turns a classifier over, scored alike, floor and ceiling beside them.

The suite `flip` is asked of explainers and of causal methods. `explanation_tables` has one table of all attributes and
one of each; every group of scores stands beside the number of answers behind it, since a method may answer fewer
questions than another, or flip fewer.
"""

from dataclasses import replace

import pandas as pd

from ..data.dataset import Dataset
from ..methods.registry import METHODS
from .cells import Scores, Select
from .layout import Cell, Column, Row, Table, embolden_columns
from .vocabulary import CEILING, describe_score, method_order, method_role, method_title

__all__ = ["GROUPS", "explanation_costs", "explanation_tables", "flip_select"]

GROUPS = (
    ("all answers", ("flip_rate", "mad", "l1")),
    ("flipped answers", ("fva", "fs", "mnac", "mnac_measured", "cd")),
    ("rightly classified", ("cout",)),
    ("repeats", ("sigma_l",)),
    ("oracle's features", ("oracle_frechet",)),
    ("Inception's features", ("fid", "sfid", "kid")),
)
"""What is scored together, and so has one n."""


def flip_select(scores: Scores, metric: str, intervention: str | None = None) -> Select:
    """Returns which score of the suite `flip`: of one intervention, or of all that the means are over.

    These are what the ceiling answers too, so that it stands above the methods' means; all where there is no ceiling.
    Of them, those that any method has a number under.
    """
    if intervention is not None:
        return Select("flip", metric, (intervention,))
    return Select(
        "flip",
        metric,
        tuple(what for what in _together(scores) if scores.has(Select("flip", metric, (what,)), number=True)),
    )


def _together(scores: Scores) -> list[str]:
    """Returns the interventions that means are over."""
    asked = scores.interventions("flip")
    true = [
        what for what in asked if scores.cell(Select("flip", "flip_rate", (what,)), CEILING).value is not None
    ]
    return true or [what for what in asked if _scored(scores, what)] or asked


def explanation_tables(scores: Scores, dataset: Dataset, level: float = 0.95) -> list[Table]:
    """Returns a table of the means over all attributes that were asked for, and a table of each.

    Arguments:
        scores: The scores.
        dataset: The data set.
        level: The coverage of intervals.
    """
    asked = scores.interventions("flip")
    bold = (
        "Bold: best of the methods with the largest n, where there are two; a smaller n is of other questions. The "
        "floor and the ceiling do not compete."
    )
    how = (
        f"n is the number of answers behind the scores to its right; {100 * level:g} % bootstrap intervals. "
        if len(scores.seeds) == 1
        else f"n is the number of answers behind the scores to its right; ± over {len(scores.seeds)} seeds. "
    )
    fewer = "A method that was given fewer questions is scored on those alone, the first ones of the suite."
    tables = []
    if len(_together(scores)) > 1:
        rest = [what for what in asked if what not in _together(scores) and _scored(scores, what)]
        alone = (
            f" No true counterfactual exists for {', '.join(rest)}, which is told of apart." if rest else ""
        )
        caption = (
            f"Mean over what was turned over ({', '.join(_together(scores))}), where a score exists there; a "
            f"method without a score of one of them has no mean.{alone}"
        )
        notes = (how + bold, fewer, *_absences(scores, dataset, asked))
        tables.append(_table("flip", "All explanation scores", scores, dataset, None, caption, *notes))
    for what in asked:
        caption = f"Asked for another {what}." if what in dataset.names else f"Asked to turn {what} over."
        title = f"Explanation scores, {what}"
        notes = (how + bold, fewer, *_absences(scores, dataset, [what]))
        tables.append(_table(f"flip_{what}", title, scores, dataset, what, caption, *notes))
    return [table for table in tables if table.columns and table.rows]


def _table(
    key: str, title: str, scores: Scores, dataset: Dataset, what: str | None, caption: str, *notes: str
) -> Table:
    columns: list[Column] = []
    cells: dict[str, list[Cell]] = {name: [] for name in scores.methods}
    for group, metrics in GROUPS:
        selects = [flip_select(scores, metric, what) for metric in metrics]
        selects = [select for select in selects if select.interventions and scores.has(select, number=True)]
        if not selects:
            continue
        columns.append(Column(f"{selects[0].metric}_n", "n", group, "answers", decimals=0))
        for select in selects:
            score = describe_score(select.metric, dataset)
            columns.append(
                Column(select.metric, score.title, group, score.unit, score.better, score.decimals)
            )
        for name, row in cells.items():
            found = [_told_by_n(scores.cell(select, name)) for select in selects]
            counts = [cell.n for cell in found if cell.value is not None]
            row.append(Cell(float(max(counts))) if counts else Cell(0.0 if _asked(scores, name) else None))
            row += found
    rows = tuple(
        Row(method_title(name), tuple(row), method_role(name), name)
        for name, row in cells.items()
        if _asked(scores, name)
    )
    return embolden_columns(Table(key, title, tuple(columns), rows, caption, notes=notes))


def _scored(scores: Scores, what: str) -> bool:
    """Whether of any method it is known how often it turned something over."""
    return scores.has(Select("flip", GROUPS[0][1][0], (what,)), number=True)


def _absences(scores: Scores, dataset: Dataset, asked: list[str]) -> list[str]:
    """Returns a line for each thing that has no number at all, for one reason: something asked, a method, a score."""
    none = {what: _why_none(scores, scores.methods, [what]) for what in asked if not _scored(scores, what)}
    lines = [f"{what}: {reason}." for what, reason in none.items() if reason]
    there = [what for what in asked if _scored(scores, what)]
    for name in scores.methods if there else []:
        if reason := _why_none(scores, [name], there):
            lines.append(f"{method_title(name)}: {reason}.")
    names: dict[str, list[str]] = {}
    for metric in [metric for _, group in GROUPS for metric in group] if there else []:
        if reason := _why_none(scores, scores.methods, there, metric):
            names.setdefault(reason, []).append(describe_score(metric, dataset).title)
    return lines + [f"{', '.join(titles)}: {reason}." for reason, titles in names.items()]


def _why_none(scores: Scores, methods: list[str], asked: list[str], metric: str = GROUPS[0][1][0]) -> str:
    """Returns the one reason why a score is absent everywhere; nothing where there are several, or a number."""
    cells = [
        scores.cell(Select("flip", metric, (what,)), name)
        for what in asked
        for name in methods
        if _asked(scores, name)
    ]
    reasons = {cell.reason for cell in cells if cell.reason != "not scored"}
    reason = min(reasons, key=len, default="")
    # A method that was asked about fewer images says that, too.
    return (
        reason
        if all(cell.value is None and reason in cell.reason for cell in cells if cell.reason != "not scored")
        else ""
    )


def _asked(scores: Scores, method: str) -> bool:
    return bool(len(scores.table[(scores.table["method"] == method) & (scores.table["suite"] == "flip")]))


def _told_by_n(cell: Cell) -> Cell:
    """Returns a cell without reasons that the n beside it tells; that a distance depends on n is still said."""
    if cell.value is None:
        return cell
    few = "fewer than 2,048 images: compare at equal n only"
    return replace(cell, reason=few if "compare at equal n only" in cell.reason else "")


def explanation_costs(costs: pd.DataFrame, order: list[str]) -> Table | None:
    """Returns what a flip costs each method: the only table here with times in it.

    Arguments:
        costs: As :func:`counterfactory.report.costs.read_costs` returns.
        order: The methods in the order of rows.
    """
    mine = costs[costs["suite"] == "flip"]
    if not len(mine):
        return None
    columns = (
        Column("answered", "answered", "questions", decimals=0),
        Column("seconds_per_answer", "time", "an answer", "s", decimals=3),
        Column("network_calls_per_answer", "network calls", "an answer", decimals=1),
        Column("device", "device", text=True),
    )
    rows = []
    for method in method_order([*order, *mine["method"].tolist()]):
        part = mine[mine["method"] == method]
        answered = float(part["answered"].sum()) if len(part) else 0.0
        if not len(part):
            continue
        time, calls = Cell(reason="answered nothing"), Cell(reason="answered nothing")
        if answered:
            time = Cell(float(part["seconds"].sum()) / answered)
            counted = part["network_calls"].notna().all()
            calls = (
                Cell(float(part["network_calls"].sum()) / answered)
                if counted
                else Cell(reason="asks no network")
            )
        cells = (Cell(answered), time, calls, Cell(text=", ".join(dict.fromkeys(part["device"]))))
        rows.append(Row(method_title(method), cells, method_role(method), method))
    networks = (
        "the denoising network"
        if any(row.key in METHODS and "ddpm" in METHODS[row.key].models for row in rows)
        else ""
    )
    calls = (
        f" Calls are of {networks} for explainers, of the image model for causal methods." if networks else ""
    )
    return Table(
        "explanations_cost",
        "What a flip costs",
        columns,
        tuple(rows),
        "Wall-clock time of answering the suite flip, loading of the method not included, over all repeats, "
        f"attributes and seeds.{calls}",
    )

"""Tables of explanations: scores of every method that answers the suite `flip`, with floor and ceiling.

`explanation_tables` returns one table of means over all attributes and one table per attribute. Every group of scores
has a column with its number of answers n, since methods may answer different numbers of questions.
"""

from dataclasses import replace

import pandas as pd

from ..data.dataset import Dataset
from ..methods.registry import METHODS
from .cells import Scores, Select
from .graph import GRAPH_KINDS
from .layout import Cell, Column, Row, Table, embolden_columns
from .vocabulary import CEILING, describe_score, method_order, method_role, method_title

__all__ = ["GROUPS", "explanation_costs", "explanation_tables", "flip_select", "score_groups"]

GROUPS = (
    ("all answers", ("flip_rate", "mad", "l1")),
    ("flipped answers", ("fva", "fs", "mnac", "mnac_measured", "cd")),
    ("correctly classified", ("cout",)),
    ("repeats", ("sigma_l",)),
    ("oracle features", ("oracle_frechet",)),
    ("Inception features", ("fid", "sfid", "kid")),
)
"""The scores that cover the same answers, and so have one n."""


def score_groups(scores: Scores, dataset: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    """Returns the groups of scores of the suite `flip`: :data:`GROUPS`, then one group per score of another metric.

    The scores of the table `graph` are left out.

    Arguments:
        scores: The scores.
        dataset: The data set.
    """
    listed = {metric for _, metrics in GROUPS for metric in metrics}
    listed |= {f"{kind}_{variable}" for kind in GRAPH_KINDS for variable in dataset.names}
    other = [metric for metric in scores.values("metric", suite="flip") if metric not in listed]
    return [*GROUPS, *((describe_score(metric, dataset).title, (metric,)) for metric in other)]


def flip_select(scores: Scores, metric: str, intervention: str | None = None) -> Select:
    """Returns the selection of a score of the suite `flip`, for one attribute or for the mean over attributes.

    Means are over the attributes that the ceiling answers, or over all of them if there is no ceiling, and over those
    that have a value of the score.

    Arguments:
        scores: The scores.
        metric: The name of the score.
        intervention: The attribute; None: the mean.
    """
    if intervention is not None:
        return Select("flip", metric, (intervention,))
    return Select(
        "flip",
        metric,
        tuple(what for what in _averaged(scores) if scores.has(Select("flip", metric, (what,)), number=True)),
    )


def _averaged(scores: Scores) -> list[str]:
    """Returns the attributes that means are over."""
    attributes = scores.interventions("flip")
    true = [
        what
        for what in attributes
        if scores.cell(Select("flip", "flip_rate", (what,)), CEILING).value is not None
    ]
    return true or [what for what in attributes if _scored(scores, what)] or attributes


def explanation_tables(scores: Scores, dataset: Dataset, level: float = 0.95) -> list[Table]:
    """Returns the table of means over all attributes, and one table per attribute.

    Arguments:
        scores: The scores.
        dataset: The data set.
        level: The coverage of intervals.
    """
    attributes = scores.interventions("flip")
    bold = (
        "Bold: the best of the methods with the largest n and those within noise of it (paired bootstrap), if there "
        "are at least two; a smaller n covers other questions. "
        f"{'Floor and ceiling are' if CEILING in scores.methods else 'The floor is'} excluded."
    )
    how = (
        f"n is the number of answers of the scores to its right; {100 * level:g} % bootstrap intervals. "
        if len(scores.seeds) == 1
        else f"n is the number of answers of the scores to its right; {100 * level:g} % intervals over answers and "
        f"{len(scores.seeds)} training seeds. "
    )
    fewer = "A method with fewer questions is scored on the first questions of the suite only."
    tables = []
    averaged = _averaged(scores)
    if len(averaged) > 1:
        rest = [what for what in attributes if what not in averaged and _scored(scores, what)]
        alone = f" {', '.join(rest)}: no true counterfactual exists; see the separate table." if rest else ""
        caption = (
            f"Mean over the attributes ({', '.join(averaged)}) for which the score exists; a dash if a method lacks "
            f"one of them.{alone}"
        )
        notes = (how + bold, fewer, *_fewer_attributes(scores, dataset, averaged))
        notes += tuple(_absences(scores, dataset, attributes))
        tables.append(_table("flip", "Explanation scores, mean", scores, dataset, None, caption, notes))
    for what in attributes:
        several = {one.name for one in (*dataset.variables, *dataset.labels) if one.classes > 2}
        caption = f"Target: another {what}." if what in several else f"Target: the opposite of {what}."
        title = f"Explanation scores, {what}"
        notes = (how + bold, fewer, *_absences(scores, dataset, [what]))
        tables.append(_table(f"flip_{what}", title, scores, dataset, what, caption, notes))
    return [table for table in tables if table.columns and table.rows]


def _table(
    key: str,
    title: str,
    scores: Scores,
    dataset: Dataset,
    what: str | None,
    caption: str,
    notes: tuple[str, ...],
) -> Table:
    columns: list[Column] = []
    cells: dict[str, list[Cell]] = {name: [] for name in scores.methods}
    for group, metrics in score_groups(scores, dataset):
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
            found = [_without_n_reasons(scores.cell(select, name)) for select in selects]
            counts = [cell.n or 0 for cell in found if cell.value is not None]
            row.append(
                Cell(float(max(counts))) if counts else Cell(0.0 if _answers_flip(scores, name) else None)
            )
            row += found
    rows = tuple(
        Row(method_title(name), tuple(row), method_role(name), name)
        for name, row in cells.items()
        if _answers_flip(scores, name)
    )
    return embolden_columns(Table(key, title, tuple(columns), rows, caption, notes=notes))


def _fewer_attributes(scores: Scores, dataset: Dataset, averaged: list[str]) -> list[str]:
    """Returns one line for each set of attributes that some means cover in place of all."""
    titles: dict[tuple[str, ...], list[str]] = {}
    for _, metrics in score_groups(scores, dataset):
        for metric in metrics:
            covered = flip_select(scores, metric).interventions
            if covered and set(covered) < set(averaged):
                titles.setdefault(covered, []).append(describe_score(metric, dataset).title)
    return [
        f"{', '.join(named)}: mean over {' and '.join(covered)} only; no method has a value for "
        f"{' or '.join(what for what in averaged if what not in covered)}."
        for covered, named in titles.items()
    ]


def _scored(scores: Scores, what: str) -> bool:
    """Returns whether any method has a flip rate for an attribute."""
    return scores.has(Select("flip", GROUPS[0][1][0], (what,)), number=True)


def _absences(scores: Scores, dataset: Dataset, attributes: list[str]) -> list[str]:
    """Returns one line per attribute, method and score that has no value for a single common reason."""
    none = {
        what: _why_none(scores, scores.methods, [what]) for what in attributes if not _scored(scores, what)
    }
    lines = [f"{what}: {reason}." for what, reason in none.items() if reason]
    scored = [what for what in attributes if _scored(scores, what)]
    for name in scores.methods if scored else []:
        if reason := _why_none(scores, [name], scored):
            lines.append(f"{method_title(name)}: {reason}.")
    names: dict[str, list[str]] = {}
    for metric in (
        [metric for _, group in score_groups(scores, dataset) for metric in group] if scored else []
    ):
        if reason := _why_none(scores, scores.methods, scored, metric):
            names.setdefault(reason, []).append(describe_score(metric, dataset).title)
    return lines + [f"{', '.join(titles)}: {reason}." for reason, titles in names.items()]


def _why_none(
    scores: Scores, methods: list[str], attributes: list[str], metric: str = GROUPS[0][1][0]
) -> str:
    """Returns the common reason why a score is missing; empty if there are several reasons or there is a value."""
    cells = [
        scores.cell(Select("flip", metric, (what,)), name)
        for what in attributes
        for name in methods
        if _answers_flip(scores, name)
    ]
    reasons = {cell.reason for cell in cells if cell.reason != "not scored"}
    reason = min(reasons, key=len, default="")
    # Methods with fewer questions append that to the reason.
    return (
        reason
        if all(cell.value is None and reason in cell.reason for cell in cells if cell.reason != "not scored")
        else ""
    )


def _answers_flip(scores: Scores, method: str) -> bool:
    """Returns whether a method was scored in the suite `flip`."""
    return bool(len(scores.table[(scores.table["method"] == method) & (scores.table["suite"] == "flip")]))


def _without_n_reasons(cell: Cell) -> Cell:
    """Returns a cell without reasons that the column n already shows; a dependence on n is kept."""
    if cell.value is None:
        return cell
    few = "fewer than 2,048 images: compare at equal n only"
    return replace(cell, reason=few if "compare at equal n only" in cell.reason else "")


def explanation_costs(costs: pd.DataFrame, order: list[str]) -> Table | None:
    """Returns the cost of each method's answers to the suite `flip`; None if there are none.

    Arguments:
        costs: The costs of chunks, from :func:`counterfactory.report.costs.read_costs`.
        order: The methods in the order of rows.
    """
    flips = costs[costs["suite"] == "flip"]
    if not len(flips):
        return None
    columns = (
        Column("answered", "answered", "questions", decimals=0),
        Column("seconds_per_answer", "time", "per answer", "s", decimals=3),
        Column("network_calls_per_answer", "network calls", "per answer", decimals=1),
        Column("device", "device", text=True),
    )
    rows = []
    for method in method_order([*order, *flips["method"].tolist()]):
        part = flips[flips["method"] == method]
        answered = float(part["answered"].sum()) if len(part) else 0.0
        if not len(part):
            continue
        time, calls = Cell(reason="no answers"), Cell(reason="no answers")
        if answered:
            time = Cell(float(part["seconds"].sum()) / answered)
            counted = part["network_calls"].notna().all()
            calls = (
                Cell(float(part["network_calls"].sum()) / answered)
                if counted
                else Cell(reason="calls no network")
            )
        cells = (Cell(answered), time, calls, Cell(text=", ".join(dict.fromkeys(part["device"]))))
        rows.append(Row(method_title(method), cells, method_role(method), method))
    explainers = any(row.key in METHODS and "ddpm" in METHODS[row.key].models for row in rows)
    counted_calls = (
        " Network calls: denoising network for explainers, image model for causal methods."
        if explainers
        else ""
    )
    return Table(
        "explanations_cost",
        "Cost of explanations",
        columns,
        tuple(rows),
        "Wall-clock time of answering the suite flip without loading the method, mean over all repeats, attributes and "
        f"seeds.{counted_calls}",
    )

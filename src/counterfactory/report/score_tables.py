"""The tables of scores: headline, main table, disentanglement of codes, and one table per intervention."""

from collections.abc import Sequence
from dataclasses import replace

from ..data.dataset import Dataset
from .cells import Scores, Select
from .layout import Cell, Column, Row, Table, embolden_best
from .method_tables import PROTOCOLS, Part, cycles_title, method_table, table_note
from .vocabulary import describe_score, method_role, method_title, set_title, spell_score

__all__ = ["codes_table", "headline_table", "intervention_tables", "main_tables"]

AXIOMS = (("null", "composition"), ("reverse", "reversibility"))
"""The suites that compare the answer with the factual image, and the names of their scores."""

BINARY = ("f1", "balanced_accuracy")
"""The kinds of scores of variables with two classes beside the accuracy."""

CODES = tuple(f"dci_{part}" for part in ("disentanglement", "completeness", "informativeness"))
"""The scores of the table `codes`."""


def headline_table(scores: Scores, dataset: Dataset, level: float = 0.95) -> Table:
    """Returns the most important scores: effectiveness, composition, reversibility and distance to the truth.

    Arguments:
        scores: The scores.
        dataset: The data set.
        level: The coverage of intervals.
    """
    protocol = scores.protocol
    parts: list[Part] = []
    for variable in dataset.names:
        select = Select("do", f"predicted_{variable}", (variable,), protocol)
        parts.append((select, set_title(variable), None))
        if dataset.variable(variable).classes == 2:
            parts.append((replace(select, metric=f"f1_{variable}"), set_title(variable), None))
    for suite, name in AXIOMS:
        interventions = tuple(scores.interventions(suite))
        for cycles in scores.cycles(suite):
            select = Select(suite, "l1", interventions, None, cycles)
            parts.append((select, f"{name}, L1", cycles_title(cycles)))
    for variable in dataset.names:
        select = Select("do", "truth_l1", (variable,), protocol)
        if scores.has(select, number=True):
            parts.append((select, "L1 to truth", set_title(variable)))
    caption = (
        "Effectiveness: error or accuracy of the variable that was set, predicted by the judges. Composition: change "
        "of the image after null interventions. Reversibility: change of the image after an intervention and its "
        "inverse."
    )
    if any(group == "L1 to truth" for _, group, _ in parts):
        caption += " L1 to truth: distance to the true counterfactual."
    notes = [table_note(scores, level)]
    if PROTOCOLS.get(protocol):
        notes.append(f"Interventions: {PROTOCOLS[protocol]}.")
    return method_table("headline", "Headline scores", scores, dataset, parts, caption, notes)


def codes_table(scores: Scores, dataset: Dataset) -> Table:
    """Returns the DCI scores of the methods that return codes of the factual image; without columns if there are none.

    Arguments:
        scores: The scores.
        dataset: The data set.
    """
    parts: list[Part] = [(Select("null", name, ("none",), None, 1), "DCI", None) for name in CODES]
    parts = [part for part in parts if scores.has(part[0], number=True)]
    caption = (
        "Disentanglement: whether each dimension of a code depends on one variable only. Completeness: whether each "
        "variable is encoded in few dimensions. Informativeness: share of the variance, or of the classes, that "
        "regressors predict from held-out codes. A prior that ties a whole block of dimensions to one label raises "
        "disentanglement and lowers completeness by design."
    )
    notes = ["Codes of the factual images of the suite null, one cycle."]
    table = method_table("codes", "Disentanglement of codes", scores, dataset, parts, caption, notes)
    rows = tuple(row for row in table.rows if any(cell.value is not None for cell in row.cells))
    return replace(table, rows=rows)


def main_tables(scores: Scores, dataset: Dataset, level: float = 0.95) -> list[Table]:
    """Returns all scores of all methods under the main protocol, one table per kind of score.

    Scores that have no table of their own are in `main_other`, for every suite, except those of the suite
    `flip`, which are in the tables of explanations.

    Arguments:
        scores: The scores.
        dataset: The data set.
        level: The coverage of intervals.
    """
    protocol = scores.protocol

    def under_do(metrics: Sequence[str]) -> list[Part]:
        return [
            (Select("do", metric, (what,), protocol), set_title(what, dataset), None)
            for what in scores.interventions()
            for metric in metrics
        ]

    names = dataset.names
    continuous = [variable.name for variable in dataset.variables if variable.kind == "continuous"]
    axioms = [
        part
        for suite, name in AXIOMS
        for metric in ("l1", "lpips")
        for part in _cycle_parts(scores, dataset, suite, name, metric)
    ]
    known = {
        "predicted": [f"predicted_{name}" for name in names]
        + [f"{kind}_{one.name}" for one in dataset.variables if one.classes == 2 for kind in BINARY],
        "measured": [f"measured_{name}" for name in names] + [f"measured_{name}_truth" for name in names],
        "normalised": [f"normalised_{name}" for name in continuous],
        "truth": ["truth_l1", "truth_lpips"],
        "parents": [f"parents_{name}" for name in names],
    }
    listed = {metric for metrics in known.values() for metric in metrics}
    other = under_do([metric for metric in scores.values("metric", suite="do") if metric not in listed])
    other += _other_suites(scores, dataset)
    panels = [
        ("effectiveness", "Effectiveness, predicted by judges", under_do(known["predicted"]),
         "Values of the variables in the answers as predicted by the judges, compared with the true parents after the "
         "intervention."),
        ("measured", "Effectiveness, measured on the pixels", under_do(known["measured"]),
         "Values measured on the pixels of the answers, compared with the target values (to target) and with the same "
         "measurement of the true counterfactual (to truth). The second comparison excludes the error of the "
         "measurement."),
        ("normalised", "Effectiveness, in published units", under_do(known["normalised"]),
         "Errors predicted by the judges, divided by the half ranges that the tables of CausalDiffAE use."),
        ("axioms", "Composition and reversibility", axioms,
         "Distance to the factual image after null interventions (composition), and after an intervention and its "
         "inverse (reversibility, mean over interventions)."),
        ("truth", "Distance to the true counterfactual", under_do(known["truth"]),
         "Distance between the answer and the rendered true counterfactual."),
        ("parents", "The method's own parents", under_do(known["parents"]),
         "The parents that a method computes for the intervention, compared with the true ones."),
        ("other", "Other scores", other, "Scores that have no table of their own."),
    ]  # fmt: skip
    notes = [table_note(scores, level), f"Interventions: {PROTOCOLS.get(protocol) or protocol}."]
    tables = [
        method_table(f"main_{key}", title, scores, dataset, parts, caption, notes)
        for key, title, parts, caption in panels
    ]
    return [table for table in tables if table.columns]


def _cycle_parts(scores: Scores, dataset: Dataset, suite: str, name: str, metric: str) -> list[Part]:
    """Returns one column per number of cycles of a score, each the mean over the interventions of the suite."""
    interventions = tuple(scores.interventions(suite))
    title = describe_score(metric, dataset).title
    return [
        (Select(suite, metric, interventions, None, cycles), name, f"{title}, {cycles_title(cycles)}")
        for cycles in scores.cycles(suite)
    ]


def _other_suites(scores: Scores, dataset: Dataset) -> list[Part]:
    """Returns the columns of all scores outside `do` and `flip` that no other table shows."""
    listed = {("null", metric) for metric in ("l1", "lpips", *CODES)}
    listed |= {("reverse", metric) for metric in ("l1", "lpips")}
    names = dict(AXIOMS)
    parts: list[Part] = []
    for suite in scores.values("suite"):
        if suite in ("do", "flip"):
            continue
        for metric in scores.values("metric", suite=suite):
            if (suite, metric) not in listed:
                parts += _cycle_parts(scores, dataset, suite, names.get(suite, suite), metric)
    return parts


def intervention_tables(scores: Scores, dataset: Dataset, level: float = 0.95) -> list[Table]:
    """Returns one table per intervention with one row per score and one column per method, and one of reversibility.

    Arguments:
        scores: The scores.
        dataset: The data set.
        level: The coverage of intervals.
    """
    tables = []
    notes = (table_note(scores, level),)
    for what in scores.interventions():
        protocols = scores.values("protocol", suite="do", intervention=what)
        selects = [
            [Select("do", metric, (what,), protocol) for protocol in protocols]
            for metric in scores.values("metric", suite="do", intervention=what)
        ]
        caption = (
            "Each variable is set with probability one half, and at least one is set."
            if what == "random"
            else ""
        )
        title = f"{set_title(what, dataset)}, all scores"
        frame = Table(f"do_{what}", title, (), (), caption, "score", notes)
        tables.append(_score_table(frame, scores, dataset, selects, protocols))
    cycles = scores.cycles("reverse")
    selects = [
        [Select("reverse", metric, (what,), None, times) for times in cycles]
        for what in scores.interventions("reverse")
        for metric in scores.values("metric", suite="reverse")
    ]
    caption = "Distance to the factual image after a variable was set and set back."
    frame = Table("reversibility", "Reversibility, all scores", (), (), caption, "score", notes)
    heads = [cycles_title(times) for times in cycles]
    tables.append(_score_table(frame, scores, dataset, selects, heads, prefix=True))
    return [table for table in tables if table.rows]


def _score_table(
    frame: Table,
    scores: Scores,
    dataset: Dataset,
    selects: Sequence[Sequence[Select]],
    heads: Sequence[str],
    prefix: bool = False,
) -> Table:
    """Returns a table with one row per score and, under each heading, one column per method that was scored.

    Arguments:
        frame: The table without columns and rows.
        scores: The scores.
        dataset: The data set.
        selects: For each row, one score per heading.
        heads: The headings.
        prefix: Whether the name of a row starts with its intervention.
    """
    scored = {
        name for row in selects for select in row for name in scores.methods if scores.rows(select, name)
    }
    methods = [name for name in scores.methods if name in scored]
    rivals = [method_role(name) == "method" for name in methods]
    columns = tuple(
        Column("_".join(part for part in (head.replace(" ", "_"), name) if part), method_title(name), head)
        for head in heads
        for name in methods
    )
    rows = []
    for row in selects:
        first = row[0]
        score = describe_score(first.metric, dataset)
        cells: list[Cell] = []
        for select in row:
            found = [replace(scores.cell(select, name), decimals=score.decimals) for name in methods]
            cells += embolden_best(found, rivals, score.better, score.decimals)
        what = f"{set_title(first.interventions[0])}: " if prefix else ""
        rows.append(
            Row(f"{what}{spell_score(first.metric, dataset)}", tuple(cells), key=f"{what}{first.metric}")
        )
    return replace(frame, columns=columns, rows=tuple(rows))

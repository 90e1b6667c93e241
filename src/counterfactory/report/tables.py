"""The tables: every method in a row, between the floor and the ceiling.

`write_tables` writes, under one folder, each table as CSV (full precision), Markdown and LaTeX:

- `headline`: what a reader wants to know first;
- `main`: every score of every kind;
- `codes`: what a method's codes know of the variables, where there are any;
- `distance`: how far each method gets from the floor to the ceiling;
- `do_<intervention>`, `reversibility`: one kind of question, under every protocol;
- `flip`, `flip_<attribute>`: explanations, of all that was turned over and of each;
- `graph`: what explanations do to variables that were not to be turned over;
- `judges`, `identity`, `mechanisms`: how far the measuring sticks can be trusted;
- `published`: published values beside ours;
- `query_<name>`, `structure`: what generators answer along the stickiness, and what they know of the graph;
- `cost`, `explanations_cost`: what an answer and what an explanation costs. Only here are times, so that all
  others are the same bytes whenever they are made.

`index.json` holds the tables but those of cost, in the order of reading; those are in `<key>.json`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.files import read_json, write_json, write_text
from ..data.dataset import Dataset, load_dataset
from .cells import Scores, Select, read_scores
from .checks import identity_table, judges_table, mechanisms_table, read_judges, true_nll
from .costs import cost_table, read_costs
from .distance import distance_table
from .explanations import explanation_costs, explanation_tables
from .graph import graph_table
from .layout import Cell, Column, Row, Table, embolden_best, embolden_columns, join_tables
from .published import read_published
from .published_tables import ThisRun, published_csv, published_tables
from .queries import query_tables, read_queries
from .structure import read_structure, structure_tables
from .vocabulary import describe_score, method_role, method_title, set_title, spell_score
from .write import to_csv, to_latex, to_markdown

__all__ = [
    "build_tables",
    "distance_table",
    "headline_table",
    "intervention_tables",
    "main_tables",
    "write_tables",
]

PROTOCOLS = {
    "marginal": "values from the training marginal",
    "other_bin": "values forced into another bin",
    "": "",
}


def write_tables(
    scores: Path | str,
    data: Path | str,
    judges: Sequence[Path | str],
    parents: Sequence[Path | str],
    costs: Sequence[Path | str],
    models: Sequence[Path | str],
    out: Path | str,
    published: Path | str | None = None,
    level: float = 0.95,
    queries: Sequence[Path | str] = (),
    structure: Sequence[Path | str] = (),
    identity: Sequence[Path | str] = (),
) -> None:
    """Writes all tables.

    Arguments:
        scores: The tidy table, `scores/scores.csv`.
        data: The data set's folder; its `dataset.json` gives variables, units and kinds.
        judges: The files `models/judges/<variable>/model.json`.
        parents: The files `models/scm/seed<k>/model.json`.
        costs: The files `answers/<method>/seed<k>/<suite>/<chunk>.cost.json`.
        models: The files `models/<name>/seed<k>/model.json` of the image mechanisms.
        out: The folder of tables.
        published: Published values, in place of those that come with the package.
        level: The coverage of the intervals in `scores`.
        queries: The files `queries/seed<k>/scores/<query>.parquet`.
        structure: The files `queries/seed<k>/structure/shown.parquet`.
        identity: The file `models/identity/model.json`; a published network has no table.

    Raises:
        UserError: If a file is missing or damaged.
    """
    out = Path(out)
    dataset, table = load_dataset(data), read_scores(scores)
    sources, studies = read_published(published)
    studies = [study for study in studies if dataset.name in study.beside]
    told = read_judges(judges)
    mechanisms = [read_json(path) for path in parents]
    main = main_tables(table, dataset, level)
    run = ThisRun(table, dataset, told, mechanisms)
    beside = published_tables(run, sources, studies)
    tables = build_tables(table, dataset, told, mechanisms, true_nll(data, dataset), level)
    # A published network was trained, and its threshold set, on other images: there is nothing to tell of it here.
    verified = (meta for meta in map(read_json, identity) if "verification" in meta)
    tables += [identity_table(meta) for meta in verified]
    tables += query_tables(read_queries(queries), dataset)
    tables += structure_tables(read_structure(structure), dataset)
    for one in tables:
        if one.key != "main":
            _write(out, one.key, [one])
    _write(out, "main", main, to_csv([join_tables("main", "All scores", main)]))
    _write(out, "published", beside, published_csv(run, sources, studies))
    spent = read_costs(costs)
    for cost in (cost_table(spent, models, table.methods), explanation_costs(spent, table.methods)):
        if cost is not None:
            _write(out, cost.key, [cost])
            write_json(out / f"{cost.key}.json", cost.as_dict())
    write_json(out / "index.json", [one.as_dict() for one in [*tables, *main, *beside]])


def _write(out: Path, key: str, tables: Sequence[Table], csv: str | None = None) -> None:
    write_text(out / f"{key}.csv", to_csv(tables) if csv is None else csv)
    write_text(out / f"{key}.md", to_markdown(tables))
    write_text(out / f"{key}.tex", to_latex(tables))


def build_tables(
    scores: Scores,
    dataset: Dataset,
    judges: dict[str, Any],
    mechanisms: Sequence[dict[str, Any]],
    truth: dict[str, float],
    level: float = 0.95,
) -> list[Table]:
    """Returns the tables that are neither `main`, `published` nor `cost`, in the order of reading.

    Arguments:
        scores: The scores.
        dataset: The data set.
        judges: The judges' JSON by variable.
        mechanisms: The JSON of the parents' mechanisms, one a seed.
        truth: The negative log-likelihood of the true process, where it is known.
        level: The coverage of intervals.
    """
    tables = [
        headline_table(scores, dataset, level),
        distance_table(scores, dataset, judges),
        *intervention_tables(scores, dataset, level),
        codes_table(scores, dataset),
        *explanation_tables(scores, dataset, level),
        graph_table(scores, dataset),
        judges_table(dataset, judges),
        mechanisms_table(mechanisms, truth),
    ]
    return [table for table in tables if table is not None and table.columns and table.rows]


def _column(select: Select, dataset: Dataset, group: str = "", title: str | None = None) -> Column:
    """Returns the column of a score; its key spells out what was asked, and so is no other column's."""
    score = describe_score(select.metric, dataset)
    asked = "_".join(
        part for part in (*select.interventions[:2], select.protocol or "") if part and part != "none"
    )
    asked = "" if len(select.interventions) > 1 else f"_{asked}" if asked else ""
    times = "" if select.suite == "do" else f"_{select.cycles}"
    key = f"{select.suite}{asked}_{select.metric}{times}"
    return Column(
        key, score.title if title is None else title, group, score.unit, score.better, score.decimals
    )


def _method_table(
    key: str,
    title: str,
    scores: Scores,
    dataset: Dataset,
    parts: Iterable[tuple[Select, str, str | None]],
    caption: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """Returns a table with a row a method and a column for each (score, group, title) that anybody was scored by."""
    parts = [part for part in parts if scores.has(part[0])]
    columns = tuple(_column(select, dataset, group, head) for select, group, head in parts)
    selects = [select for select, _, _ in parts]
    rows = tuple(
        Row(method_title(name), scores.cells(selects, name), method_role(name), name)
        for name in scores.methods
    )
    # A method that nothing here was asked of would be a row of nothing.
    rows = tuple(
        row
        for row in rows
        if any(cell.value is not None or cell.reason != "not scored" for cell in row.cells)
    )
    return embolden_columns(Table(key, title, columns, rows, caption, notes=tuple(notes)))


def _how_to_read(scores: Scores, level: float) -> str:
    seeds = len(scores.seeds)
    what = (
        f"{100 * level:g} % bootstrap intervals over questions"
        if seeds == 1
        else f"± standard deviation over {seeds} seeds"
    )
    bold = (
        " Bold: best of the methods that answered the most; the floor and the ceiling do not compete."
        if _rivals(scores) > 1
        else ""
    )
    return f"↓ lower is better, ↑ higher is better; {what}.{bold}"


def _rivals(scores: Scores) -> int:
    return sum(method_role(name) == "method" for name in scores.methods)


def _times(cycles: int) -> str:
    return f"{cycles} cycle{'s' * (cycles > 1)}"


def headline_table(scores: Scores, dataset: Dataset, level: float = 0.95) -> Table:
    """Returns what a reader wants to know first: does it do what it was told, and nothing else."""
    protocol = scores.protocol
    parts: list[tuple[Select, str, str | None]] = []
    for variable in dataset.names:
        select = Select("do", f"predicted_{variable}", (variable,), protocol)
        parts.append((select, set_title(variable), None))
    for suite, name in (("null", "composition"), ("reverse", "reversibility")):
        interventions = tuple(scores.interventions(suite))
        for cycles in scores.cycles(suite):
            parts.append((Select(suite, "l1", interventions, None, cycles), f"{name}, L1", _times(cycles)))
    for variable in dataset.names:
        select = Select("do", "truth_l1", (variable,), protocol)
        if scores.has(select, number=True):
            parts.append((select, "L1 to truth", set_title(variable)))
    caption = (
        "Does an answer show what was asked for (error or accuracy of the variable that was set, by "
        "predictors), does nothing change when nothing is asked (composition) or when it is undone "
        "(reversibility), and how far is the answer from the true counterfactual?"
    )
    notes = [_how_to_read(scores, level)]
    if PROTOCOLS.get(protocol):
        notes.append(f"Interventions: {PROTOCOLS[protocol]}.")
    return _method_table("headline", "At a glance", scores, dataset, parts, caption, notes)


def codes_table(scores: Scores, dataset: Dataset) -> Table:
    """Returns how well the variables are told apart in codes (DCI); without columns where no method has codes."""
    names = [f"dci_{part}" for part in ("disentanglement", "completeness", "informativeness")]
    parts = [(Select("null", name, ("none",), None, 1), "DCI", None) for name in names]
    parts = [part for part in parts if scores.has(part[0], number=True)]
    caption = (
        "Does each dimension of a code speak of one variable (disentanglement), is each variable spoken of in few "
        "dimensions (completeness), and can it be told from codes that the regressors were not fitted to "
        "(informativeness: share of variance, or of classes)? A prior that pulls a whole block of dimensions to one "
        "label makes the first easy and the second low by design."
    )
    notes = [
        "Codes are what a method reads off the factual images of the questions that ask to do nothing once."
    ]
    table = _method_table("codes", "Disentanglement of codes", scores, dataset, parts, caption, notes)
    return replace(
        table, rows=tuple(row for row in table.rows if any(c.value is not None for c in row.cells))
    )


def main_tables(scores: Scores, dataset: Dataset, level: float = 0.95) -> list[Table]:
    """Returns all scores of all methods under the main protocol, a panel for each kind of score."""
    protocol = scores.protocol
    interventions = scores.interventions()

    def under_do(metrics: Sequence[str]) -> list[tuple[Select, str, str | None]]:
        return [
            (Select("do", metric, (what,), protocol), set_title(what), None)
            for what in interventions
            for metric in metrics
        ]

    names = dataset.names
    continuous = [variable.name for variable in dataset.variables if variable.kind == "continuous"]
    axioms = [
        (
            Select(suite, metric, tuple(scores.interventions(suite)), None, cycles),
            name,
            f"{head}, {_times(cycles)}",
        )
        for suite, name in (("null", "composition"), ("reverse", "reversibility"))
        for metric, head in (("l1", "L1"), ("lpips", "LPIPS"))
        for cycles in scores.cycles(suite)
    ]
    known = {
        "predicted": [f"predicted_{name}" for name in names],
        "measured": [f"measured_{name}" for name in continuous]
        + [f"measured_{name}_truth" for name in continuous],
        "normalised": [f"normalised_{name}" for name in continuous],
        "truth": ["truth_l1", "truth_lpips"],
        "parents": [f"parents_{name}" for name in names],
    }
    shown = {metric for metrics in known.values() for metric in metrics}
    other = [metric for metric in scores.values("metric", suite="do") if metric not in shown]
    panels = [
        ("effectiveness", "Effectiveness, by predictors", under_do(known["predicted"]),
         "What held-out predictors see in the answer, against the true parents afterwards."),
        ("measured", "Effectiveness, measured on the pixels", under_do(known["measured"]),
         "What is measured on the answer's pixels, against the parents asked for (to target) and against "
         "the same "
         "measurement of the true counterfactual (to truth), which leaves out the error of measuring."),
        ("normalised", "Effectiveness, in published units", under_do(known["normalised"]),
         "The errors that predictors see, over the half ranges that the tables of CausalDiffAE are in."),
        ("axioms", "Composition and reversibility", axioms,
         "Distance from the factual image after nothing was asked, or after it was undone; reversibility "
         "is the mean "
         "over interventions."),
        ("truth", "Distance to the true counterfactual", under_do(known["truth"]),
         "Between the answer and the rendering of what would have been."),
        ("parents", "The method's own parents", under_do(known["parents"]),
         "The parents a method works with after the intervention, against the true ones."),
        ("other", "Other scores", under_do(other), "Scores without a name in the vocabulary of this report."),
    ]  # fmt: skip
    notes = [_how_to_read(scores, level), f"Interventions: {PROTOCOLS.get(protocol) or protocol}."]
    tables = [
        _method_table(f"main_{key}", title, scores, dataset, parts, caption, notes)
        for key, title, parts, caption in panels
    ]
    return [table for table in tables if table.columns]


def intervention_tables(scores: Scores, dataset: Dataset, level: float = 0.95) -> list[Table]:
    """Returns a table for each intervention, with a row a score and a column a method, and one of reversibility."""
    tables = []
    for what in scores.interventions():
        protocols = scores.values("protocol", suite="do", intervention=what)
        selects = [
            [Select("do", metric, (what,), protocol) for protocol in protocols]
            for metric in scores.values("metric", suite="do", intervention=what)
        ]
        caption = "Each variable is set with probability one half, at least one." if what == "random" else ""
        title = f"{set_title(what)}, every score"
        tables.append(_score_table(f"do_{what}", title, scores, dataset, selects, protocols, level, caption))
    cycles = scores.cycles("reverse")
    selects = [
        [Select("reverse", metric, (what,), None, times) for times in cycles]
        for what in scores.interventions("reverse")
        for metric in scores.values("metric", suite="reverse")
    ]
    caption = "Distance from the factual image after a variable was set and set back."
    heads = [_times(times) for times in cycles]
    tables.append(
        _score_table(
            "reversibility",
            "Reversibility, every score",
            scores,
            dataset,
            selects,
            heads,
            level,
            caption,
            "set",
        )
    )
    return [table for table in tables if table.rows]


def _score_table(
    key: str,
    title: str,
    scores: Scores,
    dataset: Dataset,
    selects: Sequence[Sequence[Select]],
    heads: Sequence[str],
    level: float,
    caption: str,
    stub: str = "score",
) -> Table:
    """Returns a table with a row for each of `selects` and, under each of `heads`, a column a method."""
    # A method that nothing here was asked of would be columns of nothing.
    asked_of = {
        name for asked in selects for select in asked for name in scores.methods if scores.rows(select, name)
    }
    methods = [name for name in scores.methods if name in asked_of]
    rivals = [method_role(name) == "method" for name in methods]
    columns = tuple(
        Column("_".join(part for part in (head.replace(" ", "_"), name) if part), method_title(name), head)
        for head in heads
        for name in methods
    )
    rows = []
    for asked in selects:
        score = describe_score(asked[0].metric, dataset)
        cells: list[Cell] = []
        for select in asked:
            found = [replace(scores.cell(select, name), decimals=score.decimals) for name in methods]
            cells += embolden_best(found, rivals, score.better, score.decimals)
        what = f"{set_title(asked[0].interventions[0])}: " if stub == "set" else ""
        rows.append(
            Row(
                f"{what}{spell_score(asked[0].metric, dataset)}", tuple(cells), key=f"{what}{asked[0].metric}"
            )
        )
    return Table(key, title, columns, tuple(rows), caption, "score", (_how_to_read(scores, level),))

"""Writes all tables of a run as CSV (full precision), Markdown and LaTeX.

- `headline`: the most important scores;
- `main`: all scores under the main protocol;
- `codes`: disentanglement of the methods' codes;
- `distance`: position of each method between floor and ceiling;
- `spread`, `spread_flip`: mean and standard deviation over the trainings of the release;
- `do_<intervention>`, `reversibility`: all scores of one kind of question, under every protocol;
- `flip`, `flip_<attribute>`: scores of explanations, as means over attributes and for each attribute;
- `graph`: effect of explanations on the variables that were not to be flipped;
- `judges`, `identity`, `mechanisms`: errors of the networks that compute scores, and of the SCM;
- `published`: published values and the values of this run;
- `query_<name>`, `structure`, `structure_attributes`: answers to queries, and the structure of generated images;
- `cost`, `explanations_cost`: time, network calls and memory. All other tables are independent of run times, so that
  repeated runs produce identical bytes.

`index.json` holds all tables but those of cost, in the order of reading; those are in `<key>.json`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.descriptions import read_description
from ..core.files import write_json, write_text
from ..data.dataset import Dataset, load_dataset, load_split
from .cells import Scores, read_scores
from .checks import identity_table, judges_table, mechanisms_table, read_judges, true_nll
from .costs import cost_table, read_costs
from .distance import distance_table
from .explanations import explanation_costs, explanation_tables
from .graph import graph_table
from .layout import Table, empty_table, join_tables
from .names import empty_reason
from .paired import Paired
from .published import read_published
from .published_tables import ThisRun, published_csv, published_tables
from .queries import query_tables, read_queries
from .results import Results
from .score_tables import codes_table, headline_table, intervention_tables, main_tables
from .stale import remove_stale
from .structure import read_structure, structure_tables
from .training_spread import spread_tables
from .write import to_csv, to_latex, to_markdown

__all__ = ["build_tables", "write_tables"]


def write_tables(
    results: Results,
    out: Path | str,
    names: Sequence[str] = (),
    published: Path | str | None = None,
    level: float = 0.95,
) -> None:
    """Writes all tables.

    Arguments:
        results: The paths of the results.
        out: The folder of tables.
        names: Tables that must exist afterwards (:func:`counterfactory.report.names.table_names`). Those without
            content are written with one row that states the reason.
        published: A file of published values; None: the one of the package.
        level: The coverage of the intervals in the scores.

    Raises:
        UserError: If a file is missing or damaged. Files of costs are skipped with a warning instead.
    """
    out = Path(out)
    dataset, scores = (
        load_dataset(results.data),
        read_scores(results.scores, results.pooled, Paired(results.rows, level) if results.rows else None),
    )
    sources, every = read_published(published)
    judges = read_judges(results.judges)
    mechanisms = [read_description(path, "scm") for path in results.scm]
    main = main_tables(scores, dataset, level)
    run = ThisRun(scores, dataset, judges, mechanisms)
    studies = [study for study in every if run.shows(study)]
    comparisons = published_tables(run, sources, studies)
    tables = build_tables(scores, dataset, judges, mechanisms, true_nll(results.data, dataset), level)
    if "spread" in names:
        tables += [table for table in spread_tables(scores, dataset) if table.key in names]
    tables += [
        identity_table(meta, dataset)
        for meta in map(read_description, results.identity)
        if "verification" in meta
    ]
    # The rates of a simulated world are those of its process.
    train = None if dataset.simulated else load_split(results.data, "train").attributes
    tables += query_tables(read_queries(results.queries), dataset, train)
    tables += structure_tables(read_structure(results.structure), dataset)
    files = {table.key: [table] for table in tables}
    texts: dict[str, str] = {}
    if main:
        files["main"] = main
        texts["main"] = to_csv([join_tables("main", "All scores", main)])
    if comparisons:
        files["published"] = comparisons
        texts["published"] = published_csv(run, sources, studies)
    spent = read_costs(results.costs)
    costs = {
        "cost": cost_table(spent, results.models, scores.methods) if len(spent) else None,
        "explanations_cost": explanation_costs(spent, scores.methods),
    }
    files |= {key: [table] for key, table in costs.items() if table is not None}
    for name in names:
        files.setdefault(name, [empty_table(name, empty_reason(name))])
    for key, written in files.items():
        _write(out, key, written, texts)
        if key in costs:
            write_json(out / f"{key}.json", written[0].as_dict())
    write_json(out / "index.json", [table.as_dict() for table in [*tables, *main, *comparisons]])
    formats = {f"{key}.{kind}" for key in files for kind in ("csv", "md", "tex")}
    remove_stale(out, formats | {f"{key}.json" for key in costs if key in files} | {"index.json"})


def _write(out: Path, key: str, tables: Sequence[Table], texts: Mapping[str, str]) -> None:
    """Writes one file of tables in all formats; `texts` holds the CSV where it differs from the tables'."""
    write_text(out / f"{key}.csv", texts[key] if key in texts else to_csv(tables))
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
    """Returns the tables of scores, judges and mechanisms that have content, in the order of reading.

    Arguments:
        scores: The scores.
        dataset: The data set.
        judges: The `model.json` of each judge, by variable.
        mechanisms: The `model.json` of the SCM, one per seed.
        truth: The negative log-likelihood of the true process in nats, where it is known.
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

"""Summarizes all scores in one tidy table, with one row per data set, method, seed, kind of question and score.

`value` is the mean over questions of the scores that :func:`counterfactory.metrics.run.score` wrote, `low` and `high`
are the ends of its bootstrap interval (:mod:`counterfactory.metrics.bootstrap`), and `n` is the number of questions. A
score of a set of answers, such as a Frechet distance, is not a mean; its value, interval and n are copied. A score that
cannot be computed has a row without a value, with n = 0 and the reason. If only some questions of a group have a score,
the row has a value and the reason for the others.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.errors import BadFile, UserError
from ..core.files import read_table, write_table
from ..core.noise import derive_seed
from .bootstrap import bootstrap_interval
from .columns import require_columns

if TYPE_CHECKING:
    from ..config import BootstrapSettings

__all__ = ["COLUMNS", "GROUP", "WHOLE", "read_scores", "summarise", "summary"]

GROUP = ["dataset", "method", "seed", "suite", "intervention", "protocol", "cycles", "metric"]
COLUMNS = [*GROUP, "value", "low", "high", "n", "reason"]
_SCORES = "a table of scores"
WHOLE = -1
"""The number in the column `question` of a score of a whole set of answers."""


def summarise(scores: Sequence[Path | str], settings: "BootstrapSettings", out: Path | str) -> None:
    """Writes the tidy table of the scores in some parquet files, ordered by method and then by file.

    Arguments:
        scores: The files that :func:`counterfactory.metrics.run.score` wrote.
        settings: The section `scores.bootstrap` of the configuration.
        out: The table to write, `.csv` or `.parquet`, with the columns :data:`COLUMNS`.

    Raises:
        UserError: If a file is missing or damaged, is not a table of scores, or is one of another metric or seed; or if
            two files have the same scores.
    """
    tables: list[pd.DataFrame] = []
    sources: dict[tuple, Path | str] = {}
    for path in scores:
        table = summary(read_scores(path), settings)
        for key in table[GROUP].itertuples(index=False, name=None):
            if key in sources:
                raise UserError(
                    f"{path}: has scores that {sources[key]} has too ({key[1]}, {key[-1]}); delete it and run again"
                )
        sources |= {key: path for key in table[GROUP].itertuples(index=False, name=None)}
        tables.append(table)
    if not tables:
        raise UserError("scores: there are no scores to summarize; choose at least one method and one metric")
    # Empty tables would change the types of the joined columns.
    whole = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    # Methods are in the order in which they were scored.
    order = {method: place for place, method in enumerate(whole["method"].drop_duplicates())}
    whole = whole.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    write_table(out, whole)


def read_scores(path: Path | str) -> pd.DataFrame:
    """Reads a table that :func:`counterfactory.metrics.run.score` wrote.

    Arguments:
        path: The parquet file. If it is called `<metric>/seed<k>.parquet`, the metric and the seed are checked.

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it is damaged, is not a table of scores, or is one of another metric or seed.
    """
    path = Path(path)
    table = read_table(path)
    texts = ("dataset", "method", "suite", "intervention", "protocol", "metric", "reason")
    require_columns(path, table, _SCORES, ("seed", "cycles", "question"), ("value",), texts)
    whole = table["question"] == WHOLE
    if whole.any():
        require_columns(path, table, _SCORES, numbers=("low", "high", "n"))
        if table["n"][whole].isna().any():
            raise BadFile(f"{path}: not {_SCORES} (a score of a whole set has no n); delete it and run again")
    metric = table.attrs.get("metric")
    seeds = {f"seed{seed}" for seed in table["seed"]}
    if path.stem.startswith("seed") and metric not in (None, path.parent.name):
        raise BadFile(f"{path}: has the scores of the metric {metric}; delete it and run again")
    if path.stem.startswith("seed") and seeds - {path.stem}:
        raise BadFile(f"{path}: has the scores of {', '.join(sorted(seeds))}; delete it and run again")
    return table


def summary(scores: pd.DataFrame, settings: "BootstrapSettings") -> pd.DataFrame:
    """Returns one row per group of `scores`, in the order of appearance.

    Arguments:
        scores: One row per question and score, with the columns :data:`GROUP`, `question`, `value` (NaN if missing) and
            `reason`. If `question` is :data:`WHOLE`, the row is a score of a whole set of answers and also has `low`,
            `high` and `n`.
        settings: The section `scores.bootstrap` of the configuration.
    """
    rows = []
    for key, group in scores.groupby(GROUP, sort=False, dropna=False):
        values = group["value"].to_numpy(np.float64)
        present = values[np.isfinite(values)]
        row = dict(zip(GROUP, key, strict=True))
        if (group["question"] == WHOLE).all():
            row |= group[["value", "low", "high", "n", "reason"]].iloc[0].to_dict()
            rows.append({**row, "n": int(row["n"])})
            continue
        if len(present):
            seed = derive_seed(settings.seed, *_seed_names(key))
            low, high = bootstrap_interval(present, settings.resamples, settings.level, seed)
            row |= {"value": present.mean(), "low": low, "high": high, "n": len(present)}
        else:
            row |= {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0}
        rows.append(
            {**row, "reason": _reason(group["reason"][~np.isfinite(values)], len(present), len(values))}
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _seed_names(key: tuple) -> tuple:
    """Returns the names from which the seed of a group's resamples is derived.

    They are those of the group only, so another method or metric changes no interval. The scores `inconsistency_...`
    were called `side_...`; their seeds still use that name, so that intervals of earlier results are reproduced.
    """
    *group, metric = key
    kind, separator, variable = metric.partition("inconsistency_")
    return (*group, f"side_{variable}" if separator and not kind else metric)


def _reason(reasons: pd.Series, present: int, questions: int) -> str:
    """Joins the distinct reasons of missing scores; also gives their share if some scores are present."""
    if present == questions:
        return ""
    text = "; ".join(dict.fromkeys(reason for reason in reasons if reason)) or "no finite score"
    return f"{questions - present} of {questions} absent: {text}" if present else text

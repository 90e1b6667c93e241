"""The tidy table of all scores, one row a data set, method, seed, kind of question and score.

`value` is the mean over questions of the scores that :func:`counterfactory.metrics.score` wrote, `low` and
`high` its percentile bootstrap interval (:mod:`counterfactory.metrics.bootstrap`), `n` the number of
questions behind it. A score of a whole set of answers, such as a correlation or a Frechet distance, is no mean; it comes
with its own interval and n. A score that cannot be computed has a row all the same, with no value, n = 0 and the
reason; it is never zero. Where only part of a group can be scored, the reason says so beside the value.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import read_table, write_table
from ..core.noise import derive_seed
from .bootstrap import bootstrap_interval

__all__ = ["COLUMNS", "GROUP", "WHOLE", "BootstrapSettings", "summarise", "summary"]

GROUP = ["dataset", "method", "seed", "suite", "intervention", "protocol", "cycles", "metric"]
COLUMNS = [*GROUP, "value", "low", "high", "n", "reason"]
WHOLE = -1
"""In a table of scores, the number in place of a question's where the score is of a whole set of answers."""


class BootstrapSettings(Protocol):
    """What the summary reads of the configuration, section `scores.bootstrap`."""

    resamples: int
    level: float
    seed: int


def summarise(scores: Sequence[Path | str], settings: BootstrapSettings, out: Path | str) -> None:
    """Writes the tidy table of the scores in some parquet files: method by method, each in the order of the files.

    Arguments:
        scores: The files that :func:`counterfactory.metrics.score` wrote.
        settings: The configuration's section `scores.bootstrap`.
        out: The table, `.csv` or `.parquet`, with the columns :data:`COLUMNS`.

    Raises:
        UserError: If a file is missing or damaged, or is no table of scores.
    """
    tables = []
    for path in scores:
        table = read_table(path)
        missing = [name for name in [*GROUP, "question", "value", "reason"] if name not in table.columns]
        if missing:
            raise UserError(
                f"{path}: not a table of scores (no column {missing[0]}); delete it and run again"
            )
        tables.append(summary(table, settings))
    if not tables:
        raise UserError("scores: there is nothing to summarise; name at least one method and one metric")
    # Empty parts would decide the types of the joined columns.
    whole = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    # A method's scores together, methods in the order in which they were scored.
    order = {method: place for place, method in enumerate(whole["method"].drop_duplicates())}
    whole = whole.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    write_table(out, whole)


def summary(scores: pd.DataFrame, settings: BootstrapSettings) -> pd.DataFrame:
    """Returns one row a group of `scores`, in order of appearance.

    Arguments:
        scores: One row a question and score, with the columns :data:`GROUP`, `value` (NaN where absent) and
            `reason`; where `question` is :data:`WHOLE`, of a whole set of answers,
            with `low`, `high` and `n`.
        settings: The configuration's section `scores.bootstrap`.
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
            # Named by the group, so that one more method or metric moves nobody's interval.
            seed = derive_seed(settings.seed, *key)
            low, high = bootstrap_interval(present, settings.resamples, settings.level, seed)
            row |= {"value": present.mean(), "low": low, "high": high, "n": len(present)}
        else:
            row |= {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0}
        rows.append(
            {**row, "reason": _reason(group["reason"][~np.isfinite(values)], len(present), len(values))}
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _reason(reasons: pd.Series, present: int, asked: int) -> str:
    """Joins the different reasons of the absent scores, with their share where some are present."""
    if present == asked:
        return ""
    text = "; ".join(dict.fromkeys(reason for reason in reasons if reason)) or "no finite score"
    return f"{asked - present} of {asked} absent: {text}" if present else text

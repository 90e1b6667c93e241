"""The tidy table of all marks, one row a data set, method, seed, kind of question and mark.

`value` is the mean over questions of the marks that :func:`counterfactory.metrics.mark` wrote, `low` and
`high` its percentile bootstrap interval (:mod:`counterfactory.metrics.bootstrap`), `n` the number of
questions behind it. A mark of a whole set of answers, such as a correlation or a Frechet distance, is no mean; it comes
with its own interval and n. A mark that cannot be computed has a row all the same, with no value, n = 0 and the
reason; it is never zero. Where only part of a group can be marked, the reason says so beside the value.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from ..errors import UserError
from ..files import read_table, write_table
from ..noise import derive_seed
from .bootstrap import bootstrap_interval

__all__ = ["COLUMNS", "GROUP", "WHOLE", "BootstrapSettings", "summarise", "summary"]

GROUP = ["dataset", "method", "seed", "suite", "intervention", "protocol", "cycles", "metric"]
COLUMNS = [*GROUP, "value", "low", "high", "n", "reason"]
WHOLE = -1
"""In a table of marks, the number in place of a question's where the mark is of a whole set of answers."""


class BootstrapSettings(Protocol):
    """What the summary reads of the configuration, section `marks.bootstrap`."""

    resamples: int
    level: float
    seed: int


def summarise(marks: Sequence[Path | str], settings: BootstrapSettings, out: Path | str) -> None:
    """Writes the tidy table of the marks in some parquet files: method by method, each in the order of the files.

    Arguments:
        marks: The files that :func:`counterfactory.metrics.mark` wrote.
        settings: The configuration's section `marks.bootstrap`.
        out: The table, `.csv` or `.parquet`, with the columns :data:`COLUMNS`.

    Raises:
        UserError: If a file is missing or damaged, or is no table of marks.
    """
    tables = []
    for path in marks:
        table = read_table(path)
        missing = [name for name in [*GROUP, "question", "value", "reason"] if name not in table.columns]
        if missing:
            raise UserError(f"{path}: not a table of marks (no column {missing[0]}); delete it and run again")
        tables.append(summary(table, settings))
    if not tables:
        raise UserError("marks: there is nothing to summarise; name at least one method and one metric")
    # Empty parts would decide the types of the joined columns.
    whole = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    # A method's marks together, methods in the order in which they were marked.
    order = {method: place for place, method in enumerate(whole["method"].drop_duplicates())}
    whole = whole.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    write_table(out, whole)


def summary(marks: pd.DataFrame, settings: BootstrapSettings) -> pd.DataFrame:
    """Returns one row a group of `marks`, in order of appearance.

    Arguments:
        marks: One row a question and mark, with the columns :data:`GROUP`, `value` (NaN where absent) and
            `reason`; where `question` is :data:`WHOLE`, of a whole set of answers,
            with `low`, `high` and `n`.
        settings: The configuration's section `marks.bootstrap`.
    """
    rows = []
    for key, group in marks.groupby(GROUP, sort=False, dropna=False):
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
    """Joins the different reasons of the absent marks, with their share where some are present."""
    if present == asked:
        return ""
    text = "; ".join(dict.fromkeys(reason for reason in reasons if reason)) or "no finite mark"
    return f"{asked - present} of {asked} absent: {text}" if present else text

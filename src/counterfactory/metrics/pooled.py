"""Pools the scores of several training seeds: one row per method, kind of question and score.

`value` is the mean over seeds and questions, and `low` and `high` are the ends of an interval that covers questions and
training (:mod:`counterfactory.metrics.seeds`). A question without a score for some seed is left out, and `n` counts the
others. Methods that have one seed only have no row: floor and ceiling, and methods whose models are all imported. If
only some models of a method are imported, the interval covers the training of the others.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.files import write_table
from .seeds import crossed_interval, set_interval
from .summary import GROUP, WHOLE, read_scores

if TYPE_CHECKING:
    from ..config import BootstrapSettings

__all__ = ["POOLED", "pool", "pooled_scores"]

_KEY = [name for name in GROUP if name != "seed"]
POOLED = [*_KEY, "seeds", "value", "low", "high", "n"]
"""The columns of the table. `seeds` holds the training seeds, separated by blanks; `n` counts questions."""


def pool(scores: Sequence[Path | str], settings: "BootstrapSettings", out: Path | str) -> None:
    """Writes the table of pooled scores.

    Arguments:
        scores: The files that :func:`counterfactory.metrics.run.score` wrote, of all seeds.
        settings: The section `scores.bootstrap` of the configuration, whose level is used.
        out: The table to write, `.csv` or `.parquet`, with the columns :data:`POOLED`.

    Raises:
        UserError: If a file is missing, damaged or not a table of scores.
    """
    tables = [table for path in scores for table in [read_scores(path)] if len(table)]
    write_table(out, pooled_scores(pd.concat(tables, ignore_index=True), settings.level))


def pooled_scores(scores: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Returns one row per group of scores that has finite scores of at least two seeds.

    Arguments:
        scores: One row per seed, question and score, with the columns of
            :data:`counterfactory.metrics.summary.GROUP`, `question` and `value`; a score of a whole set also has `low`
            and `high`.
        level: The level of the intervals, in (0, 1).
    """
    rows = []
    for key, group in scores.groupby(_KEY, sort=False, dropna=False):
        found = _whole(group, level) if (group["question"] == WHOLE).all() else _questions(group, level)
        if found:
            rows.append({**dict(zip(_KEY, key, strict=True)), **found})
    return pd.DataFrame(rows, columns=POOLED)


def _questions(group: pd.DataFrame, level: float) -> dict[str, object]:
    """Returns the row of a score of single questions; empty if fewer than two seeds have two questions in common."""
    table = group.pivot_table(index="seed", columns="question", values="value", aggfunc="mean")
    table = table[np.isfinite(table).any(axis=1)].dropna(axis=1)
    if min(table.shape) < 2:
        return {}
    values = table.to_numpy(np.float64)
    low, high = crossed_interval(values, level)
    return _row(table.index, values.mean(), low, high, values.shape[1])


def _whole(group: pd.DataFrame, level: float) -> dict[str, object]:
    """Returns the row of a score of whole sets; empty if fewer than two seeds have one."""
    group = group[np.isfinite(group["value"])].sort_values("seed")
    if len(group) < 2:
        return {}
    low, high = set_interval(group["value"], list(zip(group["low"], group["high"], strict=True)), level)
    return _row(group["seed"], group["value"].mean(), low, high, int(group["n"].min()))


def _row(seeds: Sequence[int], value: float, low: float, high: float, n: int) -> dict[str, object]:
    return {"seeds": " ".join(map(str, seeds)), "value": value, "low": low, "high": high, "n": n}

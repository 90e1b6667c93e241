r"""Finds methods whose scores differ within noise, by a paired bootstrap over the questions that both answered.

For the scores :math:`a_q, b_q` of two methods on the same n questions, R resamples of the questions are drawn. The
methods differ if the interval of level a of the mean difference

.. math:: \frac1n \sum_{i=1}^n (a_{J_{ri}} - b_{J_{ri}}), \qquad J_{ri} \sim U\{1, \ldots, n\}

excludes 0 (Efron & Tibshirani, 1993, chapter 13). The pairing removes the variation that both methods share, so that
smaller differences are detected than by comparing two intervals. With several training seeds the scores of a question
are averaged over seeds; the variation over trainings is not covered.
"""

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.files import read_table
from ..core.noise import generator

if TYPE_CHECKING:
    from .cells import Select

__all__ = ["Paired"]

RESAMPLES = 1000


class Paired:
    """The scores of single questions, for comparisons of methods.

    Arguments:
        rows: The scores of single questions, one table per metric and seed.
        level: The coverage of the intervals of differences.
    """

    def __init__(self, rows: Sequence[Path | str], level: float = 0.95) -> None:
        self.level = level
        found: dict[tuple, list[pd.DataFrame]] = {}
        columns = ["suite", "metric", "intervention", "protocol", "cycles", "method", "question", "value"]
        for path in rows:
            table = read_table(path)
            table = table[(table["question"] >= 0) & np.isfinite(table["value"].astype(float))][columns]
            for key, own in table.groupby(columns[:5], sort=False):
                found.setdefault(key, []).append(own)
        # The mean over all training seeds of a method.
        self._values = {
            key: pd.concat(tables).groupby(["question", "method"], sort=False)["value"].mean().unstack()
            for key, tables in found.items()
        }
        self._ties: dict[object, dict[str, tuple[str, ...]]] = {}

    def ties(self, select: "Select", method: str) -> tuple[str, ...] | None:
        """Returns the methods whose difference from `method` includes 0; None if there are no scores of questions.

        Arguments:
            select: The score. For a mean over several interventions, the questions of each are resampled.
            method: The method.
        """
        if select not in self._ties:
            self._ties[select] = self._compare(select)
        return self._ties[select].get(method)

    def _compare(self, select: "Select") -> dict[str, tuple[str, ...]]:
        tables = [
            [
                values
                for (suite, metric, intervention, protocol, cycles), values in self._values.items()
                if (suite, metric, intervention, cycles)
                == (select.suite, select.metric, wanted, select.cycles)
                and select.protocol in (None, protocol)
            ]
            for wanted in select.interventions
        ]
        if not all(tables):
            return {}
        flat = [table for found in tables for table in found]
        names = [name for name in flat[0].columns if all(name in table.columns for table in flat)]
        tied: dict[str, list[str]] = {name: [name] for name in names}
        for first, second in combinations(names, 2):
            means = np.zeros(RESAMPLES)
            for table in flat:
                difference = (table[first] - table[second]).dropna().to_numpy(np.float64)
                if not len(difference):
                    break
                means += _resampled(len(difference)) @ difference / len(flat)
            else:
                low, high = np.quantile(means, [(1.0 - self.level) / 2.0, (1.0 + self.level) / 2.0])
                if low <= 0.0 <= high:
                    tied[first].append(second)
                    tied[second].append(first)
        return {name: tuple(found) for name, found in tied.items()}


@cache
def _resampled(count: int) -> np.ndarray:
    """Returns the weight of each question in each resample, float64 (R, n)."""
    draw = generator(0, "paired")
    weights = np.empty((RESAMPLES, count))
    for row in weights:
        row[:] = np.bincount(draw.integers(count, size=count), minlength=count)
    return weights / count

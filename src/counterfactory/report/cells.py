"""From the tidy table of scores to the cells of a table.

One seed gives the mean over questions with its bootstrap interval; several seeds give the mean of their
means and its standard deviation over seeds. A score that is absent stays absent, with its reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pandas as pd

from ..core.errors import UserError
from .layout import Cell
from .vocabulary import method_order

__all__ = ["Scores", "Select", "read_scores"]

_NUMBERS = ("value", "low", "high")
_WORDS = ("dataset", "method", "suite", "intervention", "protocol", "metric", "reason")


@dataclass(frozen=True)
class Select:
    """Which score of a method: what was asked, and what was scored.

    Arguments:
        suite: The suite of questions.
        metric: The score's name.
        interventions: The interventions; the mean is taken where there are several.
        protocol: How values were chosen; `None` is any.
        cycles: How many times over.
    """

    suite: str
    metric: str
    interventions: tuple[str, ...]
    protocol: str | None = None
    cycles: int = 1


class Scores:
    """The tidy table of scores.

    Arguments:
        table: The columns of `scores.csv`.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self._groups: dict[tuple, list[dict[str, Any]]] = {}
        for row in table.to_dict("records"):
            key = (row["method"], row["suite"], row["metric"], row["intervention"], row["cycles"])
            self._groups.setdefault(key, []).append(row)

    @property
    def methods(self) -> list[str]:
        """The methods in the order of rows: floor, methods, ceiling."""
        return method_order(self.table["method"].tolist())

    @property
    def seeds(self) -> list[int]:
        """The training seeds."""
        return sorted(self.table["seed"].unique().tolist())

    def values(self, column: str, **where: object) -> list:
        """Returns the distinct values of a column in order of appearance, among rows where the others are as told."""
        rows = self.table
        for name, value in where.items():
            rows = rows[rows[name] == value]
        return rows[column].drop_duplicates().tolist()

    @property
    def protocol(self) -> str:
        """The protocol that the first tables speak of: `marginal` if it was asked, else the first that was."""
        asked = self.values("protocol", suite="do")
        return "marginal" if "marginal" in asked or not asked else asked[0]

    def interventions(self, suite: str = "do") -> list[str]:
        """Returns the interventions of a suite."""
        return self.values("intervention", suite=suite)

    def cycles(self, suite: str) -> list[int]:
        """Returns the numbers of cycles of a suite."""
        return sorted(self.values("cycles", suite=suite))

    def rows(self, select: Select, method: str) -> list[dict[str, Any]]:
        """Returns one method's rows that `select` names."""
        found = []
        for intervention in select.interventions:
            rows = self._groups.get((method, select.suite, select.metric, intervention, select.cycles), [])
            found += [row for row in rows if select.protocol in (None, row["protocol"])]
        return found

    def has(self, select: Select, number: bool = False) -> bool:
        """Whether any method has a number under `select` or, unless `number` is wanted, a reason for having none."""
        rows = [row for method in self.methods for row in self.rows(select, method)]
        return any(math.isfinite(row["value"]) or not number for row in rows)

    def cell(self, select: Select, method: str) -> Cell:
        """Returns one method's cell.

        The mean over several interventions has the mean of their intervals' ends as its interval, which is
        as wide as it can get however the interventions hang together.
        """
        rows = self.rows(select, method)
        if not rows:
            return Cell(reason="not scored")
        reason = "; ".join(dict.fromkeys(row["reason"] for row in rows if row["reason"]))
        asked = {row["intervention"] for row in rows}
        seeds: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            if math.isfinite(row["value"]):
                seeds.setdefault(row["seed"], []).append(row)
        whole = [
            found for _, found in sorted(seeds.items()) if {row["intervention"] for row in found} == asked
        ]
        if not whole:
            return Cell(reason=reason or "no number")
        means = [mean(row["value"] for row in found) for found in whole]
        n = sum(int(row["n"]) for found in whole for row in found)
        if len(means) > 1:
            return Cell(mean(means), spread=stdev(means), seeds=len(means), n=n, reason=reason)
        low, high = (mean(row[end] for row in whole[0]) for end in ("low", "high"))
        if not (math.isfinite(low) and math.isfinite(high)):
            return Cell(means[0], n=n, reason=reason)
        return Cell(means[0], low, high, n=n, reason=reason)

    def cells(self, selects: Sequence[Select], method: str) -> tuple[Cell, ...]:
        """Returns one method's cells."""
        return tuple(self.cell(select, method) for select in selects)


def read_scores(path: Path | str) -> Scores:
    """Reads `scores.csv`.

    Raises:
        UserError: If it is missing, is no table of scores, or is empty.
    """
    path = Path(path)
    try:
        # The suite is called null, which pandas would otherwise take for nothing.
        table = pd.read_csv(
            path, keep_default_na=False, na_values={name: ["", "nan", "NaN"] for name in _NUMBERS}
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the step that makes it first") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it and run again") from None
    lacking = [name for name in (*_WORDS, "seed", "cycles", "n", *_NUMBERS) if name not in table.columns]
    if lacking:
        raise UserError(f"{path}: not a table of scores (no column {lacking[0]}); delete it and run again")
    if not len(table):
        raise UserError(f"{path}: holds no score; name at least one method and one metric")
    return Scores(table.astype({name: "float64" for name in _NUMBERS} | {name: "str" for name in _WORDS}))

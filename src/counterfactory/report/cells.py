"""Converts the table of all scores into cells.

With one seed, a cell holds the mean over questions and its bootstrap interval over questions. With several seeds, it
holds the mean of their means, the standard deviation over seeds, and an interval that covers questions and training
(`counterfactory.metrics.pooled`). A missing score stays missing and keeps its reason.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from ..core.errors import BadFile, UserError, reading
from .layout import Cell
from .paired import Paired
from .vocabulary import method_order, method_role

__all__ = ["Scores", "Select", "join_reasons", "read_scores"]

_NUMBERS = ("value", "low", "high")
_ABSENT = re.compile(r"(?P<absent>\d+) of (?P<questions>\d+) absent: (?P<cause>.*)", re.DOTALL)
_COUNTS = ("seed", "cycles", "n")
_KEY = ("dataset", "method", "suite", "intervention", "protocol", "cycles", "metric")
_WORDS = ("dataset", "method", "suite", "intervention", "protocol", "metric", "reason")


@dataclass(frozen=True)
class Select:
    """The selection of one score of the methods.

    Arguments:
        suite: The suite of questions.
        metric: The name of the score.
        interventions: The interventions; several of them are averaged.
        protocol: How values were chosen; `None`: any protocol.
        cycles: The number of cycles.
    """

    suite: str
    metric: str
    interventions: tuple[str, ...]
    protocol: str | None = None
    cycles: int = 1


class Scores:
    """The table of all scores.

    Arguments:
        table: The columns of `scores.csv`.
        pooled: The columns of `pooled.csv`: intervals over several training seeds.
        paired: The scores of single questions, to find methods that differ within noise.
    """

    def __init__(
        self, table: pd.DataFrame, pooled: pd.DataFrame | None = None, paired: Paired | None = None
    ) -> None:
        self.table, self.paired = table, paired
        self._pooled: dict[tuple, dict[str, Any]] = {}
        for row in [] if pooled is None else pooled.to_dict("records"):
            self._pooled[(*(row[name] for name in _KEY), row["seeds"])] = row
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
        """Returns the distinct values of a column in order of appearance, among the rows with the values `where`."""
        rows = self.table
        for name, value in where.items():
            rows = rows[rows[name] == value]
        return rows[column].drop_duplicates().tolist()

    @property
    def protocol(self) -> str:
        """The main protocol: `marginal` if it was used, else the first one."""
        protocols = self.values("protocol", suite="do")
        return "marginal" if "marginal" in protocols or not protocols else protocols[0]

    def interventions(self, suite: str = "do") -> list[str]:
        """Returns the interventions of a suite."""
        return self.values("intervention", suite=suite)

    def cycles(self, suite: str) -> list[int]:
        """Returns the numbers of cycles of a suite."""
        return sorted(self.values("cycles", suite=suite))

    def rows(self, select: Select, method: str) -> list[dict[str, Any]]:
        """Returns the rows of one method in a selection."""
        found = []
        for intervention in select.interventions:
            rows = self._groups.get((method, select.suite, select.metric, intervention, select.cycles), [])
            found += [row for row in rows if select.protocol in (None, row["protocol"])]
        return found

    def has(self, select: Select, number: bool = False) -> bool:
        """Returns whether any method has rows in a selection; with `number`, whether any of them has a value."""
        rows = [row for method in self.methods for row in self.rows(select, method)]
        return any(math.isfinite(row["value"]) or not number for row in rows)

    def cell(self, select: Select, method: str) -> Cell:
        """Returns the cell of one method.

        The interval of a mean over several interventions is the mean of their intervals' ends. This is the widest
        interval that any dependence between the interventions allows.
        """
        cell = self._mean(self.rows(select, method))
        ties = (
            self.paired.ties(select, method) if self.paired is not None and cell.value is not None else None
        )
        return cell if ties is None else replace(cell, method=method, ties=ties, link=_link(select, method))

    def _mean(self, rows: Sequence[dict[str, Any]]) -> Cell:
        """Returns the cell of the rows of one method."""
        if not rows:
            return Cell(reason="not scored")
        interventions = {row["intervention"] for row in rows}
        seeds: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            if math.isfinite(row["value"]):
                seeds.setdefault(row["seed"], []).append(row)
        complete = [
            found
            for _, found in sorted(seeds.items())
            if {row["intervention"] for row in found} == interventions
        ]
        if not complete:
            # Why the mean is missing is stated by the rows without a value, not by those that cover fewer questions.
            lacking = [row["reason"] for row in rows if not math.isfinite(row["value"])]
            return Cell(reason=join_reasons(lacking) or "no number")
        reason = _join_counted(rows)
        means = [mean(row["value"] for row in found) for found in complete]
        n = sum(int(row["n"]) for found in complete for row in found)
        if len(means) > 1:
            low, high = self._interval(complete)
            return Cell(mean(means), low, high, spread=stdev(means), seeds=len(means), n=n, reason=reason)
        low, high = (mean(row[end] for row in complete[0]) for end in ("low", "high"))
        if not (math.isfinite(low) and math.isfinite(high)):
            return Cell(means[0], n=n, reason=reason)
        return Cell(means[0], low, high, n=n, reason=reason)

    def _interval(self, seeds: Sequence[Sequence[dict[str, Any]]]) -> tuple[float | None, float | None]:
        """Returns the mean interval over training seeds of the rows of each seed; None if a row has none."""
        names = " ".join(str(rows[0]["seed"]) for rows in seeds)
        pooled = [self._pooled.get((*(row[name] for name in _KEY), names)) for row in seeds[0]]
        found = [row for row in pooled if row is not None]
        if len(found) < len(pooled):
            return None, None
        return mean(row["low"] for row in found), mean(row["high"] for row in found)

    def cells(self, selects: Sequence[Select], method: str) -> tuple[Cell, ...]:
        """Returns the cells of one method."""
        return tuple(self.cell(select, method) for select in selects)


def join_reasons(reasons: Iterable[str]) -> str:
    """Joins reasons, each of which may consist of several, so that none is repeated."""
    parts = [part for reason in reasons for part in reason.split("; ") if part]
    return "; ".join(dict.fromkeys(parts))


def _join_counted(rows: Sequence[dict[str, Any]]) -> str:
    """Joins the reasons of rows with a value; the numbers of absent questions are added."""
    reasons = list(dict.fromkeys(row["reason"] for row in rows if row["reason"]))
    if len(reasons) < 2:
        return "".join(reasons)
    absent, questions, causes = 0, 0, []
    for row in rows:
        found = _ABSENT.fullmatch(row["reason"])
        absent += int(found["absent"]) if found else 0
        questions += int(found["questions"]) if found else int(row["n"])
        causes.append(found["cause"] if found else row["reason"])
    text = join_reasons(causes)
    return f"{absent} of {questions} absent: {text}" if absent else text


def _link(select: Select, method: str) -> str:
    """Returns the answers that a score was computed from, as a choice of the explorer; ``""`` if it lists none."""
    if method_role(method) != "method" or select.metric.startswith("normalised"):
        return ""
    chosen = {"suite": select.suite, "method": method, "metric": select.metric}
    if len(select.interventions) == 1 and select.interventions[0]:
        chosen["intervention"] = select.interventions[0]
    return urlencode(chosen | ({"protocol": select.protocol} if select.protocol else {}))


def read_scores(path: Path | str, pooled: Sequence[Path | str] = (), paired: Paired | None = None) -> Scores:
    """Reads the table of all scores.

    Arguments:
        path: The file `scores.csv`.
        pooled: The file `pooled.csv`, if there are several training seeds.
        paired: The scores of single questions, to find methods that differ within noise.

    Raises:
        UserError: If a file is missing, is not a table of scores, or is empty.
    """
    table = _read(Path(path), _WORDS, _COUNTS)
    if not len(table):
        raise UserError(f"{path}: holds no score; name at least one method and one metric")
    words = (*(name for name in _KEY if name != "cycles"), "seeds")
    together = [_read(Path(file), words, ("cycles", "n")) for file in pooled]
    return Scores(table, together[0] if together else None, paired)


def _read(path: Path, words: Sequence[str], counts: Sequence[str]) -> pd.DataFrame:
    """Reads a table with columns of text, columns of integers, and the numbers of a score."""
    with reading(path):
        # By default, pandas would read the name of the suite null as a missing value.
        table = pd.read_csv(
            path, keep_default_na=False, na_values={name: ["", "nan", "NaN"] for name in _NUMBERS}
        )
    lacking = [name for name in (*words, *counts, *_NUMBERS) if name not in table.columns]
    if lacking:
        raise BadFile(f"{path}: not a table of scores (no column {lacking[0]}); delete it and run again")
    with reading(path, "not a table of scores"):  # a file that is cut short, or text in place of numbers
        return table.astype(
            {name: "float64" for name in _NUMBERS}
            | {name: "int64" for name in counts}
            | {name: "str" for name in words}
        )

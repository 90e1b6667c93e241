"""Tables of published values and of the corresponding values of this run.

Each study is a table with one row per published method, followed by the corresponding method of this run. The caption
states whether the two are comparable; protocol, size of the data and source are in the notes.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.dataset import Dataset
from .cells import Scores, Select
from .checks import judge_error
from .layout import Cell, Column, Row, Table
from .published import EVERY, Source, Study, Value
from .vocabulary import describe_score, method_title, set_title
from .write import column_head

__all__ = ["ThisRun", "published_csv", "published_tables"]


@dataclass(frozen=True)
class ThisRun:
    """The values of this run that are compared with published ones.

    Arguments:
        scores: The scores.
        dataset: The data set.
        judges: The `model.json` of each judge, by variable.
        mechanisms: The `model.json` of the SCM, one per seed.
    """

    scores: Scores
    dataset: Dataset
    judges: Mapping[str, Any]
    mechanisms: Sequence[Mapping[str, Any]]

    def cell(self, value: Value) -> Cell:
        """Returns the value of this run that corresponds to a published value."""
        if value.suite == "judges":
            return judge_error(self.judges.get(value.metric, {}), "test")
        if value.suite == "mechanisms":
            fitted = [
                float(meta["nll"][value.metric])
                for meta in self.mechanisms
                if value.metric in meta.get("nll", {})
            ]
            if not fitted:
                return Cell(reason="not in this run")
            spread = float(np.std(fitted, ddof=1)) if len(fitted) > 1 else None
            return Cell(float(np.mean(fitted)), spread=spread, seeds=len(fitted))
        every = value.intervention == EVERY
        interventions = tuple(self.scores.interventions(value.suite)) if every else (value.intervention,)
        select = Select(value.suite, value.metric, interventions, value.protocol, value.cycles)
        cell = self.scores.cell(select, value.ours)
        return replace(cell, reason="not in this run") if cell.reason == "not scored" else cell

    def shows(self, study: Study) -> bool:
        """Returns whether the report of this run has the table of a study."""
        if self.dataset.name not in study.datasets:
            return False
        return not study.only_with_ours or any(self.cell(value).value is not None for value in study.values)

    def pair(self, value: Value | None) -> tuple[Cell, Cell]:
        """Returns the cells of a published value (None: not published) and of the corresponding value of this run."""
        if value is None:
            return Cell(reason="not published"), Cell(reason="not published")
        return Cell(value.value, spread=value.spread), self.cell(value)


def _column(value: Value, dataset: Dataset) -> Column:
    if value.suite in ("judges", "mechanisms"):
        score = describe_score(f"predicted_{value.metric}", dataset)
        unit, better, decimals = (
            ("nats", "lower", 4)
            if value.suite == "mechanisms"
            else (score.unit, score.better, score.decimals)
        )
        return Column(value.metric, value.metric, "", unit, better, decimals)
    score = describe_score(value.metric, dataset)
    key = f"{value.suite}_{value.intervention}_{value.protocol}_{value.metric}_{value.cycles}"
    how = ", measured" if value.metric.startswith("measured_") else ""
    if value.suite == "do":
        title = "mean over interventions" if value.intervention == EVERY else set_title(value.intervention)
        return Column(key, title, score.title + how, score.unit, score.better, score.decimals)
    if value.suite == "flip":
        return Column(key, score.title, value.intervention, score.unit, score.better, score.decimals)
    return Column(
        key,
        f"{value.cycles} cycle{'s' * (value.cycles > 1)}",
        score.title,
        score.unit,
        score.better,
        score.decimals,
    )


def _verdict(study: Study) -> str:
    """Returns whether the published values and those of this run are comparable, and why."""
    verdict = "Comparable" if study.comparable else "Not directly comparable"
    return f"{verdict}: {study.why[0].lower() + study.why[1:].rstrip('.')}."


def _notes(study: Study, source: Source) -> tuple[str, ...]:
    """Returns protocol, data and source of a study."""
    spread = f" ±: {study.spread_of}." if study.spread_of else ""
    return (
        f"Protocol: {study.protocol.rstrip('.')}.{spread}",
        f"Data: {study.dataset}.",
        f"Source: {source.citation}. {source.link}",
    )


def _ours_title(name: str) -> str:
    return "this run" if name in ("judges", "parents") else f"{method_title(name)}, this run"


def _by_method(study: Study, run: ThisRun) -> tuple[list[Column], list[Row]]:
    """Returns the layout with one row per method and one column per score."""
    columns = list(dict.fromkeys(_column(value, run.dataset) for value in study.values))
    # Columns of one group are adjacent, regardless of their order in the file.
    groups = list(dict.fromkeys(column.group for column in columns))
    columns.sort(key=lambda column: groups.index(column.group))
    rows = []
    for method in dict.fromkeys(value.method for value in study.values):
        values = {_column(value, run.dataset): value for value in study.values if value.method == method}
        theirs, ours = zip(*(run.pair(values.get(column)) for column in columns), strict=True)
        rows.append(Row(f"{method}, published", theirs, "published", f"{method}_published"))
        name = next(iter(values.values())).ours
        if any(cell.value is not None for cell in ours):
            rows.append(Row(_ours_title(name), ours, "method", f"{name}_ours"))
    return columns, rows


def _by_score(study: Study, run: ThisRun) -> tuple[list[Column], list[Row]]:
    """Returns the layout for a study of one method: one row per score, one column per intervention and source."""
    values = {(_column(value, run.dataset).group, value.intervention): value for value in study.values}
    interventions = list(dict.fromkeys(intervention for _, intervention in values))
    some = study.values[0]
    rows, any_ours = [], False
    for group in dict.fromkeys(group for group, _ in values):
        found = [values.get((group, intervention)) for intervention in interventions]
        column = _column(next(value for value in found if value is not None), run.dataset)
        theirs, ours = zip(*map(run.pair, found), strict=True)
        any_ours |= any(cell.value is not None for cell in ours)
        cells = tuple(replace(cell, decimals=column.decimals) for cell in (*theirs, *ours))
        rows.append(Row(column_head(replace(column, title=group)), cells, key=column.key))
    columns = [
        Column(f"published_{what}", set_title(what), f"{some.method}, published") for what in interventions
    ]
    if any_ours:
        columns += [Column(f"ours_{what}", set_title(what), _ours_title(some.ours)) for what in interventions]
    return columns, [replace(row, cells=row.cells[: len(columns)]) for row in rows]


def published_tables(run: ThisRun, sources: Mapping[str, Source], studies: Sequence[Study]) -> list[Table]:
    """Returns one table per study.

    Arguments:
        run: The values of this run.
        sources: The sources by name.
        studies: The studies.
    """
    tables = []
    for k, study in enumerate(studies):
        one = len({value.method for value in study.values}) == 1
        layout = _by_score if one and study.values[0].suite == "do" else _by_method
        columns, rows = layout(study, run)
        stub = "score" if layout is _by_score else "method"
        notes = _notes(study, sources[study.source])
        key = f"published_{k + 1}"
        tables.append(Table(key, study.title, tuple(columns), tuple(rows), _verdict(study), stub, notes))
    return tables


def published_csv(run: ThisRun, sources: Mapping[str, Source], studies: Sequence[Study]) -> str:
    """Returns published values and the values of this run as CSV, one row per value.

    Arguments:
        run: The values of this run.
        sources: The sources by name.
        studies: The studies.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        [
            "study",
            "method",
            "suite",
            "intervention",
            "protocol",
            "cycles",
            "metric",
            "unit",
            "published",
            "published_spread",
        ]
        + [
            "ours_method",
            "ours",
            "ours_low",
            "ours_high",
            "ours_spread",
            "ours_absent",
            "source",
            "source_kind",
            "link",
        ]
        + ["protocol_in_words", "dataset", "train_images", "test_images", "comparable", "why"]
    )
    for study in studies:
        source = sources[study.source]
        for value in study.values:
            ours = run.cell(value)
            numbers = [
                "" if x is None else repr(float(x)) for x in (ours.value, ours.low, ours.high, ours.spread)
            ]
            spread = "" if value.spread is None else repr(value.spread)
            writer.writerow(
                [
                    study.title,
                    value.method,
                    value.suite,
                    value.intervention,
                    value.protocol,
                    value.cycles,
                    value.metric,
                ]
                + [value.unit, repr(value.value), spread, value.ours, *numbers, ours.reason]
                + [source.citation, source.kind, source.link, study.protocol, study.dataset.name]
                + [
                    study.dataset.train or "",
                    study.dataset.test or "",
                    "yes" if study.comparable else "no",
                    study.why,
                ]
            )
    return file.getvalue()

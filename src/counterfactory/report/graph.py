"""Whether explanations respect the causal graph: effects of a flip on the other variables, as a table and a figure.

Shows the scores of :mod:`counterfactory.metrics.graph_consistency`: `moved_<variable>` (change measured on the pixels),
`due_<variable>` (change in the simulated world when the flipped quantity changes by as much as in the answer) and
`inconsistency_<variable>` (their distance).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.files import read_table
from ..data.dataset import Dataset
from .cells import Scores, Select
from .layout import Cell, Column, Row, Table, embolden_columns
from .style import FAINT, INK, MUTED, PAPER, AnyFigure, Panel, Picture, add_axes, rows_that_fit
from .vocabulary import FLOOR, describe_score, method_order, method_role, method_title

__all__ = ["GRAPH_KINDS", "graph_picture", "graph_table", "scored_pairs"]

GRAPH_KINDS = ("moved", "due", "inconsistency")
"""The kinds of scores of this table; each is followed by the name of a variable."""


def scored_pairs(scores: Scores, dataset: Dataset) -> list[tuple[str, str]]:
    """Returns the pairs (flipped attribute, other variable) that at least one method has a score of."""
    return [
        (what, variable.name)
        for what in scores.interventions("flip")
        for variable in dataset.variables
        if scores.has(Select("flip", f"inconsistency_{variable.name}", (what,)), number=True)
    ]


def graph_table(scores: Scores, dataset: Dataset) -> Table | None:
    """Returns the measured and the true change of other variables after a flip; None if there are no scores.

    Arguments:
        scores: The scores.
        dataset: The data set.
    """
    pairs = scored_pairs(scores, dataset)
    if not pairs:
        return None
    columns: list[Column] = []
    for what, variable in pairs:
        group, key = f"{what} flipped: {variable}", f"{what}_{variable}"
        unit, decimals = (score := describe_score(f"inconsistency_{variable}", dataset)).unit, score.decimals
        columns.append(Column(f"{key}_n", "n", group, "flips", decimals=0))
        columns.append(Column(f"{key}_moved", "change", group, unit, decimals=decimals))
        columns.append(Column(f"{key}_due", "true change", group, unit, decimals=decimals))
        columns.append(Column(f"{key}_inconsistency", "inconsistency", group, unit, "lower", decimals))
    rows = []
    for name in scores.methods:
        cells: list[Cell] = []
        for what, variable in pairs:
            found = [scores.cell(Select("flip", f"{kind}_{variable}", (what,)), name) for kind in GRAPH_KINDS]
            # The column n holds the number of flips; reasons of missing values are in the tables of scores.
            found = [
                Cell(c.value, c.low, c.high, c.spread, c.seeds, c.n, method=c.method, ties=c.ties)
                if c.value is not None
                else c
                for c in found
            ]
            cells += [Cell(float(found[2].n or 0)) if found[2].value is not None else Cell(0.0), *found]
        if any(cell.value for cell in cells):
            rows.append(Row(method_title(name), tuple(cells), method_role(name), name))
    table = Table(
        "graph",
        "Effect of explanations on other variables",
        tuple(columns),
        tuple(rows),
        "Change: how much a flip changed a variable that was not to be flipped, measured on the pixels. True change: "
        "how much the variable changes in the simulated world. Inconsistency: mean distance of the two; 0 if the "
        f"answers follow the causal graph. {_describe_graph(dataset)}",
        notes=(
            "Means over flipped answers; changes have the opposite sign where the attribute was to be removed. The "
            "true change follows from the structural model of the simulation, for the change of the flipped quantity "
            "that is measured in the same answer; a small flip therefore has a small true change. Bold: the best of "
            "the methods with the largest n and those within noise of it, if there are at least two.",
        ),
    )
    return embolden_columns(table) if rows else None


def _describe_graph(dataset: Dataset) -> str:
    """Returns a sentence on the causal edges between the variables."""
    edges = [f"{cause} affects {effect}" for cause, effect in dataset.edges]
    effects = {effect for _, effect in dataset.edges}
    roots = [variable.name for variable in dataset.variables if variable.name not in effects]
    without = f"{' and '.join(roots)} {'have' if len(roots) > 1 else 'has'} no cause" if roots else ""
    parts = "; ".join(part for part in (", ".join(edges), without) if part)
    return f"Causal graph: {parts}." if edges else "Causal graph: no variable affects another."


def graph_picture(
    scores: Scores, rows: Sequence[Path | str], dataset: Dataset, colours: dict[str, str]
) -> Picture | None:
    """Returns the figure with one panel per pair of flipped attribute and other variable, and one point per answer.

    Arguments:
        scores: The scores.
        rows: The scores of single questions; only those of the metric `graph_consistency` are used.
        dataset: The data set.
        colours: The colours of the methods.

    Raises:
        UserError: If a file is damaged.
    """
    tables = [read_table(path) for path in rows if Path(path).parent.name == "graph_consistency"]
    pairs = scored_pairs(scores, dataset)
    if not tables or not pairs:
        return None
    table = pd.concat(tables, ignore_index=True)
    table = table[np.isfinite(table["value"]) & (table["suite"] == "flip")]
    panels = []
    for what, variable in pairs:
        points = {}
        for name in method_order(table["method"].tolist()):
            chosen = table[(table["method"] == name) & (table["intervention"] == what)]
            keys = ["seed", "question"]
            moved, due = (
                chosen[chosen["metric"] == f"{kind}_{variable}"].set_index(keys)["value"]
                for kind in ("moved", "due")
            )
            if len(moved) and name != FLOOR:
                points[name] = np.stack([moved.to_numpy(), due.reindex(moved.index).to_numpy()])
        if not points:
            continue
        unit = describe_score(f"inconsistency_{variable}", dataset).unit
        means = "; ".join(
            f"{method_title(name)} change {moved.mean():.3g}, true change {due.mean():.3g}"
            for name, (moved, due) in points.items()
        )
        panels.append(
            Panel(
                f"{what}_{variable}",
                f"{variable} ({unit}) when {what} is flipped: {means}.",
                partial(
                    _draw,
                    title=f"{what} flipped: {variable}" + (f" ({unit})" if unit else ""),
                    points=points,
                    colours=colours,
                ),
                0.85 + 0.34 * len(points),
            )
        )
    caption = (
        "Change of a variable that was not to be flipped. Small points: single answers. Dot: mean change. Vertical "
        "bar: mean true change. A method respects the causal graph where its dot lies on its bar."
    )
    return (
        Picture("graph", "Do explanations respect the causal graph?", caption, tuple(panels), 2)
        if panels
        else None
    )


def _draw(figure: AnyFigure, title: str, points: dict[str, np.ndarray], colours: dict[str, str]) -> None:
    axes = add_axes(figure, title)
    moved = np.concatenate([one[0] for one in points.values()])
    ends = [one.mean(axis=1) for one in points.values()]
    # The axis covers 98 % of the answers, so that outliers do not compress the rest.
    low, high = np.quantile(moved, [0.01, 0.99])
    low, high = min(low, 0.0, *(end.min() for end in ends)), max(high, 0.0, *(end.max() for end in ends))
    margin = 0.06 * (high - low) or 1.0
    axes.axvline(0.0, color=MUTED, lw=0.8, zorder=1)
    for y, (name, (change, due)) in enumerate(points.items()):
        colour = colours.get(name, MUTED)
        # Deterministic jitter, so that repeated runs draw the same figure.
        offset = 0.2 * np.sin(2.399963 * np.arange(len(change)))
        axes.plot(
            np.clip(change, low, high), y + offset, "o", ms=2.2, mew=0, color=colour, alpha=0.35, zorder=2
        )
        axes.plot([change.mean(), due.mean()], [y, y], color=colour, lw=1.6, zorder=3)
        axes.plot([due.mean()] * 2, [y - 0.33, y + 0.33], color=INK, lw=2.0, solid_capstyle="butt", zorder=4)
        axes.plot(change.mean(), y, "o", ms=6.5, color=colour, mec=PAPER, mew=0.7, zorder=5)
    axes.set(
        xlim=(low - margin, high + margin),
        ylim=(max(len(points), rows_that_fit(figure, 0.75, 0.34)) - 0.45, -0.6),
    )
    axes.set_yticks(range(len(points)), [method_title(name) for name in points])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(False)
    axes.grid(True, axis="x", color=FAINT, lw=0.6)
    axes.spines["left"].set_visible(False)

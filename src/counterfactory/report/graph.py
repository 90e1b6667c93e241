r"""Do explanations respect the causal graph? What a flip does to the variables that were not to be flipped.

The scores `moved_<variable>`, `due_<variable>` and `side_<variable>` of :mod:`counterfactory.metrics.graph_consistency`, as a table
and as a figure: what the pixels of flipped answers show, against what the true world does when the attribute goes just
as far as in that answer.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import FigureBase

from ..core.files import read_table
from ..data.dataset import Dataset
from .cells import Scores, Select
from .layout import Cell, Column, Row, Table, embolden_columns
from .style import FAINT, INK, MUTED, PAPER, Panel, Picture, add_axes, rows_that_fit
from .vocabulary import FLOOR, describe_score, method_order, method_role, method_title

__all__ = ["graph_picture", "graph_table", "side_effects"]


def side_effects(scores: Scores, dataset: Dataset) -> list[tuple[str, str]]:
    """Returns each (what was flipped, variable that was not) of which any method has a score."""
    return [
        (what, variable.name)
        for what in scores.interventions("flip")
        for variable in dataset.variables
        if scores.has(Select("flip", f"side_{variable.name}", (what,)), number=True)
    ]


def graph_table(scores: Scores, dataset: Dataset) -> Table | None:
    """Returns what flips do to other variables, and what they should.

    Arguments:
        scores: The scores.
        dataset: The data set.
    """
    pairs = side_effects(scores, dataset)
    if not pairs:
        return None
    columns: list[Column] = []
    for what, variable in pairs:
        group, key = f"{what} flipped: {variable}", f"{what}_{variable}"
        unit, decimals = (score := describe_score(f"side_{variable}", dataset)).unit, score.decimals
        columns.append(Column(f"{key}_n", "n", group, "flips", decimals=0))
        columns.append(Column(f"{key}_moved", "moved", group, unit, decimals=decimals))
        columns.append(Column(f"{key}_due", "due", group, unit, decimals=decimals))
        columns.append(Column(f"{key}_side", "beside the graph", group, unit, "lower", decimals))
    rows = []
    for name in scores.methods:
        cells: list[Cell] = []
        for what, variable in pairs:
            found = [
                scores.cell(Select("flip", f"{kind}_{variable}", (what,)), name)
                for kind in ("moved", "due", "side")
            ]
            # The number of flips says of how many; why the others have none is in the table of scores.
            found = [
                Cell(c.value, c.low, c.high, c.spread, c.seeds, c.n) if c.value is not None else c
                for c in found
            ]
            cells += [Cell(float(found[2].n or 0)) if found[2].value is not None else Cell(0.0), *found]
        if any(cell.value for cell in cells):
            rows.append(Row(method_title(name), tuple(cells), method_role(name), name))
    table = Table(
        "graph",
        "What flips moved beside, and what was due",
        tuple(columns),
        tuple(rows),
        "How to read it: what a flip moved in a variable that it was not asked to move, measured on the "
        "pixels, should be what is due to it in the true world, no more and no less; the distance beside the "
        f"graph is 0 then. {_told(dataset)}",
        notes=(
            "Moved and due are means over flipped answers, counted along the flip: with the other sign where "
            "the attribute was to be lost. Due is what the true structural model says when the flipped "
            "quantity changes by just as much as in that very answer, so a method that flips with a small "
            "step owes a small one. Bold: best of the methods with the largest n, where there are two.",
        ),
    )
    return embolden_columns(table) if rows else None


def _told(dataset: Dataset) -> str:
    """Says what causes what among the variables."""
    edges = [f"{cause} moves {effect}" for cause, effect in dataset.edges]
    caused = {effect for _, effect in dataset.edges}
    alone = [variable.name for variable in dataset.variables if variable.name not in caused]
    still = f"nothing moves {' or '.join(alone)}" if alone else ""
    said = "; ".join(part for part in (", ".join(edges), still) if part)
    return f"In this world {said}." if said else "In this world no variable moves another."


def graph_picture(
    scores: Scores, rows: Sequence[Path | str], dataset: Dataset, colours: dict[str, str]
) -> Picture | None:
    """Returns the same as a figure, a panel for each pair of what was flipped and what was not, each answer a point.

    Arguments:
        scores: The scores.
        rows: The scores of single questions; those of other metrics than `side` are passed over.
        dataset: The data set.
        colours: The methods' colours.

    Raises:
        UserError: If a file is damaged.
    """
    tables = [read_table(path) for path in rows if Path(path).parent.name == "graph_consistency"]
    pairs = side_effects(scores, dataset)
    if not tables or not pairs:
        return None
    table = pd.concat(tables, ignore_index=True)
    table = table[np.isfinite(table["value"]) & (table["suite"] == "flip")]
    panels = []
    for what, variable in pairs:
        points = {}
        for name in method_order(table["method"].tolist()):
            mine = table[(table["method"] == name) & (table["intervention"] == what)]
            keys = ["seed", "question"]
            moved, due = (
                mine[mine["metric"] == f"{kind}_{variable}"].set_index(keys)["value"]
                for kind in ("moved", "due")
            )
            if len(moved) and name != FLOOR:
                points[name] = np.stack([moved.to_numpy(), due.reindex(moved.index).to_numpy()])
        if not points:
            continue
        unit = describe_score(f"side_{variable}", dataset).unit
        said = "; ".join(
            f"{method_title(name)} moved {moved.mean():.3g}, due {due.mean():.3g}"
            for name, (moved, due) in points.items()
        )
        panels.append(
            Panel(
                f"{what}_{variable}",
                f"{variable} ({unit}) when {what} is flipped: {said}.",
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
        "What flips did to a variable that was not to be flipped: a small point is an answer, the dot the "
        "mean of what was moved, the upright stroke the mean of what was due to it in the true world. A "
        "method is true to the graph where its dot lies on its stroke."
    )
    return (
        Picture("graph", "Do explanations respect the causal graph?", caption, tuple(panels), 2)
        if panels
        else None
    )


def _draw(figure: FigureBase, title: str, points: dict[str, np.ndarray], colours: dict[str, str]) -> None:
    axes = add_axes(figure, title)
    moved = np.concatenate([one[0] for one in points.values()])
    ends = [one.mean(axis=1) for one in points.values()]
    # A stray answer must not press all others together.
    low, high = np.quantile(moved, [0.01, 0.99])
    low, high = min(low, 0.0, *(end.min() for end in ends)), max(high, 0.0, *(end.max() for end in ends))
    room = 0.06 * (high - low) or 1.0
    axes.axvline(0.0, color=MUTED, lw=0.8, zorder=1)
    for y, (name, (went, due)) in enumerate(points.items()):
        colour = colours.get(name, MUTED)
        # Spread by the order of answers, not by chance: the same figure each time.
        offset = 0.2 * np.sin(2.399963 * np.arange(len(went)))
        axes.plot(
            np.clip(went, low, high), y + offset, "o", ms=2.2, mew=0, color=colour, alpha=0.35, zorder=2
        )
        axes.plot([went.mean(), due.mean()], [y, y], color=colour, lw=1.6, zorder=3)
        axes.plot([due.mean()] * 2, [y - 0.33, y + 0.33], color=INK, lw=2.0, solid_capstyle="butt", zorder=4)
        axes.plot(went.mean(), y, "o", ms=6.5, color=colour, mec=PAPER, mew=0.7, zorder=5)
    axes.set(
        xlim=(low - room, high + room),
        ylim=(max(len(points), rows_that_fit(figure, 0.75, 0.34)) - 0.45, -0.6),
    )
    axes.set_yticks(range(len(points)), [method_title(name) for name in points])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(False)
    axes.grid(True, axis="x", color=FAINT, lw=0.6)
    axes.spines["left"].set_visible(False)

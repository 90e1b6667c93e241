"""From the floor to the ceiling: how much of the way each method goes, as a table and as a figure."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase

from ..data.dataset import Dataset
from .cells import Scores, Select
from .checks import judge_error
from .layout import Cell, Column, Row, Table, embolden_best, format_cell
from .style import (
    FAINT,
    INK,
    MUTED,
    PAPER,
    Panel,
    Picture,
    add_axes,
    add_legend,
    legend_height,
    rows_that_fit,
)
from .vocabulary import CEILING, FLOOR, describe_score, method_role, method_title, set_title, spell_score

__all__ = ["distance_picture", "distance_table"]


def distance_table(scores: Scores, dataset: Dataset, judges: dict[str, Any]) -> Table:
    """Returns how much of the way from the floor to the ceiling each method goes.

    For a score m, with f the floor's and c the ceiling's, the share of the way is (f - m) / (f - c): 0 % is
    doing nothing, 100 % is the true counterfactual. Only scores that the intervention moves are here: of the
    variable that was set, of its effects in the causal graph, and of the whole image, where floor and
    ceiling are scored on the same questions and can be told apart. Where the ceiling cannot be rendered, as
    for another digit's handwriting, the judge's own error on real images stands for it.
    """
    protocol = scores.protocol
    methods = _asked(scores)
    columns = [Column(FLOOR, method_title(FLOOR), "floor")]
    for name in methods:
        title = method_title(name)
        columns += [
            Column(name, "score", title),
            Column(f"{name}_way", "share of the way", title, "%", "", 0),
        ]
    columns.append(Column(CEILING, method_title(CEILING), "ceiling"))
    rows = []
    for what in scores.interventions():
        moved = _moved(what, dataset)
        for metric in scores.values("metric", suite="do", intervention=what, protocol=protocol):
            score = describe_score(metric, dataset)
            kind, _, name = metric.removesuffix("_truth").partition("_")
            if (
                not score.better
                or kind == "parents"
                or (kind in ("predicted", "measured") and name not in moved)
            ):
                continue
            select = Select("do", metric, (what,), protocol)
            floor, ceiling = scores.cell(select, FLOOR), scores.cell(select, CEILING)
            if ceiling.value is not None and ceiling.n != floor.n:
                continue  # the truth of some questions only is no ceiling of all
            if ceiling.value is None and kind == "predicted" and name == what:
                judge = judge_error(judges.get(name, {}), "test")
                ceiling = replace(judge, reason="no true image: the judge's own error on real test images")
            if not _apart(floor, ceiling, score.better):
                continue
            cells = [scores.cell(select, name) for name in methods]
            gap = floor.value - ceiling.value
            shares = [
                cell if cell.value is None else Cell(100.0 * (floor.value - cell.value) / gap, n=cell.n)
                for cell in cells
            ]
            shares = embolden_best(shares, [True] * len(shares), "higher", 0)
            pairs = [
                part
                for cell, share in zip(cells, shares, strict=True)
                for part in (replace(cell, decimals=score.decimals), share)
            ]
            ends = [replace(end, decimals=score.decimals) for end in (replace(floor, reason=""), ceiling)]
            rows.append(
                Row(
                    f"{set_title(what)}: {spell_score(metric, dataset)}",
                    (ends[0], *pairs, ends[1]),
                    key=f"{what}:{metric}",
                )
            )
    return Table(
        "distance",
        "From the floor to the ceiling",
        tuple(columns),
        tuple(rows),
        "0 % is what doing nothing gets, 100 % is the true counterfactual, scored in the same way.",
        stub="question and score",
    )


def _asked(scores: Scores) -> list[str]:
    """Returns the methods that answer interventions; explainers do not."""
    there = set(scores.values("method", suite="do"))
    return [name for name in scores.methods if method_role(name) == "method" and name in there]


def _moved(intervention: str, dataset: Dataset) -> set[str]:
    """Returns the variables that an intervention moves: what is set and all that it causes."""
    if intervention not in dataset.names:
        return set(dataset.names)
    moved = {intervention}
    for _ in dataset.names:
        moved |= {effect for cause, effect in dataset.edges if cause in moved}
    return moved


def _apart(floor: Cell, ceiling: Cell, better: str) -> bool:
    """Whether the ceiling is better than the floor by more than chance."""
    if floor.value is None or ceiling.value is None:
        return False
    if better == "higher":
        floor, ceiling = ceiling, floor
    worse = floor.value if floor.low is None else floor.low
    return worse > (ceiling.value if ceiling.high is None else ceiling.high)


def distance_picture(table: Table, scores: Scores, colours: dict[str, str]) -> Picture:
    """Returns the way from the floor to the ceiling as a figure, a panel an intervention.

    Arguments:
        table: As :func:`distance_table` returns.
        scores: The scores that it was made from.
        colours: The methods' colours.
    """
    methods = _asked(scores)
    panels = []
    for what in dict.fromkeys(row.key.partition(":")[0] for row in table.rows):
        # Against the target, measuring has an error of its own: the same against the truth says more.
        rows = [row for row in table.rows if row.key.startswith(f"{what}:") and "to target" not in row.name]
        if not rows or not methods:
            continue
        said = []
        for row in rows:
            shares = [
                f"{method_title(name)} {row.cells[2 + 2 * k].value:.0f} %"
                for k, name in enumerate(methods)
                if row.cells[2 + 2 * k].value is not None
            ]
            said.append(f"{row.name.partition(': ')[2].rstrip(' ↓↑')}: {', '.join(shares)}")
        alt = f"Share of the way from copy to truth under {set_title(what)}. {'; '.join(said)}."
        draw = partial(
            _draw_distance, title=set_title(what), rows=rows, table=table, methods=methods, colours=colours
        )
        panels.append(Panel(what, alt, draw, 0.45 + legend_height(len(methods)) + 0.47 * len(rows)))
    caption = (
        "Each line runs from what copying the input gets (left end) to what the true counterfactual gets "
        "(right end), the numbers at its ends; a dot is a method, with its interval."
    )
    return Picture("distance", "Share of the way from floor to ceiling", caption, tuple(panels), 2)


def _draw_distance(
    figure: FigureBase, title: str, rows: list, table: Table, methods: list[str], colours: dict[str, str]
) -> None:
    axes = add_axes(figure, title)
    axes.set_axis_off()
    # Lines keep their distance in a part of a figure that is taller than need be.
    head = 0.28 + legend_height(len(methods))
    axes.set(xlim=(-0.24, 1.22), ylim=(rows_that_fit(figure, head, 0.47) - 0.75, -0.75))
    for y, row in enumerate(rows):
        floor, ceiling = row.cells[0], row.cells[-1]
        axes.plot([0, 1], [y, y], color=FAINT, lw=3, solid_capstyle="round", zorder=1)
        axes.text(
            0, y - 0.26, row.name.partition(": ")[2].rstrip(" ↓↑"), fontsize=7.5, va="bottom", color=INK
        )
        ends = ((-0.045, "right", floor, table.columns[0]), (1.045, "left", ceiling, table.columns[-1]))
        for x, side, cell, column in ends:
            axes.text(x, y, format_cell(cell, column)[0], ha=side, va="center", fontsize=7, color=MUTED)
        gap = floor.value - ceiling.value
        for k, name in enumerate(methods):
            score, share = row.cells[1 + 2 * k], row.cells[2 + 2 * k]
            if share.value is None or score.value is None:
                continue
            ends = [score.low, score.high] if score.low is not None else [score.value] * 2
            ends = (
                [score.value - score.spread, score.value + score.spread] if score.spread is not None else ends
            )
            x = np.clip([(floor.value - end) / gap for end in ends], -0.02, 1.02)
            axes.plot(x, [y, y], color=colours[name], lw=3, solid_capstyle="butt", alpha=0.45, zorder=2)
            label = method_title(name) if y == 0 else None
            dot = float(np.clip(share.value / 100, -0.02, 1.02))
            axes.plot(dot, y, "o", ms=6.5, color=colours[name], mec=PAPER, mew=0.6, label=label, zorder=3)
    add_legend(axes)

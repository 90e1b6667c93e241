"""The position of each method between floor and ceiling (share of the gap closed), as a table and as a figure."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..data.dataset import Dataset
from ..questions.registry import variables_set
from .cells import Scores, Select
from .checks import judge_error
from .layout import Cell, Column, Row, Table, embolden_best, ends_of, format_cell, format_number
from .style import (
    FAINT,
    INK,
    MUTED,
    PAPER,
    AnyFigure,
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
    r"""Returns the share of the gap between floor and ceiling that each method closes.

    For a score m with the floor's value f and the ceiling's value c, the share is

    .. math:: 100 \% \cdot (f - m) / (f - c)

    A copy of the input has 0 %, the true counterfactual 100 %. The table contains the scores that the intervention
    changes: those of the variable that is set, of its effects in the causal graph, and of the whole image. Floor and
    ceiling must cover the same questions, and the ceiling must be better by more than the intervals. Where no true
    counterfactual exists, as under do(digit), the judge's error on real test images replaces the ceiling.

    Arguments:
        scores: The scores.
        dataset: The data set.
        judges: The `model.json` of each judge, by variable.
    """
    protocol = scores.protocol
    methods = _answering_methods(scores)
    columns = [Column(FLOOR, method_title(FLOOR), "floor")]
    for name in methods:
        title = method_title(name)
        columns += [
            Column(name, "score", title),
            Column(f"{name}_gap", "gap closed", title, "%", "", 0),
        ]
    rendered = CEILING in scores.methods
    columns.append(Column(CEILING, method_title(CEILING) if rendered else "judge, real images", "ceiling"))
    rows = []
    for what in scores.interventions():
        changed = _changed_variables(what, dataset)
        for metric in scores.values("metric", suite="do", intervention=what, protocol=protocol):
            score = describe_score(metric, dataset)
            kind, _, name = (
                metric.removesuffix("_truth").replace("balanced_accuracy", "balanced").partition("_")
            )
            if (
                not score.better
                or kind == "parents"
                or (kind in ("predicted", "measured", "f1", "balanced") and name not in changed)
            ):
                continue
            select = Select("do", metric, (what,), protocol)
            floor, ceiling = scores.cell(select, FLOOR), scores.cell(select, CEILING)
            if ceiling.value is not None and ceiling.n != floor.n:
                continue  # The ceiling covers other questions than the floor.
            if ceiling.value is None and kind == "predicted" and name == what:
                judge = judge_error(judges.get(name, {}), "test")
                ceiling = replace(
                    judge, reason="no true counterfactual: error of the judge on real test images"
                )
            if not _separated(floor, ceiling, score.better):
                continue
            cells = [scores.cell(select, name) for name in methods]
            assert floor.value is not None and ceiling.value is not None  # they are separated
            start, gap = floor.value, floor.value - ceiling.value
            shares = [
                cell
                if cell.value is None
                else Cell(100.0 * (start - cell.value) / gap, n=cell.n, method=cell.method, ties=cell.ties)
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
                    f"{set_title(what, dataset)}: {spell_score(metric, dataset)}",
                    (ends[0], *pairs, ends[1]),
                    key=f"{what}:{metric}",
                )
            )
    return Table(
        "distance",
        "Position between floor and ceiling",
        tuple(columns),
        tuple(rows),
        "Gap closed: 0 % is the score of a copy of the input, 100 % is the score of "
        + ("the true counterfactual." if rendered else "the judge on real images."),
        stub="question and score",
    )


def _answering_methods(scores: Scores) -> list[str]:
    """Returns the methods with answers to interventions; explainers have none."""
    scored = set(scores.values("method", suite="do"))
    return [name for name in scores.methods if method_role(name) == "method" and name in scored]


def _changed_variables(intervention: str, dataset: Dataset) -> set[str]:
    """Returns the variables that an intervention changes: those that are set and their descendants."""
    changed = set(variables_set(intervention))
    if not changed <= set(dataset.names):
        return set(dataset.names)
    for _ in dataset.names:
        changed |= {effect for cause, effect in dataset.edges if cause in changed}
    return changed


def _separated(floor: Cell, ceiling: Cell, better: str) -> bool:
    """Returns whether the ceiling is better than the floor by more than their intervals."""
    if better == "higher":
        floor, ceiling = ceiling, floor
    if floor.value is None or ceiling.value is None:
        return False
    worse = floor.value if floor.low is None else floor.low
    return worse > (ceiling.value if ceiling.high is None else ceiling.high)


def distance_picture(table: Table, scores: Scores, colours: dict[str, str]) -> Picture:
    """Returns the figure of positions between floor and ceiling, one panel per intervention.

    Arguments:
        table: The table from :func:`distance_table`.
        scores: The scores that the table was built from.
        colours: The colours of the methods.
    """
    methods = _answering_methods(scores)
    rendered = CEILING in scores.methods
    end = "truth" if rendered else "judge on real images"
    panels = []
    for what in dict.fromkeys(row.key.partition(":")[0] for row in table.rows):
        # Errors to the target include the error of the measurement; the rows of errors to the truth do not.
        rows = [row for row in table.rows if row.key.startswith(f"{what}:") and "to target" not in row.name]
        if not rows or not methods:
            continue
        title, lines = rows[0].name.partition(": ")[0], []
        for row in rows:
            values = [(name, row.cells[2 + 2 * k].value) for k, name in enumerate(methods)]
            shares = [
                f"{method_title(name)} {format_number(value, 0)} %"
                for name, value in values
                if value is not None
            ]
            lines.append(f"{row.name.partition(': ')[2].rstrip(' ↓↑')}: {', '.join(shares)}")
        alt = f"Share of the gap between copy and {end} closed under {title}. {'; '.join(lines)}."
        draw = partial(_draw_distance, title=title, rows=rows, table=table, methods=methods, colours=colours)
        panels.append(Panel(what, alt, draw, 0.45 + legend_height(len(methods)) + 0.47 * len(rows)))
    caption = (
        "Each line extends from the score of a copy of the input (left) to the score of "
        f"{'the true counterfactual' if rendered else 'the judge on real images'} (right); both scores are printed "
        "at its ends. Each dot is a method, with its interval."
    )
    return Picture("distance", "Share of the gap between floor and ceiling closed", caption, tuple(panels), 2)


def _draw_distance(
    figure: AnyFigure, title: str, rows: list, table: Table, methods: list[str], colours: dict[str, str]
) -> None:
    axes = add_axes(figure, title)
    axes.set_axis_off()
    # The distance between lines is fixed, also in a subfigure that is taller than the panel.
    head = 0.28 + legend_height(len(methods))
    axes.set(xlim=(-0.24, 1.22), ylim=(rows_that_fit(figure, head, 0.47) - 0.75, -0.75))
    for y, row in enumerate(rows):
        floor, ceiling = row.cells[0], row.cells[-1]
        axes.plot([0, 1], [y, y], color=FAINT, lw=3, solid_capstyle="round", zorder=1)
        axes.text(
            0, y - 0.26, row.name.partition(": ")[2].rstrip(" ↓↑"), fontsize=7.5, va="bottom", color=INK
        )
        ends = ((-0.045, "right", floor, table.columns[0]), (1.045, "left", ceiling, table.columns[-1]))
        for x, alignment, cell, column in ends:
            axes.text(x, y, format_cell(cell, column)[0], ha=alignment, va="center", fontsize=7, color=MUTED)
        start, gap = floor.value, floor.value - ceiling.value
        for k, name in enumerate(methods):
            score, share = row.cells[1 + 2 * k], row.cells[2 + 2 * k]
            if share.value is None or score.value is None:
                continue
            x = np.clip([(start - end) / gap for end in ends_of(score)], -0.02, 1.02)
            axes.plot(x, [y, y], color=colours[name], lw=3, solid_capstyle="butt", alpha=0.45, zorder=2)
            label = method_title(name) if y == 0 else None
            dot = float(np.clip(share.value / 100, -0.02, 1.02))
            axes.plot(dot, y, "o", ms=6.5, color=colours[name], mec=PAPER, mew=0.6, label=label, zorder=3)
    add_legend(axes)

"""Figures of the cost of explanations: flip rate against classifier scale, and scores against network calls."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..data.dataset import Dataset
from .cells import Scores
from .explanations import flip_select
from .flip_answers import FlipAnswers
from .label_places import label_places
from .layout import Table, ends_of
from .style import MUTED, PAPER, AnyFigure, Panel, Picture, add_axes, add_legend, plain_number
from .vocabulary import CEILING, FLOOR, describe_score, method_role, method_title

__all__ = ["curve_layers", "quality_picture", "scale_picture"]

SCORES = ("flip_rate", "l1", "fs", "fva", "mnac", "cd", "cout", "oracle_frechet")
"""The scores that are drawn against network calls, where they exist."""

PLOT = (222.0, 108.0)
"""The width and height of the axes of a panel of scores in points, without ticks and title, on the safe side."""

SAME, WIDE = 0.5, 0.012
"""The share of the axis over which a curve hides another one, and the difference of shares that a line covers."""

DASHES: tuple[Any, ...] = ("-", (0, (3.0, 2.0)), (0, (1.5, 3.5)), (0, (0.7, 4.3)))
"""The line styles of a curve, of one on it, and so on: each leaves a part of those below visible."""

LETTER = 4.4
"""The mean width of a letter of a label in points."""


def scale_picture(flips: FlipAnswers, colours: dict[str, str]) -> Picture | None:
    """Returns the figure of the share of flipped questions against the classifier scale, one panel per attribute.

    Arguments:
        flips: The answers; those with a column `scale` are drawn.
        colours: The colours of the methods.
    """
    panels, dashed = [], False
    for attribute in flips.attributes:
        rows = flips.first(attribute)
        curves = {}
        for name, table in flips.tables.items():
            answered = rows[flips.answered(name)[rows]]
            if "scale" in table.columns and len(answered):
                scale = np.sort(table["scale"].to_numpy(np.float64)[answered])
                scale = scale[np.isfinite(scale)]
                curves[name] = np.stack([scale, np.arange(1, len(scale) + 1) / len(answered)]), len(answered)
        if not any(len(curve[0]) for curve, _ in curves.values()):
            continue
        dashed |= any(curve_layers({name: curve for name, (curve, _) in curves.items()}).values())
        summary = "; ".join(
            f"{method_title(name)} {100 * share[0]:.0f} % at {scale[0]:g}, {100 * share[-1]:.0f} % at "
            f"{scale[-1]:.3g}"
            if len(scale)
            else f"{method_title(name)} never"
            for name, ((scale, share), _) in curves.items()
        )
        panels.append(
            Panel(
                attribute,
                f"Share of questions about {attribute} flipped at a classifier scale or below: {summary}.",
                partial(_draw_scale, title=attribute, curves=curves, colours=colours),
                2.4,
            )
        )
    caption = (
        "Share of the questions that flip at a classifier scale or below. DiME and FastDiME restart with each scale of "
        "a list; DiME-X increases the scale during sampling. The share above the end of a curve is never flipped."
    )
    if dashed:
        caption += " A dashed curve has another one below it over a part of its length."
    return (
        Picture("explanations_scale", "Flip rate against classifier scale", caption, tuple(panels), 2)
        if panels
        else None
    )


def curve_layers(curves: dict[str, np.ndarray]) -> dict[str, int]:
    """Returns the layer of each curve: 0, or one more than the highest curve below it that it lies on.

    A curve lies on another one if the two have the same share over at least :data:`SAME` of the logarithmic axis from
    the first flip of either. The common start at 0 does not count, unless neither flips anything.

    Arguments:
        curves: For each curve in the order of drawing the scales in ascending order and the share of questions flipped
            at most there, with shape (2, N).
    """
    ends = np.concatenate([curve[0] for curve in curves.values()])
    layers: dict[str, int] = {}
    if not len(ends):
        return dict.fromkeys(curves, 0)
    grid = np.geomspace(ends.min() / 1.3, ends.max() * 1.3, 400)
    heights = {
        name: np.concatenate([[0.0], share])[np.searchsorted(scale, grid, side="right")]
        for name, (scale, share) in curves.items()
    }
    for name, height in heights.items():
        layers[name] = 0
        for other in list(layers)[:-1]:
            counted = (height > 0) | (heights[other] > 0)
            counted = counted if counted.any() else np.ones(len(grid), bool)
            if (np.abs(height - heights[other])[counted] < WIDE).mean() >= SAME:
                layers[name] = max(layers[name], layers[other] + 1)
    return layers


def _draw_scale(
    figure: AnyFigure, title: str, curves: dict[str, tuple[np.ndarray, int]], colours: dict[str, str]
) -> None:
    axes = add_axes(figure, title)
    ends = np.concatenate([curve[0] for curve, _ in curves.values()])
    low, high = ends.min() / 1.3, ends.max() * 1.3
    layers = curve_layers({name: curve for name, (curve, _) in curves.items()})
    for name, ((scale, share), _) in curves.items():
        x, y = (
            np.concatenate([[low], scale, [high]]),
            np.concatenate([[0.0], share, share[-1:] if len(share) else [0.0]]),
        )
        dashes = DASHES[min(layers[name], len(DASHES) - 1)]
        axes.step(
            x, y, where="post", color=colours.get(name, MUTED), lw=1.7, ls=dashes, label=method_title(name)
        )
    axes.set(
        xscale="log", xlim=(low, high), ylim=(-0.03, 1.04), xlabel="classifier scale", ylabel="share flipped"
    )
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 4.0) if high < 60 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())
    add_legend(axes, 3)


def quality_picture(
    scores: Scores, costs: Table | None, dataset: Dataset, colours: dict[str, str]
) -> Picture | None:
    """Returns the figure of scores (means over attributes) against network calls per answer, one panel per score.

    Arguments:
        scores: The scores.
        costs: The table from :func:`counterfactory.report.explanations.explanation_costs`.
        dataset: The data set.
        colours: The colours of the methods.
    """
    if costs is None:
        return None
    column = [column.key for column in costs.columns].index("network_calls_per_answer")
    calls = {row.key: value for row in costs.rows if (value := row.cells[column].value)}
    drawn = [value for name, value in calls.items() if method_role(name) == "method"]
    if not drawn:
        return None
    reach = min(drawn) / 2, max(drawn) * 6
    panels, references = [], set()
    for metric in SCORES:
        select = flip_select(scores, metric)
        if not select.interventions:
            continue
        cells = {name: scores.cell(select, name) for name in scores.methods}
        points = {
            name: (calls[name], cell.value, *ends_of(cell))
            for name, cell in cells.items()
            if name in calls and cell.value is not None and method_role(name) == "method"
        }
        if not points:
            continue
        lines = {
            name: value
            for name in (FLOOR, CEILING)
            if name in cells and (value := cells[name].value) is not None
        }
        references |= set(lines)
        score = describe_score(metric, dataset)
        unit = f" ({score.unit})" if score.unit else ""
        arrow = {"lower": " ↓", "higher": " ↑"}.get(score.better, "")
        summary = "; ".join(
            f"{method_title(name)} {x:.3g} calls, {y:.3g}" for name, (x, y, *_) in points.items()
        )
        panels.append(
            Panel(
                metric,
                f"{score.title}{unit} against network calls per answer: {summary}.",
                partial(
                    _draw_quality,
                    title=f"{score.title}{unit}{arrow}",
                    points=points,
                    lines=lines,
                    reach=reach,
                    colours=colours,
                ),
                2.3,
            )
        )
    names = {FLOOR: "floor (dotted)", CEILING: "ceiling (dashed)"}
    shown = " and ".join(words for name, words in names.items() if name in references)
    caption = (
        "Scores, as means over attributes, against network calls per answer. Bars are intervals. "
        + (
            f"Lines: {shown}, which {'call' if len(references) > 1 else 'calls'} no network. "
            if shown
            else ""
        )
        + "The arrow is the direction of improvement."
    )
    return (
        Picture("explanations_quality", "Cost against quality", caption, tuple(panels), 2) if panels else None
    )


def _label_dots(
    axes: Axes,
    points: dict[str, tuple[float, float, float, float]],
    lines: list[float],
    reach: tuple[float, float],
    colours: dict[str, str],
) -> None:
    """Writes the name of each method beside its dot, in its colour."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top)  # a label changes no limit
    width, height = PLOT
    x, y, *ends = np.array(list(points.values()), np.float64).T
    across = width * np.log(x / reach[0]) / np.log(reach[1] / reach[0])
    y, *ends, levels = (height * (one - bottom) / (top - bottom) for one in (y, *ends, np.array(lines)))
    titles = [method_title(name) for name in points]
    places = label_places(
        np.stack([across, y], 1),
        np.stack(ends, 1),
        levels.tolist(),
        [LETTER * len(title) for title in titles],
        PLOT,
    )
    for (name, (calls, value, *_)), title, (right, up, side) in zip(
        points.items(), titles, places, strict=True
    ):
        axes.annotate(
            title, (calls, value), (right, up), textcoords="offset points", fontsize=7, ha=side,
            va="center", color=colours.get(name, MUTED), zorder=5,
        )  # fmt: skip


def _draw_quality(
    figure: AnyFigure,
    title: str,
    points: dict[str, tuple[float, float, float, float]],
    lines: dict[str, float],
    reach: tuple[float, float],
    colours: dict[str, str],
) -> None:
    axes = add_axes(figure, title)
    for name, value in lines.items():
        axes.axhline(value, color=colours[name], lw=1.1, ls=":" if name == FLOOR else "--", zorder=1)
    low, high = reach
    for name, (calls, value, start, stop) in points.items():
        colour = colours.get(name, MUTED)
        axes.plot(
            [calls, calls], [start, stop], color=colour, lw=3, alpha=0.4, solid_capstyle="butt", zorder=2
        )
        axes.plot(calls, value, "o", ms=6.5, color=colour, mec=PAPER, mew=0.6, zorder=4)
    axes.set(xscale="log", xlim=(low, high), xlabel="network calls per answer")
    axes.margins(y=0.16)
    _label_dots(axes, points, list(lines.values()), reach, colours)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high < 3000 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())

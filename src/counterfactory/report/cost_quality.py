"""Figures of the cost of explanations: flip rate against classifier scale, and scores against network calls."""

from functools import partial

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..data.dataset import Dataset
from .cells import Scores
from .explanations import flip_select
from .flip_answers import FlipAnswers
from .layout import Table, ends_of
from .style import INK, MUTED, PAPER, AnyFigure, Panel, Picture, add_axes, add_legend, plain_number
from .vocabulary import CEILING, FLOOR, describe_score, method_role, method_title

__all__ = ["quality_picture", "scale_picture"]

SCORES = ("flip_rate", "l1", "fs", "fva", "mnac", "cd", "cout", "oracle_frechet")
"""The scores that are drawn against network calls, where they exist."""


def scale_picture(flips: FlipAnswers, colours: dict[str, str]) -> Picture | None:
    """Returns the figure of the share of flipped questions against the classifier scale, one panel per attribute.

    Arguments:
        flips: The answers; those with a column `scale` are drawn.
        colours: The colours of the methods.
    """
    panels = []
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
    return (
        Picture("explanations_scale", "Flip rate against classifier scale", caption, tuple(panels), 2)
        if panels
        else None
    )


def _draw_scale(
    figure: AnyFigure, title: str, curves: dict[str, tuple[np.ndarray, int]], colours: dict[str, str]
) -> None:
    axes = add_axes(figure, title)
    ends = np.concatenate([curve[0] for curve, _ in curves.values()])
    low, high = ends.min() / 1.3, ends.max() * 1.3
    for name, ((scale, share), _) in curves.items():
        x, y = (
            np.concatenate([[low], scale, [high]]),
            np.concatenate([[0.0], share, share[-1:] if len(share) else [0.0]]),
        )
        axes.step(x, y, where="post", color=colours.get(name, MUTED), lw=1.7, label=method_title(name))
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
    for k, name in enumerate(sorted(points, key=lambda name: points[name][0])):
        calls, value, start, stop = points[name]
        colour, above = colours.get(name, MUTED), k % 2 == 0
        axes.plot(
            [calls, calls], [start, stop], color=colour, lw=3, alpha=0.4, solid_capstyle="butt", zorder=2
        )
        axes.plot(calls, value, "o", ms=6.5, color=colour, mec=PAPER, mew=0.6, zorder=4)
        # Labels alternate between above and below the dots, so that neighbours do not overlap.
        axes.annotate(
            method_title(name), (calls, value), (4, 5 if above else -5), textcoords="offset points", fontsize=7,
            ha="left", va="bottom" if above else "top", color=INK, zorder=5,
        )  # fmt: skip
    axes.set(xscale="log", xlim=(low, high), xlabel="network calls per answer")
    axes.margins(y=0.16)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high < 3000 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())

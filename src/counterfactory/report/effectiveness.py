"""Figure of effectiveness against the target value of the intervention."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..core.files import read_table
from ..data.dataset import Dataset, Variable
from .style import AnyFigure, Panel, Picture, add_axes, add_legend, legend_height, plain_number
from .vocabulary import CEILING, FLOOR, describe_score, method_role, method_title

__all__ = ["effectiveness_picture"]

BINS = 8
"""The number of bins of target values, with equal numbers of questions."""


def effectiveness_picture(
    paths: Sequence[Path | str], do: Path, dataset: Dataset, methods: list[str], colours: dict[str, str]
) -> Picture | None:
    """Returns the figure of the error of the variable that was set, against its target value.

    Arguments:
        paths: The scores of single questions; only those of `effectiveness` and `measured` are used.
        do: The questions of the suite `do`, which hold the target values.
        dataset: The data set.
        methods: The methods, in the order of the legend.
        colours: The colours of the methods.

    Raises:
        UserError: If a file is damaged.
    """
    tables = [read_table(path) for path in paths if Path(path).parent.name in ("effectiveness", "measured")]
    if not tables or not do.exists():
        return None
    targets = [f"true_{variable.name}" for variable in dataset.variables]
    scored = pd.concat(tables, ignore_index=True)
    scored = scored[np.isfinite(scored["value"]) & (scored["suite"] == "do")]
    scored = scored.merge(read_table(do)[["question", *targets]], on="question", how="left")
    panels = []
    for variable in dataset.variables:
        chosen = scored[scored["intervention"] == variable.name]
        kinds = [("predicted", f"predicted_{variable.name}"), ("measured", f"measured_{variable.name}_truth")]
        for kind, metric in kinds:
            found = {
                name: _curve(chosen[(chosen["metric"] == metric) & (chosen["method"] == name)], variable)
                for name in methods
            }
            curves = {name: curve for name, curve in found.items() if curve is not None}
            if not any(method_role(name) == "method" for name in curves):
                continue
            score = describe_score(metric, dataset)
            quantity = score.title.replace(" to truth", " error")
            title = f"{quantity[:1].upper()}{quantity[1:]}, {kind}"
            unit = f" ({score.unit})" if score.unit else ""
            ranges = "; ".join(
                f"{method_title(n)} from {c[:, 1].min():.3g} to {c[:, 1].max():.3g}"
                for n, c in curves.items()
            )
            alt = f"{quantity}{unit}, {kind}, against the target {variable.name}. {ranges}."
            panels.append(
                Panel(
                    f"{variable.name}_{kind}",
                    alt,
                    partial(
                        _draw, title=title, curves=curves, variable=variable, unit=score.unit, colours=colours
                    ),
                    2.33 + legend_height(len(curves)),
                )
            )
    caption = (
        "Mean error of the variable that was set, against its target value, over all protocols and seeds; continuous "
        f"variables in {BINS} bins with equal numbers of questions. Bands and bars are 95 % intervals of the mean. "
        "Predicted: value predicted by a judge. "
    )
    if any(panel.name.endswith("_measured") for panel in panels):
        caption += "Measured: difference from the measurement of the true counterfactual. "
    caption += "Copy returns the input"
    caption += "; truth is the rendered counterfactual." if CEILING in methods else "."
    return Picture("effectiveness", "Error against target value", caption, tuple(panels), 2)


def _curve(rows: pd.DataFrame, variable: Variable) -> np.ndarray | None:
    """Returns (target, mean, half width of the 95 % interval of the mean) for each bin of targets, shape (K, 3)."""
    if not len(rows):
        return None
    target, value = rows[f"true_{variable.name}"].to_numpy(float), rows["value"].to_numpy(float)
    if variable.kind == "categorical":
        groups = [np.flatnonzero(target == k) for k in range(variable.classes)]
    else:
        order = np.argsort(target, kind="stable")
        groups = np.array_split(order, min(BINS, max(1, len(order) // 5)))
    points = []
    for group in groups:
        if len(group):
            half = 1.96 * value[group].std(ddof=1) / np.sqrt(len(group)) if len(group) > 1 else 0.0
            points.append((target[group].mean(), value[group].mean(), half))
    return np.array(points)


def _line(name: str) -> dict[str, Any]:
    """Returns the line style of a method: dotted for the floor, dashed for the ceiling."""
    style = {FLOOR: ":", CEILING: "--"}.get(name, "-")
    return {"ls": style, "lw": 1.3 if name in (FLOOR, CEILING) else 1.8, "label": method_title(name)}


def _draw(
    figure: AnyFigure,
    title: str,
    curves: dict[str, np.ndarray],
    variable: Variable,
    unit: str,
    colours: dict[str, str],
) -> None:
    axes = add_axes(figure, title)
    axes.set_xlabel(f"target {variable.name}" + (f" ({variable.unit})" if variable.unit else ""))
    if variable.kind == "categorical":
        _draw_classes(axes, curves, variable, colours)
    else:
        _draw_curves(axes, curves, unit, colours)
    add_legend(axes)


def _draw_curves(axes: Axes, curves: dict[str, np.ndarray], unit: str, colours: dict[str, str]) -> None:
    means = np.concatenate([curve[:, 1] for curve in curves.values()])
    least = means[means > 0].min() / 2 if (means > 0).any() else 1e-3
    for name, curve in curves.items():
        x, mean, half = curve.T
        if not (mean > 0).any():
            continue  # The truth has no error to itself, and the axis is logarithmic.
        axes.plot(x, np.maximum(mean, least), color=colours[name], marker="o", ms=2.5, **_line(name))
        axes.fill_between(
            x, np.maximum(mean - half, least), mean + half, color=colours[name], alpha=0.15, lw=0
        )
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = np.log10(high / low)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.2 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(unit)


def _draw_classes(
    axes: Axes, curves: dict[str, np.ndarray], variable: Variable, colours: dict[str, str]
) -> None:
    width = 0.7 / max(1, len(curves))
    for k, (name, curve) in enumerate(curves.items()):
        x, mean, half = curve.T
        shift = (k - (len(curves) - 1) / 2) * width
        axes.errorbar(
            x + shift,
            mean,
            half,
            fmt="o",
            ms=3.5,
            lw=1.2,
            color=colours[name],
            label=method_title(name),
            zorder=3,
        )
    axes.set(ylim=(-0.03, 1.03), xticks=range(variable.classes), ylabel="accuracy")
    if variable.names:
        axes.set_xticklabels(variable.names)

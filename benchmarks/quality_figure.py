"""Draws the table of `quality.py`: one panel per score, against the CPU minutes of training."""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from counterfactory.data.dataset import Dataset
from counterfactory.report.style import (
    MUTED,
    AnyFigure,
    Panel,
    Picture,
    add_axes,
    legend_height,
    method_colours,
    plain_number,
    save_picture,
)
from counterfactory.report.vocabulary import CEILING, FLOOR, describe_score, method_title, set_title

__all__ = ["EXPLAINED", "REFERENCE", "draw_file", "picture_of"]

REFERENCE = "reference"
"""The recipe of the rows of the floor and the ceiling, which are not trained."""

EXPLAINED = {"sound": "sound answers", "FVA": "FVA", "flips": "flip rate"}
"""The scores of explanations and their titles; the scores are those of `explanations.py`."""

DASHES: tuple[Any, ...] = ("-", (0, (2.2, 1.1)), (0, (0.8, 0.8)), (0, (3, 1, 1, 1)))
"""The line styles of the recipes, in the order of their appearance."""

COLUMNS = 4
"""The number of entries in a row of the legend."""


def picture_of(table: pd.DataFrame, dataset: Dataset, order: tuple[str, ...]) -> Picture:
    """Returns the figure.

    Errors and the distance to the truth are those under an intervention on the first variable; the accuracy of a
    categorical variable is that under an intervention on the variable itself. Scores of explanations are means over the
    attributes. Several seeds are averaged.

    Arguments:
        table: The rows of the CSV.
        dataset: The data set.
        order: All methods; the colour of a method does not depend on which of them are drawn.
    """
    first = dataset.names[0]
    asked = [
        (
            variable.name if variable.kind == "categorical" else first,
            variable.name,
            f"predicted_{variable.name}",
        )
        for variable in dataset.variables
    ]
    panels = []
    for name, score, described in [*asked, (first, "l1", "truth_l1")]:
        shown = describe_score(described, dataset)
        title = f"{shown.title} under {set_title(name)} {'↓' if shown.better == 'lower' else '↑'}"
        rows = table[(table["question"] == f"do({name})") & (table["score"] == score)]
        panels.append((f"{name}_{score}", title, shown.unit, rows))
    for score, title in EXPLAINED.items():
        rows = table[table["question"].str.startswith("flip(") & (table["score"] == score)]
        panels.append((f"flip_{score}", f"{title} ↑", "share", rows))
    recipes = list(dict.fromkeys(table.loc[table["recipe"] != REFERENCE, "recipe"]))
    dashes = {name: DASHES[k % len(DASHES)] for k, name in enumerate(recipes)}
    drawn = tuple(
        Panel(
            key,
            f"{title.rstrip(' ↓↑')} against CPU minutes of training.",
            partial(_draw, title=title, unit=unit, rows=rows, dashes=dashes, colours=method_colours(order)),
            2.6,
        )
        for key, title, unit, rows in panels
        if (rows["recipe"] != REFERENCE).any()
    )
    caption = (
        "CPU minutes of training, all included. Explanations: of their denoiser, and means over attributes."
    )
    return Picture("quality", "Quality against minutes", caption, drawn)


def _draw(
    figure: AnyFigure,
    title: str,
    unit: str,
    rows: pd.DataFrame,
    dashes: dict[str, Any],
    colours: dict[str, str],
) -> None:
    """Draws one score; errors on a logarithmic scale."""
    axes = add_axes(figure, title)
    trained = rows[rows["recipe"] != REFERENCE]
    means = trained.groupby(["method", "recipe", "minutes"])[["cpu_minutes", "value"]].agg(
        lambda values: values.mean(skipna=False)
    )
    handles = []
    for method in (name for name in colours if name in set(trained["method"])):
        for recipe in (name for name in dashes if (method, name) in means.index):
            curve = means.loc[(method, recipe)].sort_values("cpu_minutes")
            axes.plot(
                curve["cpu_minutes"],
                curve["value"],
                marker="o",
                ms=3,
                color=colours[method],
                ls=dashes[recipe],
            )
        handles.append(Line2D([], [], color=colours[method], label=method_title(method)))
    present = [name for name in dashes if name in set(trained["recipe"])]
    if len(present) > 1 or present != list(dashes)[:1]:
        handles += [Line2D([], [], color=MUTED, ls=dashes[name], label=name) for name in present]
    logarithmic = bool((trained["value"] > 0).all()) and "↓" in title
    for name, style in ((FLOOR, ":"), (CEILING, (0, (6, 2)))):
        value = rows.loc[rows["method"] == name, "value"].mean()
        if value > 0 or (value == 0 and not logarithmic):
            axes.axhline(value, color=MUTED, lw=0.9, ls=style, zorder=1)
            handles.append(Line2D([], [], color=MUTED, lw=0.9, ls=style, label=method_title(name).lower()))
    axes.set(xlabel="CPU minutes of training", ylabel=unit or "share")
    _scale(axes, logarithmic, sorted(set(trained["minutes"])))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.02), ncols=COLUMNS)
    axes.set_title(title, pad=8 + 72 * legend_height(len(handles), COLUMNS))


def _scale(axes: Axes, logarithmic: bool, minutes: list[float]) -> None:
    """Sets the scales: minutes are logarithmic, scores if asked for, otherwise from 0 to 1."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(minutes))
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    else:
        axes.set_ylim(-0.03, max(1.03, axes.get_ylim()[1]))
    for axis in (axes.xaxis, axes.yaxis) if logarithmic else (axes.xaxis,):
        axis.set_major_formatter(FuncFormatter(plain_number))
        axis.set_minor_formatter(NullFormatter())


def draw_file(picture: Picture, file: Path) -> None:
    """Saves a figure, with all its panels, as one file, PNG or SVG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save_picture(picture, Path(folder))
        shutil.copyfile(Path(folder) / f"{picture.key}{file.suffix}", file)

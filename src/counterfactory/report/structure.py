"""Tables and figure that compare the dependence structure of generated images with that of real images."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.files import read_table
from ..data.dataset import Dataset
from ..esm.structure import binned_means, conditional_shares
from .layout import Cell, Column, Row, Table
from .style import FAINT, INK, AnyFigure, Panel, Picture, add_axes, add_legend, method_colours

__all__ = ["read_structure", "structure_pictures", "structure_tables"]

REAL = "real"


def read_structure(shown: Sequence[Path | str]) -> dict[str, pd.DataFrame]:
    """Returns the variables and attributes of the images of each source, real images first, of the first training seed.

    Arguments:
        shown: The tables `queries/seed<k>/structure/shown.parquet`; none: no sources.
    """
    if not shown:
        return {}
    table = read_table(shown[0])
    return {name: table[table["source"] == name] for name in table["source"].drop_duplicates()}


def _attributes(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[str]:
    """Returns the binary attributes: what is neither continuous nor has more than two classes."""
    other = {one.name for one in (*dataset.variables, *dataset.labels) if one.classes != 2}
    return [name for name in tables[REAL].columns if name != "source" and name not in other]


def _pairs(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[tuple[str, str]]:
    """Returns the causal edges between measured continuous variables."""
    shown = {one.name for one in dataset.variables if one.kind == "continuous" and one.name in tables[REAL]}
    return [(cause, effect) for cause, effect in dataset.edges if {cause, effect} <= shown]


def _classes(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[tuple[str, int]]:
    return [(one.name, one.classes) for one in dataset.variables if one.classes and one.name in tables[REAL]]


def _shares(table: pd.DataFrame, name: str, classes: int) -> np.ndarray:
    return np.bincount(table[name].to_numpy(np.int64), minlength=classes) / len(table)


def structure_tables(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[Table]:
    """Returns the table of errors of each generator, and the table of P(attribute | attribute).

    Arguments:
        tables: Variables and attributes of the images of each source; no tables are returned if it is empty.
        dataset: The data set.
    """
    if not tables:
        return []
    pairs, classes = _pairs(tables, dataset), _classes(tables, dataset)
    attributes = _attributes(tables, dataset)
    columns = [Column("n", "images", decimals=0)]
    columns += [Column(f"{c}_{e}_r", "correlation", f"{c} and {e}", decimals=3) for c, e in pairs]
    columns += [
        Column(
            f"{c}_{e}_off",
            "error of the mean given " + c,
            f"{c} and {e}",
            dataset.variable(e).unit,
            "lower",
            2,
        )
        for c, e in pairs
    ]
    columns += [Column(f"{name}_tv", f"error of {name} shares", "", "", "lower") for name, _ in classes]
    if attributes:
        columns.append(Column("shares_off", "error of P(a | b)", "attributes", "", "lower"))
    means = {pair: binned_means(tables, *pair) for pair in pairs}
    real_shares = conditional_shares(tables[REAL], attributes)
    rows = []
    for name, table in tables.items():
        cells = [Cell(float(len(table)))]
        cells += [Cell(float(table[c].corr(table[e]))) for c, e in pairs]
        cells += [_error(means[pair][name], means[pair][REAL], name) for pair in pairs]
        for variable, count in classes:
            distance = np.abs(_shares(table, variable, count) - _shares(tables[REAL], variable, count)).sum()
            cells.append(Cell(0.5 * float(distance)) if name != REAL else Cell())
        if attributes:
            difference = np.abs(conditional_shares(table, attributes) - real_shares).to_numpy()
            cells.append(Cell(float(np.nanmean(difference))) if name != REAL else Cell())
        rows.append(Row("real images" if name == REAL else name, tuple(cells), key=name))
    caption = (
        "Images drawn from each generator, compared with real test images. "
        + ("Variables are measured on the pixels, attributes" if dataset.simulated else "Attributes")
        + " are predicted by the oracle. Dependences in the data should be reproduced by the generator."
    )
    note = (
        "Errors: mean absolute difference of the conditional mean from that of real images, over bins of the cause "
        "with equal shares of the real images; total variation distance of class shares; mean absolute difference of "
        "P(a | b) over all pairs. dcgan is unconditional; gan is conditioned on parents drawn from the fitted SCM."
    )
    title = "Dependence structure of generated images"
    first = Table("structure", title, tuple(columns), tuple(rows), caption, "images of", (note,))
    return [first, *([_attribute_table(tables, attributes)] if attributes else [])]


def _error(mine: np.ndarray, real: np.ndarray, name: str) -> Cell:
    if name == REAL:
        return Cell()
    difference = np.abs(mine[:, 1] - real[:, 1])
    return (
        Cell(float(np.nanmean(difference)))
        if np.isfinite(difference).any()
        else Cell(reason="too few images in every bin")
    )


def _attribute_table(tables: Mapping[str, pd.DataFrame], attributes: Sequence[str]) -> Table:
    shares = {name: conditional_shares(table, attributes) for name, table in tables.items()}
    columns = tuple(Column(f"{a}_{name}", name, a, decimals=2) for a in attributes for name in tables)
    rows = []
    for given in ["any", *attributes]:
        values = [float(shares[name].loc[given, a]) for a in attributes for name in tables]
        cells = tuple(
            Cell(value) if np.isfinite(value) else Cell(reason="too few images") for value in values
        )
        rows.append(Row("any image" if given == "any" else f"given {given}", cells, key=given))
    caption = "P(column | row), predicted by the oracle, in real images and in images of each generator."
    title = "Conditional probabilities of attributes"
    return Table("structure_attributes", title, columns, tuple(rows), caption, "given")


def structure_pictures(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[Picture]:
    """Returns the figure of the mean of each effect against its cause, and of the shares of classes.

    Arguments:
        tables: Variables and attributes of the images of each source; no figure is returned if it is empty.
        dataset: The data set.
    """
    if not tables:
        return []
    rest = [name for name in tables if name != REAL]
    colours = method_colours(rest) | {REAL: INK}
    panels = []
    for cause, effect in _pairs(tables, dataset):
        means = binned_means(tables, cause, effect)
        units = [dataset.variable(name).unit for name in (cause, effect)]
        lines = {name: (rows[:, 0], rows[:, 1]) for name, rows in means.items()}
        ranges = "; ".join(
            f"{name} {np.nanmin(y):.3g} to {np.nanmax(y):.3g}" for name, (_, y) in lines.items()
        )
        title, along = f"mean {effect} ({units[1]})", f"{cause} ({units[0]})"
        draw = partial(_draw_lines, title=title, along=along, lines=lines, colours=colours)
        panels.append(Panel(f"{cause}_{effect}", f"{title} given {along}: {ranges}.", draw, 2.5))
    for name, count in _classes(tables, dataset):
        lines = {
            source: (np.arange(count, dtype=float), _shares(table, name, count))
            for source, table in tables.items()
        }
        ranges = "; ".join(f"{source} {y.min():.2f} to {y.max():.2f}" for source, (_, y) in lines.items())
        draw = partial(_draw_lines, title="share", along=name, lines=lines, colours=colours, ticks=count)
        panels.append(Panel(name, f"share of each {name}: {ranges}.", draw, 2.5))
    caption = (
        "Images drawn from each generator, and real images. A generator reproduces the dependence where its line lies "
        "on that of the real images. Dots: mean in each of six bins of the cause with equal numbers of real images, or "
        "share of each class as predicted by the oracle."
    )
    return [Picture("structure", "Dependence structure of generated images", caption, tuple(panels), 2)]


def _draw_lines(
    figure: AnyFigure,
    title: str,
    along: str,
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    colours: Mapping[str, str],
    ticks: int | None = None,
) -> None:
    axes = add_axes(figure, title)
    for name, (x, y) in lines.items():
        finite = np.isfinite(y)
        axes.plot(
            x[finite],
            y[finite],
            "-o",
            ms=3.5,
            color=colours[name],
            label=name,
            zorder=3 if name == REAL else 2,
        )
    if ticks:
        axes.set_xticks(range(ticks))
        axes.set_ylim(0, None)
    axes.set_xlabel(along)
    axes.grid(True, color=FAINT, lw=0.6)
    add_legend(axes)

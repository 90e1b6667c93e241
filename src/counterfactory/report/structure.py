"""Does the generator know the causal structure? Conditional tables of generated images beside those of real ones."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import FigureBase

from ..core.files import read_table
from ..data.dataset import Dataset
from ..esm.structure import binned_means, conditional_shares
from .layout import Cell, Column, Row, Table
from .style import FAINT, INK, Panel, Picture, add_axes, add_legend, method_colours

__all__ = ["read_structure", "structure_pictures", "structure_tables"]

REAL = "real"


def read_structure(shown: Sequence[Path | str]) -> dict[str, pd.DataFrame]:
    """Returns what the images of each source show, real ones first, of the first training seed.

    Arguments:
        shown: The tables `queries/seed<k>/structure/shown.parquet`.
    """
    if not shown:
        return {}
    table = read_table(shown[0])
    return {name: table[table["source"] == name] for name in table["source"].drop_duplicates()}


def _attributes(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[str]:
    known = {"source", *dataset.names}
    return [name for name in tables[REAL].columns if name not in known]


def _pairs(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[tuple[str, str]]:
    """Returns the causal edges between continuous variables that are measured."""
    shown = {one.name for one in dataset.variables if one.kind == "continuous" and one.name in tables[REAL]}
    return [(cause, effect) for cause, effect in dataset.edges if {cause, effect} <= shown]


def _classes(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[tuple[str, int]]:
    return [(one.name, one.classes) for one in dataset.variables if one.classes and one.name in tables[REAL]]


def _shares(table: pd.DataFrame, name: str, classes: int) -> np.ndarray:
    return np.bincount(table[name].to_numpy(np.int64), minlength=classes) / len(table)


def structure_tables(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[Table]:
    """Returns how far each generator is from the real images, and P(attribute | attribute) of each.

    Arguments:
        tables: What the images of each source show; without any there is no table.
        dataset: The data set.
    """
    if not tables:
        return []
    pairs, classes, attributes = (find(tables, dataset) for find in (_pairs, _classes, _attributes))
    columns = [Column("n", "images", decimals=0)]
    columns += [Column(f"{c}_{e}_r", "correlation", f"{c} and {e}", decimals=3) for c, e in pairs]
    columns += [
        Column(f"{c}_{e}_off", "off, given " + c, f"{c} and {e}", dataset.variable(e).unit, "lower", 2)
        for c, e in pairs
    ]
    columns += [Column(f"{name}_tv", f"{name} shares off", "", "", "lower") for name, _ in classes]
    columns.append(Column("shares_off", "P(a | b) off", "attributes", "", "lower"))
    means = {pair: binned_means(tables, *pair) for pair in pairs}
    real_shares = conditional_shares(tables[REAL], attributes)
    rows = []
    for name, table in tables.items():
        cells = [Cell(float(len(table)))]
        cells += [Cell(float(table[c].corr(table[e]))) for c, e in pairs]
        cells += [_off(means[pair][name], means[pair][REAL], name) for pair in pairs]
        for variable, count in classes:
            apart = np.abs(_shares(table, variable, count) - _shares(tables[REAL], variable, count)).sum()
            cells.append(Cell(0.5 * float(apart)) if name != REAL else Cell())
        difference = np.abs(conditional_shares(table, attributes) - real_shares).to_numpy()
        cells.append(Cell(float(np.nanmean(difference))) if name != REAL else Cell())
        rows.append(Row("real images" if name == REAL else name, tuple(cells), key=name))
    caption = (
        "Images drawn from each generator, measured on their pixels and read by the oracle, beside real test images: "
        "what goes together in the data should go together here before a counterfactual is believed."
    )
    note = (
        "Off: the mean distance of the effect's mean from the real one, over bins of the cause with equal shares of "
        "the real images; half the summed distance of shares; the mean distance of P(a | b) over all pairs. "
        "dcgan was told nothing of parents; the parents of gan follow from the fitted mechanisms."
    )
    title = "Does the generator know the structure?"
    first = Table("structure", title, tuple(columns), tuple(rows), caption, "images of", (note,))
    return [first, _attribute_table(tables, attributes)]


def _off(mine: np.ndarray, real: np.ndarray, name: str) -> Cell:
    if name == REAL:
        return Cell()
    apart = np.abs(mine[:, 1] - real[:, 1])
    return Cell(float(np.nanmean(apart))) if np.isfinite(apart).any() else Cell(reason="too few in any bin")


def _attribute_table(tables: Mapping[str, pd.DataFrame], attributes: Sequence[str]) -> Table:
    shares = {name: conditional_shares(table, attributes) for name, table in tables.items()}
    columns = tuple(Column(f"{a}_{name}", name, a, decimals=2) for a in attributes for name in tables)
    rows = []
    for given in ["any", *attributes]:
        values = [float(shares[name].loc[given, a]) for a in attributes for name in tables]
        cells = tuple(Cell(value) if np.isfinite(value) else Cell(reason="too few") for value in values)
        rows.append(Row("any image" if given == "any" else f"given {given}", cells, key=given))
    caption = "P(column | row) as the oracle reads it, in real images and in those of each generator."
    title = "Which attributes go together"
    return Table("structure_attributes", title, columns, tuple(rows), caption, "given")


def structure_pictures(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> list[Picture]:
    """Returns a figure: the mean effect along its cause for each edge, and the shares of classes.

    Arguments:
        tables: What the images of each source show; without any there is no figure.
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
        said = "; ".join(f"{name} {np.nanmin(y):.3g} to {np.nanmax(y):.3g}" for name, (_, y) in lines.items())
        title, along = f"mean {effect} ({units[1]})", f"{cause} ({units[0]})"
        draw = partial(_draw_lines, title=title, along=along, lines=lines, colours=colours)
        panels.append(Panel(f"{cause}_{effect}", f"{title} given {along}: {said}.", draw, 2.5))
    for name, count in _classes(tables, dataset):
        lines = {
            source: (np.arange(count, dtype=float), _shares(table, name, count))
            for source, table in tables.items()
        }
        said = "; ".join(f"{source} {y.min():.2f} to {y.max():.2f}" for source, (_, y) in lines.items())
        draw = partial(_draw_lines, title="share", along=name, lines=lines, colours=colours, ticks=count)
        panels.append(Panel(name, f"share of each {name}: {said}.", draw, 2.5))
    caption = (
        "Images drawn from each generator, and real ones. A generator knows the structure where its line lies on "
        "that of the real images: each dot is the mean in a sixth of the real images by the cause, and the share of "
        "each class, as the oracle reads it."
    )
    return [Picture("structure", "Does the generator know the structure?", caption, tuple(panels), 2)]


def _draw_lines(
    figure: FigureBase,
    title: str,
    along: str,
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    colours: Mapping[str, str],
    ticks: int | None = None,
) -> None:
    axes = add_axes(figure, title)
    for name, (x, y) in lines.items():
        there = np.isfinite(y)
        axes.plot(
            x[there], y[there], "-o", ms=3.5, color=colours[name], label=name, zorder=3 if name == REAL else 2
        )
    if ticks:
        axes.set_xticks(range(ticks))
        axes.set_ylim(0, None)
    axes.set_xlabel(along)
    axes.grid(True, color=FAINT, lw=0.6)
    add_legend(axes)

"""What generators answered to queries: their scores along the stickiness, and grids of the answers themselves.

A query is told in words: *given digit 3, not thick: what if it were seen to be thick?* Each has a table with a row a
stickiness and a grid with a row an actual image; one figure holds the scores of all queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import FigureBase

from ..core.files import read_json, read_table
from ..data.dataset import Dataset, load_split
from .layout import Cell, Column, Row, Table
from .style import (
    FAINT,
    MUTED,
    WIDTH,
    Panel,
    Picture,
    add_axes,
    add_legend,
    frame_tiles,
    method_colours,
    plain_number,
)
from .sweeps import image_colours

__all__ = ["Asked", "query_pictures", "query_tables", "query_words", "read_queries"]

_GAP = 2  # px between tiles
_ASIDE = 8  # px between the actual image and the answers
_NOTHING = (0.5, 0.53, 0.58, 0.35)
LEGEND = 3  # queries in a row of the legend
SHOWN = 6
"""How many actual images a grid shows."""


@dataclass(frozen=True)
class Asked:
    """A query, its answers and their scores.

    Arguments:
        query: What was asked, as its JSON holds it.
        table: The answers' table, a row an image.
        scores: The tidy table of scores.
        images: The file of images, uint8 (N, C, H, W).
    """

    query: Mapping[str, Any]
    table: pd.DataFrame
    scores: pd.DataFrame
    images: Path

    @property
    def name(self) -> str:
        """The query's name."""
        return str(self.query["name"])

    def score(self, metric: str) -> pd.DataFrame:
        """Returns the rows of one score, by ascending stickiness."""
        return self.scores[self.scores["metric"] == metric].sort_values("stickiness")


def read_queries(scores: Sequence[Path | str]) -> list[Asked]:
    """Reads the queries of the first training seed, in the order given.

    Arguments:
        scores: The tables `queries/seed<k>/scores/<query>.parquet`; the answers are in the folder above.

    Raises:
        UserError: If a file is missing or damaged.
    """
    found: dict[str, Asked] = {}
    for path in map(Path, scores):
        folder, name = path.parent.parent, path.stem
        if name not in found:
            query, table = read_json(folder / f"{name}.json"), read_table(folder / f"{name}.parquet")
            found[name] = Asked(query, table, read_table(path), folder / f"{name}.npy")
    return list(found.values())


def query_words(query: Mapping[str, Any], dataset: Dataset) -> str:
    """Returns a query in words: `given digit 3, not thick: what if it were seen to be thick?`."""

    def facts(named: Mapping[str, float]) -> str:
        said = []
        for name, value in named.items():
            own = name in dataset.names
            said.append(f"{name} {value:g}" if own else name if value else f"not {name}")
        return ", ".join(said) or "any image"

    verb = "made" if query["by"] == "do" else "seen to be"
    return f"given {facts(query['given'])}: what if it were {verb} {facts(query['premise'])}?"


def _columns(dataset: Dataset) -> list[Column]:
    moved = [
        Column(f"moved_{one.name}", one.name, "moved", one.unit, decimals=2)
        for one in dataset.variables
        if one.kind == "continuous"
    ]
    return [
        Column("valid", "premise", "the oracle says", "", "higher"),
        Column("rest", "rest of the evidence", "the oracle says", "", "higher"),
        Column("l1", "L1", "to the actual image", "grey levels", "lower", 2),
        Column("lpips", "LPIPS", "to the actual image", "", "lower", 4),
        Column("fs", "FS", "to the actual image", "", "higher"),
        Column("fva", "FVA", "to the actual image", "", "higher"),
        Column("truth_l1", "L1", "to the truth", "grey levels", "lower", 2),
        Column("frechet", "Fréchet, oracle", "to real ones", "", "lower", 2),
        *moved,
        Column("log_evidence", "log-evidence", "how far-fetched", "nats", decimals=2),
        Column("kept", "noises kept", "cost", decimals=2),
        Column("calls", "likelihoods", "cost", decimals=0),
    ]


def query_tables(queries: Sequence[Asked], dataset: Dataset) -> list[Table]:
    """Returns a table a query, with a row a stickiness, and one line on those that were not answered.

    Arguments:
        queries: The queries.
        dataset: The data set.
    """
    tables = []
    for asked in queries:
        words = query_words(asked.query, dataset)
        title = words[0].upper() + words[1:]
        if asked.query["unanswered"]:
            cell = Cell(text=asked.query["unanswered"])
            columns = (Column("why", "not answered", text=True),)
            tables.append(Table(f"query_{asked.name}", title, columns, (Row("all", (cell,)),), stub="s"))
            continue
        columns = [column for column in _columns(dataset) if len(asked.score(column.key))]
        rows = []
        for s in sorted(asked.scores["stickiness"].dropna().unique()):
            cells = tuple(_cell(asked.score(column.key), s) for column in columns)
            rows.append(Row(f"{s:g}", cells, key=f"{s:g}"))
        caption = f"Asked of {asked.query['generator']} as `{asked.name}`. {_about(asked)}"
        note = (
            "s is how probably a noise is kept: at 0 the answer is of another image, near 1 it can hardly move. "
            "Intervals are bootstrapped over actual images. The oracle is not the classifier that the sampler asks. "
            "The Fréchet distance is of answers of few hands from all real images that fit, and so is never small."
        )
        made = tuple(columns)
        tables.append(Table(f"query_{asked.name}", title, made, tuple(rows), caption, "s", (note,)))
    return tables


def _about(asked: Asked) -> str:
    valid = asked.score("l1")
    count = int(valid["n"].max()) if len(valid) else 0
    each = int(asked.table["sample"].max()) + 1
    said = f"{count} actual images, {each} answers to each at every s."
    off = asked.score("inversion_l1")
    if len(off):
        said += (
            f" The generator's own image of an actual image is {off['value'].iloc[0]:.2f} grey levels off."
        )
    return said


def _cell(rows: pd.DataFrame, s: float) -> Cell:
    mine = rows[rows["stickiness"] == s]
    if not len(mine):
        return Cell()
    row = mine.iloc[0]
    ends = [None if np.isnan(row[end]) else float(row[end]) for end in ("low", "high")]
    return Cell(float(row["value"]), *ends, n=int(row["n"]))


def query_pictures(queries: Sequence[Asked], dataset: Dataset, data: Path) -> list[Picture]:
    """Returns a figure of the scores of all queries along the stickiness, and a grid of images for each.

    Arguments:
        queries: The queries; those that were not answered are left out.
        dataset: The data set.
        data: The data set's folder.
    """
    queries = [asked for asked in queries if not asked.query["unanswered"]]
    if not queries:
        return []
    colours = method_colours([asked.name for asked in queries])
    panels = []
    for column in _columns(dataset):
        if column.key in ("kept", "calls", "fva"):
            continue
        lines = {asked.name: asked.score(column.key) for asked in queries}
        lines = {name: rows for name, rows in lines.items() if len(rows)}
        if not lines:
            continue
        title = f"{column.group}: {column.title}" + (f" ({column.unit})" if column.unit else "")
        said = "; ".join(
            f"{name} from {rows['value'].iloc[0]:.3g} to {rows['value'].iloc[-1]:.3g}"
            for name, rows in lines.items()
        )
        alt = f"{title} along the stickiness: {said}."
        draw = partial(_draw_lines, title=title, lines=lines, colours=colours, legend=not panels)
        panels.append(Panel(column.key, alt, draw, 2.35))
    caption = (
        "Along the stickiness s, the probability that a noise is kept: what the held-out oracle sees of the premise, "
        "how near answers stay, how far they are from the true counterfactual, how real they look, and how "
        "far-fetched the premise is. Bars: intervals over actual images."
    )
    pictures = [Picture("queries", "The dial from another image to this one", caption, tuple(panels), 3)]
    test = load_split(data, "test")
    caption = (
        "Left: the actual image, and the generator's own image of its noise. Then one answer at each stickiness, whose "
        "value stands above. A grey tile: no answer was found."
    )
    grids = tuple(_grid(asked, test.images, dataset) for asked in queries)
    return [*pictures, Picture("query_grids", "What would have been seen", caption, grids, 2, "none")]


def _draw_lines(
    figure: FigureBase,
    title: str,
    lines: Mapping[str, pd.DataFrame],
    colours: Mapping[str, str],
    legend: bool,
) -> None:
    axes = add_axes(figure, title)
    # By order, not by value: what matters happens near 1.
    ticks = sorted({float(s) for rows in lines.values() for s in rows["stickiness"]})
    place = {s: k for k, s in enumerate(ticks)}
    for k, (name, rows) in enumerate(lines.items()):
        x = np.array([place[float(s)] for s in rows["stickiness"]]) + 0.08 * (k - 0.5 * (len(lines) - 1))
        y, low, high = (rows[part].to_numpy(np.float64) for part in ("value", "low", "high"))
        axes.plot(x, y, "-o", ms=3.5, color=colours[name], label=name.replace("_", " "))
        there = np.isfinite(low)
        axes.vlines(x[there], low[there], high[there], color=colours[name], lw=0.8, alpha=0.6)
    axes.set_xticks(range(len(ticks)), [plain_number(s) for s in ticks])
    axes.set_xlabel("stickiness s")
    axes.grid(True, axis="y", color=FAINT, lw=0.6)
    if legend:
        add_legend(axes, LEGEND)


def _grid(asked: Asked, test: np.ndarray, dataset: Dataset) -> Panel:
    """Returns rows of an actual image, its own image by the generator, and an answer at each stickiness."""
    images, table = np.load(asked.images, allow_pickle=False), asked.table
    values = sorted(table["stickiness"].dropna().unique())
    numbers = sorted(table["actual"].unique())[:SHOWN]
    size = images.shape[-1]
    step = size + _GAP
    height, width = len(numbers) * step - _GAP, (len(values) + 2) * step - _GAP + _ASIDE
    canvas = np.zeros((height, width, 4))
    corners = []
    for i, number in enumerate(numbers):
        mine = table[(table["actual"] == number) & (table["sample"] == 0)]
        own = mine.index[mine["stickiness"].isna()][0]
        row = int(mine["index"].iloc[0])
        tiles = [test[row] if row >= 0 else None, images[own]]
        for s in values:
            one = mine.index[mine["stickiness"] == s]
            tiles.append(images[one[0]] if len(one) and mine["reached"].loc[one[0]] else None)
        for j, tile in enumerate(tiles):
            x = j * step + (_ASIDE if j > 1 else 0)
            colour = _NOTHING if tile is None else image_colours(tile)
            canvas[i * step : i * step + size, x : x + size] = colour
            corners.append((x, i * step))
    heads = ["actual", "G(z)", *(f"{s:g}" for s in values)]
    centres = [j * step + size / 2 + (_ASIDE if j > 1 else 0) for j in range(len(heads))]
    top, left = 0.56, 0.04  # the query's name, its words, the heads of columns
    words = query_words(asked.query, dataset)
    per_px = (WIDTH - 2 * left) / width

    def draw(figure: FigureBase) -> None:
        wide, high = figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi
        for down, text, points, weight in ((0.04, asked.name, 8, "bold"), (0.2, words, 6.5, "normal")):
            place = (left / wide, 1 - down / high)
            figure.text(*place, text.replace("_", " "), va="top", fontsize=points, fontweight=weight)
        axes = figure.add_axes(
            (left / wide, 1 - (top + height * per_px) / high, width * per_px / wide, height * per_px / high)
        )
        axes.imshow(canvas, interpolation="none", aspect="auto", extent=(0, width, height, 0))
        frame_tiles(axes, corners, size)
        axes.set_axis_off()
        for x, text in zip(centres, heads, strict=True):
            axes.text(
                x, -3, text, ha="center", va="bottom", fontsize=6.5, color=MUTED if x < 2 * step else None
            )

    said = ", ".join(f"{s:g}" for s in values)
    alt = f"{len(numbers)} actual images and their counterfactuals, {words}, at s = {said}."
    return Panel(asked.name, alt, draw, height * per_px + top + 0.06)

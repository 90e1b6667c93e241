"""Tables and figures of queries: scores against stickiness, and grids of the answers.

A query is shown in words: *given digit 3, not thick: what if it were observed to be thick?* Each query has a table with
one row per stickiness and a grid with one row per actual image; one figure shows the scores of all queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.files import read_json, read_table
from ..core.foreign.npy import load_npy
from ..data.dataset import Dataset, load_split
from .base_rates import base_rate, verdict
from .layout import Cell, Column, Row, Table
from .style import (
    FAINT,
    MUTED,
    WIDTH,
    AnyFigure,
    Panel,
    Picture,
    add_axes,
    add_legend,
    frame_tiles,
    method_colours,
    plain_number,
)
from .sweeps import image_colours
from .vocabulary import fact_words

__all__ = ["QueryAnswers", "query_pictures", "query_tables", "query_words", "read_queries"]

_GAP = 2  # px between tiles
_MARGIN = 8  # px between the two left columns and the answers
_NO_ANSWER = (0.5, 0.53, 0.58, 0.35)
LEGEND = 3  # queries in one row of the legend
SHOWN = 6
"""The largest number of actual images in a grid."""


@dataclass(frozen=True)
class QueryAnswers:
    """A query, its answers and their scores.

    Arguments:
        query: The query, from its JSON file.
        table: The table of answers, one row per image.
        scores: The table of scores.
        images: The file of images, uint8 (N, C, H, W).
    """

    query: Mapping[str, Any]
    table: pd.DataFrame
    scores: pd.DataFrame
    images: Path

    @property
    def name(self) -> str:
        """The name of the query."""
        return str(self.query["name"])

    def score(self, metric: str) -> pd.DataFrame:
        """Returns the rows of one score, by increasing stickiness."""
        return self.scores[self.scores["metric"] == metric].sort_values("stickiness")


def read_queries(scores: Sequence[Path | str]) -> list[QueryAnswers]:
    """Reads the queries of the first training seed, in the order of `scores`.

    Arguments:
        scores: The tables `queries/seed<k>/scores/<query>.parquet`; the answers are in the folder above.

    Raises:
        UserError: If a file is missing or damaged.
    """
    found: dict[str, QueryAnswers] = {}
    for path in map(Path, scores):
        folder, name = path.parent.parent, path.stem
        if name not in found:
            query, table = read_json(folder / f"{name}.json"), read_table(folder / f"{name}.parquet")
            found[name] = QueryAnswers(query, table, read_table(path), folder / f"{name}.npy")
    return list(found.values())


def query_words(query: Mapping[str, Any], dataset: Dataset) -> str:
    """Returns a query in words: `given digit 3, not thick: what if it were observed to be thick?`."""
    known = {one.name: one for one in (*dataset.variables, *dataset.labels)}

    def facts(values: Mapping[str, float]) -> str:
        parts = [fact_words(name, value, known.get(name)) for name, value in values.items()]
        return ", ".join(parts) or "any image"

    verb = "set to be" if query["by"] == "do" else "observed to be"
    return f"given {facts(query['given'])}: what if it were {verb} {facts(query['premise'])}?"


def _columns(dataset: Dataset) -> list[Column]:
    changes = [
        Column(f"moved_{one.name}", one.name, "change", one.unit, decimals=2)
        for one in dataset.variables
        if one.kind == "continuous"
    ]
    return [
        Column("valid", "premise", "agreement of the oracle", "", "higher"),
        Column("rest", "other evidence", "agreement of the oracle", "", "higher"),
        Column("l1", "L1", "distance to actual image", "grey levels", "lower", 2),
        Column("lpips", "LPIPS", "distance to actual image", "", "lower", 4),
        Column("fs", "FS", "distance to actual image", "", "higher"),
        Column("fva", "FVA", "distance to actual image", "", "higher"),
        Column("truth_l1", "L1", "distance to truth", "grey levels", "lower", 2),
        Column("frechet", "Fréchet, oracle", "distance to real images", "", "lower", 2),
        *changes,
        Column("log_evidence", "log-probability", "premise", "nats", decimals=2),
        Column("kept", "noise variables kept", "sampler", decimals=2),
        Column("calls", "likelihood evaluations", "sampler", decimals=0),
    ]


def query_tables(
    queries: Sequence[QueryAnswers], dataset: Dataset, train: pd.DataFrame | None = None
) -> list[Table]:
    """Returns one table per query with one row per stickiness, or with the reason why the query has no answers.

    Arguments:
        queries: The queries.
        dataset: The data set.
        train: The attributes of the train split, whose base rates the captions state; None: no base rates.
    """
    tables = []
    for answers in queries:
        words = query_words(answers.query, dataset)
        title = words[0].upper() + words[1:]
        rate = None if train is None else base_rate(answers.query, train)
        if answers.query["unanswered"]:
            cell = Cell(text=answers.query["unanswered"])
            why = (Column("why", "not answered", text=True),)
            caption = verdict(rate, (), ()) if rate is not None else ""
            tables.append(Table(f"query_{answers.name}", title, why, (Row("all", (cell,)),), caption, "s"))
            continue
        columns = [column for column in _columns(dataset) if len(answers.score(column.key))]
        rows = []
        for s in sorted(answers.scores["stickiness"].dropna().unique()):
            cells = tuple(_cell(answers.score(column.key), s) for column in columns)
            rows.append(Row(f"{s:g}", cells, key=f"{s:g}"))
        caption = f"Query `{answers.name}` to the generator {answers.query['generator']}. {_about(answers)}"
        if rate is not None:
            caption += (
                f" {verdict(rate, *(answers.score(name)['value'].to_list() for name in ('valid', 'rest')))}"
            )
        note = (
            "s (stickiness) is the probability that a noise variable keeps its value: at s = 0 the answer shows "
            "another image, near 1 it can hardly change. Intervals: bootstrap over actual images. The oracle is a "
            "different network than the classifier that the sampler uses. The Fréchet distance compares few answers "
            "with all real images that satisfy the premise, and therefore has a positive bias."
        )
        tables.append(
            Table(f"query_{answers.name}", title, tuple(columns), tuple(rows), caption, "s", (note,))
        )
    return tables


def _about(answers: QueryAnswers) -> str:
    """Returns the numbers of images and answers, and the error of the generator's reconstruction."""
    distances = answers.score("l1")
    count = int(distances["n"].max()) if len(distances) else 0
    each = int(answers.table["sample"].max()) + 1
    text = f"{count} actual images, {each} answers per image and s."
    error = answers.score("inversion_l1")
    if len(error):
        text += f" Reconstruction error of the generator: {error['value'].iloc[0]:.2f} grey levels."
    return text


def _cell(rows: pd.DataFrame, s: float) -> Cell:
    chosen = rows[rows["stickiness"] == s]
    if not len(chosen):
        return Cell()
    row = chosen.iloc[0]
    low, high = (None if np.isnan(row[end]) else float(row[end]) for end in ("low", "high"))
    return Cell(float(row["value"]), low, high, n=int(row["n"]))


def query_pictures(queries: Sequence[QueryAnswers], dataset: Dataset, data: Path) -> list[Picture]:
    """Returns the figure of the scores of all queries against stickiness, and the figure of their grids of images.

    Arguments:
        queries: The queries; those without answers are left out.
        dataset: The data set.
        data: The folder of the data set.
    """
    queries = [answers for answers in queries if not answers.query["unanswered"]]
    if not queries:
        return []
    colours = method_colours([answers.name for answers in queries])
    panels: list[Panel] = []
    for column in _columns(dataset):
        if column.key in ("kept", "calls", "fva"):
            continue
        lines = {answers.name: answers.score(column.key) for answers in queries}
        lines = {name: rows for name, rows in lines.items() if len(rows)}
        if not lines:
            continue
        title = f"{column.group}: {column.title}" + (f" ({column.unit})" if column.unit else "")
        ranges = "; ".join(
            f"{name} from {rows['value'].iloc[0]:.3g} to {rows['value'].iloc[-1]:.3g}"
            for name, rows in lines.items()
        )
        alt = f"{title} against stickiness: {ranges}."
        draw = partial(_draw_lines, title=title, lines=lines, colours=colours, legend=not panels)
        panels.append(Panel(column.key, alt, draw, 2.35))
    truth = any(panel.name == "truth_l1" for panel in panels)
    others = ", to the true counterfactual and to real images" if truth else " and to real images"
    caption = (
        "Scores against the stickiness s, the probability that a noise variable keeps its value: agreement of the "
        f"held-out oracle with the premise, distances to the actual image{others}, and log-probability of the "
        "premise. Bars: intervals over actual images."
    )
    pictures = [Picture("queries", "Scores of queries against stickiness", caption, tuple(panels), 3)]
    test = load_split(data, "test")
    first = {
        True: "the actual image and its reconstruction G(z) by the generator",
        False: "the actual image G(z), which the generator made",
    }
    left = [first[real] for real in sorted({_is_real(answers) for answers in queries}, reverse=True)]
    caption = (
        f"Left: {', or '.join(left)}. Right: one answer per stickiness, whose value is printed above. A grey tile: the "
        "sampler found no answer."
    )
    grids = tuple(_grid(answers, test.images, dataset) for answers in queries)
    return [*pictures, Picture("query_grids", "Answers to queries", caption, grids, 2, "none")]


def _draw_lines(
    figure: AnyFigure,
    title: str,
    lines: Mapping[str, pd.DataFrame],
    colours: Mapping[str, str],
    legend: bool,
) -> None:
    axes = add_axes(figure, title)
    # Equidistant positions, because most values are close to 1.
    ticks = sorted({float(s) for rows in lines.values() for s in rows["stickiness"]})
    place = {s: k for k, s in enumerate(ticks)}
    for k, (name, rows) in enumerate(lines.items()):
        x = np.array([place[float(s)] for s in rows["stickiness"]]) + 0.08 * (k - 0.5 * (len(lines) - 1))
        y, low, high = (rows[part].to_numpy(np.float64) for part in ("value", "low", "high"))
        axes.plot(x, y, "-o", ms=3.5, color=colours[name], label=name.replace("_", " "))
        finite = np.isfinite(low)
        axes.vlines(x[finite], low[finite], high[finite], color=colours[name], lw=0.8, alpha=0.6)
    axes.set_xticks(range(len(ticks)), [plain_number(s) for s in ticks])
    axes.set_xlabel("stickiness s")
    axes.grid(True, axis="y", color=FAINT, lw=0.6)
    if legend:
        add_legend(axes, LEGEND)


def _is_real(answers: QueryAnswers) -> bool:
    """Returns whether the actual images of a query are images of the data set; the generator made the others."""
    return bool((answers.table["index"] >= 0).any())


def _grid(answers: QueryAnswers, test: np.ndarray, dataset: Dataset) -> Panel:
    """Returns a grid: actual image, its reconstruction by the generator, and one answer per stickiness in each row.

    An actual image that the generator made is its own reconstruction and is shown once.
    """
    heads = ["actual", "G(z)"] if _is_real(answers) else ["actual, G(z)"]
    first = len(heads)
    images, table = load_npy(answers.images), answers.table
    values = sorted(table["stickiness"].dropna().unique())
    numbers = sorted(table["actual"].unique())[:SHOWN]
    size = images.shape[-1]
    step = size + _GAP
    height, width = len(numbers) * step - _GAP, (len(values) + first) * step - _GAP + _MARGIN
    canvas = np.zeros((height, width, 4))
    corners = []
    for i, number in enumerate(numbers):
        chosen = table[(table["actual"] == number) & (table["sample"] == 0)]
        own = chosen.index[chosen["stickiness"].isna()][0]
        row = int(chosen["index"].iloc[0])
        tiles = [test[row] if row >= 0 else None, images[own]][-first:]
        for s in values:
            one = chosen.index[chosen["stickiness"] == s]
            tiles.append(images[one[0]] if len(one) and chosen["reached"].loc[one[0]] else None)
        for j, tile in enumerate(tiles):
            x = j * step + (_MARGIN if j >= first else 0)
            colour = _NO_ANSWER if tile is None else image_colours(tile)
            canvas[i * step : i * step + size, x : x + size] = colour
            corners.append((x, i * step))
    heads += [f"{s:g}" for s in values]
    centres = [j * step + size / 2 + (_MARGIN if j >= first else 0) for j in range(len(heads))]
    top, left = 0.56, 0.04  # the query's name, its words, the heads of columns
    words = query_words(answers.query, dataset)
    per_px = (WIDTH - 2 * left) / width

    def draw(figure: AnyFigure) -> None:
        wide, high = figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi
        for down, text, points, weight in ((0.04, answers.name, 8, "bold"), (0.2, words, 6.5, "normal")):
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
                x, -3, text, ha="center", va="bottom", fontsize=6.5, color=MUTED if x < first * step else None
            )

    ticks = ", ".join(f"{s:g}" for s in values)
    alt = f"{len(numbers)} actual images and their counterfactuals, {words}, at s = {ticks}."
    return Panel(answers.name, alt, draw, height * per_px + top + 0.06)

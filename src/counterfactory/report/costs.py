"""The cost of answers and of training (time, network calls, memory), as a table and as a figure.

Times differ between runs and machines. They are therefore in a table of their own.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..core.descriptions import read_description
from ..core.errors import UserError
from ..core.files import read_json
from ..methods.registry import METHODS
from .imported import imported_notes
from .layout import Cell, Column, Row, Table
from .style import FAINT, INK, MUTED, PAPER, AnyFigure, Panel, Picture, add_axes, plain_number, rows_that_fit
from .vocabulary import method_order, method_role, method_title

__all__ = ["cost_picture", "cost_table", "read_costs"]

_KEYS = ("questions", "answered", "images", "seconds", "network_calls", "peak_rss_mb", "device")
_NUMBERS = _KEYS[:-1]


def read_costs(paths: Sequence[Path | str]) -> pd.DataFrame:
    """Reads the costs of chunks of answers. Missing and damaged files are skipped with a warning.

    Arguments:
        paths: The files `answers/<method>/seed<k>/<suite>/<chunk>.cost.json`; method, seed and suite are taken from
            the path.

    Returns:
        One row per chunk, with the columns `method`, `seed`, `suite` and the keys of the files.
    """
    rows = []
    for path in map(Path, paths):
        try:
            cost = read_json(path)
            values = {key: cost[key] for key in _KEYS}
            for key in _NUMBERS:
                if key != "network_calls" or cost[key] is not None:
                    values[key] = float(cost[key])
            values["device"] = str(cost["device"])
            method, seed, suite = path.parts[-4:-1]
            number = int(seed.removeprefix("seed"))
        except (UserError, KeyError, TypeError, ValueError):
            print(
                f"warning: {path}: not the cost of a chunk; skipped in the tables of costs", file=sys.stderr
            )
            continue
        rows.append({"method": method, "seed": number, "suite": suite, **cost, **values})
    return pd.DataFrame(rows, columns=None if rows else ["method", "seed", "suite", *_KEYS])


def cost_table(costs: pd.DataFrame, models: Sequence[Path | str] = (), order: Sequence[str] = ()) -> Table:
    """Returns the costs of each method.

    Arguments:
        costs: The costs of chunks, from :func:`read_costs`.
        models: The files `models/<name>/seed<k>/model.json` of the image models, for their training times.
        order: Methods in the order of rows; others follow.
    """
    training: dict[str, list[float]] = {}
    failed, described = [], {}
    for path in map(Path, models):
        meta = described[path.parts[-3]] = read_description(path, path.parts[-3])
        seconds = meta.get("training", {}).get("seconds")
        if meta.get("failures"):
            failed.append(f"{path.parts[-3]} {path.parts[-2]} ({', '.join(meta['failures'])})")
        if seconds is not None:
            training.setdefault(path.parts[-3], []).append(float(seconds))
    columns = (
        Column("answered", "answered", "questions", decimals=0),
        Column("milliseconds_per_image", "time", "per image", "ms", decimals=2),
        Column("network_calls_per_image", "network calls", "per image", decimals=1),
        Column("peak_mb", "peak memory", "", "MB", decimals=0),
        Column("training_minutes", "training", "", "min", decimals=1),
        Column("device", "device", text=True),
    )
    rows = []
    for method in method_order([*order, *costs["method"].tolist()]):
        chunks = costs[costs["method"] == method]
        if not len(chunks):
            continue
        images, calls = chunks["images"].sum(), chunks["network_calls"]
        per_image = Cell(1000.0 * chunks["seconds"].sum() / images) if images else Cell(reason="no answers")
        if images and calls.notna().all():
            calls_per_image = Cell(float(calls.sum()) / images)
        else:
            calls_per_image = Cell(reason="not counted for this method")
        models_of = METHODS[method].models if method in METHODS else (method,)
        seconds = [mean(training[name]) for name in models_of if name in training]
        trained = Cell(sum(seconds) / 60.0) if seconds else Cell(reason="not trained")
        cells = (
            Cell(float(chunks["answered"].sum())),
            per_image,
            calls_per_image,
            Cell(float(chunks["peak_rss_mb"].max())),
            trained,
            Cell(text=", ".join(dict.fromkeys(chunks["device"]))),
        )
        rows.append(Row(method_title(method), cells, method_role(method), method))
    return Table(
        "cost",
        "Cost of answers",
        columns,
        tuple(rows),
        "One image is generated per intervention; a question with several cycles generates several images.",
        notes=(
            "Wall-clock time of answering without loading the method; mean over all suites and seeds. Peak memory is "
            "that of the whole process. Training: the networks that a method uses, mean over seeds; methods that use "
            "the same network share its training.",
            *([f"Failed trainings, excluded from all answers: {'; '.join(failed)}."] if failed else []),
            *imported_notes(described),
        ),
    )


def cost_picture(table: Table, colours: dict[str, str]) -> Picture:
    """Returns the figure of the cost per answer.

    Arguments:
        table: The table of costs, from :func:`cost_table`.
        colours: The methods' colours.
    """
    panels = []
    for key, title in (
        ("milliseconds_per_image", "Milliseconds per answer"),
        ("network_calls_per_image", "Network calls per answer"),
    ):
        column = [column.key for column in table.columns].index(key)
        found = [(row, row.cells[column].value) for row in table.rows if row.cells[column].value]
        if found:
            alt = f"{title}: {', '.join(f'{row.name} {value:.3g}' for row, value in found)}."
            panels.append(
                Panel(
                    key,
                    alt,
                    partial(_draw_dots, title=title, found=found, colours=colours),
                    0.75 + 0.3 * len(found),
                )
            )
    caption = "Cost per answer on a logarithmic scale, without loading the method."
    return Picture("cost", "Cost per answer", caption, tuple(panels), 2)


def _draw_dots(figure: AnyFigure, title: str, found: list, colours: dict[str, str]) -> None:
    axes = add_axes(figure, title)
    values = [value for _, value in found]
    low, high = min(values) / 2.5, max(values) * 6
    for y, (row, value) in enumerate(found):
        axes.plot([low, value], [y, y], color=FAINT, lw=0.8, zorder=1)
        axes.plot(value, y, "o", ms=6.5, color=colours.get(row.key, MUTED), mec=PAPER, mew=0.6, zorder=3)
        axes.annotate(
            f"{value:.3g}", (value, y), (8, 0), textcoords="offset points", va="center", fontsize=7.5
        )
    axes.set(xscale="log", xlim=(low, high), ylim=(rows_that_fit(figure, 0.65, 0.3) - 0.5, -0.7))
    axes.set_yticks(range(len(found)), [row.name for row, _ in found])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(False)
    axes.spines["left"].set_visible(False)

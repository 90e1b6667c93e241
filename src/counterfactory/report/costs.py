"""What answers and training cost: seconds, network calls, memory; as a table and as a figure.

Times differ from run to run and from machine to machine, so they have a table of their own and are in no
other.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import pandas as pd
from matplotlib.figure import FigureBase
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..core.errors import UserError
from ..core.files import read_json
from ..methods.registry import METHODS
from .layout import Cell, Column, Row, Table
from .style import FAINT, INK, MUTED, PAPER, Panel, Picture, add_axes, plain_number, rows_that_fit
from .vocabulary import method_order, method_role, method_title

__all__ = ["cost_picture", "cost_table", "read_costs"]

_KEYS = ("questions", "answered", "images", "seconds", "network_calls", "peak_rss_mb", "device")


def read_costs(paths: Sequence[Path | str]) -> pd.DataFrame:
    """Reads the costs of chunks of answers.

    Arguments:
        paths: The files `answers/<method>/seed<k>/<suite>/<chunk>.cost.json`; method, seed and suite are
            read off their paths.

    Returns:
        One row a chunk, with the columns `method`, `seed`, `suite` and the keys of the files.

    Raises:
        UserError: If a file is missing, damaged or lacks a key.
    """
    rows = []
    for path in map(Path, paths):
        cost = read_json(path)
        lacking = [key for key in _KEYS if key not in cost]
        if lacking:
            raise UserError(f"{path}: not the cost of a chunk (no {lacking[0]}); delete it and run again")
        method, seed, suite = path.parts[-4:-1]
        rows.append({"method": method, "seed": int(seed.removeprefix("seed")), "suite": suite, **cost})
    return pd.DataFrame(rows, columns=None if rows else ["method", "seed", "suite", *_KEYS])


def cost_table(costs: pd.DataFrame, models: Sequence[Path | str] = (), order: Sequence[str] = ()) -> Table:
    """Returns what each method cost.

    Arguments:
        costs: As :func:`read_costs` returns.
        models: The files `models/<name>/seed<k>/model.json` of the image mechanisms, for the time of their
            training.
        order: Methods in the order of rows; others follow.
    """
    training: dict[str, list[float]] = {}
    failed = []
    for path in map(Path, models):
        told = read_json(path)
        seconds = told.get("training", {}).get("seconds")
        if told.get("failures"):
            failed.append(f"{path.parts[-3]} {path.parts[-2]} ({', '.join(told['failures'])})")
        if seconds is not None:
            training.setdefault(path.parts[-3], []).append(float(seconds))
    columns = (
        Column("answered", "answered", "questions", decimals=0),
        Column("milliseconds_per_image", "time", "an image", "ms", decimals=2),
        Column("network_calls_per_image", "network calls", "an image", decimals=1),
        Column("peak_mb", "peak memory", "", "MB", decimals=0),
        Column("training_minutes", "training", "", "min", decimals=1),
        Column("device", "device", text=True),
    )
    rows = []
    for method in method_order([*order, *costs["method"].tolist()]):
        mine = costs[costs["method"] == method]
        if not len(mine):
            continue
        images, calls = mine["images"].sum(), mine["network_calls"]
        per_image = (
            Cell(1000.0 * mine["seconds"].sum() / images) if images else Cell(reason="answered nothing")
        )
        if images and calls.notna().all():
            calls_per_image = Cell(float(calls.sum()) / images)
        else:
            calls_per_image = Cell(reason="not counted by this method")
        models_of = METHODS[method].models if method in METHODS else (method,)
        seconds = [mean(training[name]) for name in models_of if name in training]
        trained = Cell(sum(seconds) / 60.0) if seconds else Cell(reason="not trained")
        cells = (
            Cell(float(mine["answered"].sum())),
            per_image,
            calls_per_image,
            Cell(float(mine["peak_rss_mb"].max())),
            trained,
            Cell(text=", ".join(dict.fromkeys(mine["device"]))),
        )
        rows.append(Row(method_title(method), cells, method_role(method), method))
    return Table(
        "cost",
        "What answers cost",
        columns,
        tuple(rows),
        "An image is one answer to one action: a question of several steps makes several.",
        notes=(
            "Wall-clock time of answering, loading of the method not included; mean over all suites and "
            "seeds. Peak memory is that of the whole process. Training is of the networks that a method asks, the "
            "mean over seeds; methods that ask the same network share its training.",
            *([f"Trainings that failed, of which nothing was asked: {'; '.join(failed)}."] if failed else []),
        ),
    )


def cost_picture(table: Table, colours: dict[str, str]) -> Picture:
    """Returns the cost of an answer as a figure.

    Arguments:
        table: As :func:`cost_table` returns.
        colours: The methods' colours.
    """
    panels = []
    for key, title in (
        ("milliseconds_per_image", "Milliseconds an answer"),
        ("network_calls_per_image", "Network calls an answer"),
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
    caption = "What one answer costs, on a scale of ratios. Loading a method is not counted."
    return Picture("cost", "Cost of an answer", caption, tuple(panels), 2)


def _draw_dots(figure: FigureBase, title: str, found: list, colours: dict[str, str]) -> None:
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

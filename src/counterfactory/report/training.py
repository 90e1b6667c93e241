"""Figures of training curves: loss against updates for every model, and against minutes for image models."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..core.errors import UserError
from ..core.files import read_table
from .style import MUTED, AnyFigure, Panel, Picture, add_axes, add_legend, plain_number
from .vocabulary import method_title

__all__ = ["training_pictures"]


def training_pictures(logs: Sequence[Path | str], colours: dict[str, str]) -> list[Picture]:
    """Returns the figure of all training curves, and the figure of the image models against training time.

    Arguments:
        logs: The files `models/<name>/seed<k>/log.csv` and `models/judges/<variable>/log.csv`.
        colours: The colours of the methods.

    Raises:
        UserError: If a file is missing or damaged.
    """
    trainings: dict[str, list[pd.DataFrame]] = {}
    for path in map(Path, logs):
        name = f"judge of {path.parent.name}" if path.parts[-3] == "judges" else path.parts[-3]
        # The log of the SCM has columns of likelihoods instead of losses.
        table = read_table(path)
        if "valid_loss" not in table.columns:
            table = table.rename(columns={"train_nll": "train_loss", "valid_nll": "valid_loss"})
        lacking = [column for column in ("step", "valid_loss") if column not in table.columns]
        if lacking:
            raise UserError(f"{path}: not a training log (no column {lacking[0]}); delete it and run again")
        trainings.setdefault(name, []).append(table)
    known = list(colours)
    order = sorted(
        trainings,
        key=lambda name: (
            name.startswith("judge of "),
            name == "parents",
            known.index(name) if name in known else 99,
        ),
    )
    panels = []
    for name in order:
        last = [table["valid_loss"].min() for table in trainings[name]]
        alt = f"Training of {method_title(name)}: the smallest validation loss is {np.mean(last):.4g}."
        draw = partial(_draw_training, name=name, tables=trainings[name], colour=colours.get(name, MUTED))
        panels.append(Panel(name.replace(" ", "_"), alt, draw, 2.1))
    caption = (
        "Validation loss of the averaged weights (line) and loss of training batches (faint), against updates. The "
        "first updates may lie above the frame."
    )
    pictures = [Picture("training", "Training", caption, tuple(panels), 2)]
    timed = {
        name: tables
        for name, tables in ((name, trainings[name]) for name in order)
        if name in colours and all(_timed(table) for table in tables)
    }
    if timed:
        summary = "; ".join(
            f"{method_title(name)} {np.mean([t['valid_loss'].min() for t in tables]):.4g} after "
            f"{np.mean([t['seconds'].iloc[-1] for t in tables]) / 60:.3g} minutes"
            for name, tables in timed.items()
        )
        panel = Panel(
            "loss",
            f"Validation loss against minutes of training: {summary}.",
            partial(_draw_time, timed, colours),
            2.6,
        )
        caption = "Validation loss of the image models against the wall-clock time of their training."
        pictures.append(
            Picture("training_time", "Validation loss against training time", caption, (panel,), 1)
        )
    return pictures


def _timed(table: pd.DataFrame) -> bool:
    """Returns whether a log has losses with times; one that was cut short may have none."""
    return "seconds" in table.columns and bool(np.isfinite(table["valid_loss"].to_numpy(float)).any())


def _draw_training(figure: AnyFigure, name: str, tables: list[pd.DataFrame], colour: str) -> None:
    axes = add_axes(figure, method_title(name))
    held = np.concatenate([table["valid_loss"].to_numpy(float) for table in tables])
    held = held[np.isfinite(held)]
    for table in tables:
        if "train_loss" in table.columns:
            axes.plot(table["step"], table["train_loss"], color=colour, lw=0.9, alpha=0.4)
        axes.plot(table["step"], table["valid_loss"], color=colour, lw=1.8)
    if len(held) > 4:
        top, low = np.quantile(held, 0.8), held.min()
        margin = 0.25 * (top - low) + 1e-6 * (1 + abs(low))
        axes.set_ylim(low - margin, top + 2 * margin)
    axes.set(xlabel="updates", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _draw_time(timed: dict[str, list[pd.DataFrame]], colours: dict[str, str], figure: AnyFigure) -> None:
    axes = add_axes(figure, "Validation loss")
    lows, tops = [], []
    for name, tables in timed.items():
        for k, table in enumerate(tables):
            loss = table["valid_loss"].to_numpy(float)
            label = method_title(name) if k == 0 else None
            axes.plot(table["seconds"] / 60, loss, color=colours[name], marker="o", ms=2.5, label=label)
            lows.append(np.nanmin(loss))
            tops.append(np.nanquantile(loss, 0.8))
    margin = 0.2 * (max(tops) - min(lows)) + 1e-6 * (1 + abs(min(lows)))
    axes.set_ylim(min(lows) - margin, max(tops) + margin)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="minutes", ylabel="loss")
    add_legend(axes)

"""How far the measuring sticks themselves can be trusted: the judges, and the parents' mechanisms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.files import read_json, read_table
from ..data.dataset import Dataset
from ..data.worlds import world
from .layout import Cell, Column, Row, Table
from .vocabulary import describe_score, spell_score

__all__ = ["identity_table", "judge_error", "judges_table", "mechanisms_table", "read_judges", "true_nll"]


def read_judges(paths: Sequence[Path | str]) -> dict[str, dict[str, Any]]:
    """Reads the `model.json` of each judge.

    Arguments:
        paths: The files `models/judges/<variable>/model.json`.

    Returns:
        The judges' JSON by variable.
    """
    return {Path(path).parts[-2]: read_json(path) for path in paths}


def judge_error(judge: dict[str, Any], split: str) -> Cell:
    """Returns a judge's mean absolute error, or its accuracy, on a split of real images."""
    found = judge.get("errors", {}).get(split, {})
    value = found.get("error", found.get("accuracy"))
    return Cell(reason="not reported") if value is None else Cell(float(value), n=found.get("n"))


def judges_table(dataset: Dataset, judges: dict[str, dict[str, Any]]) -> Table:
    """Returns the judges' errors on real images that they were not trained on.

    These are the floors of every effectiveness score: no method can be seen to do better than its judge.
    """
    columns = (
        Column("test", "of the test split", "on images"),
        Column("valid", "of their own, held out", "on images"),
        Column("train_images", "trained on", "", "images", decimals=0),
    )
    rows = []
    for variable in dataset.variables:
        if variable.name not in judges:
            continue
        judge = judges[variable.name]
        score = describe_score(f"predicted_{variable.name}", dataset)
        errors = [
            Cell(cell.value, n=cell.n, reason=cell.reason, decimals=score.decimals)
            for cell in (judge_error(judge, split) for split in ("test", "valid"))
        ]
        images = judge.get("images", {}).get("train")
        trained = Cell(reason="not reported") if images is None else Cell(float(images))
        name = spell_score(f"predicted_{variable.name}", dataset).replace(", predicted", "")
        rows.append(Row(name, (*errors, trained), key=variable.name))
    return Table(
        "judges",
        "The judges on real images",
        columns,
        tuple(rows),
        "Every score called predicted is given by one of these networks; what they get wrong on real images "
        "is the least that any answer can be seen to be wrong by.",
        stub="judge",
    )


def identity_table(meta: dict[str, Any]) -> Table:
    """Returns how well the identity network tells the hand that wrote a digit from others of the same class.

    Arguments:
        meta: The network's `model.json`, as :mod:`counterfactory.models.identity.train` writes it.
    """
    columns = (
        Column("auc", "AUC", "any other rendering", "", "higher", 4),
        Column("true_accept", "accepted, the same hand", "any other rendering", "share", "higher", 3),
        Column("false_accept", "accepted, another hand", "any other rendering", "share", "lower", 4),
        Column("auc_matched", "AUC", "equal thickness and intensity", "", "higher", 4),
        Column(
            "false_accept_matched",
            "accepted, another hand",
            "equal thickness and intensity",
            "share",
            "lower",
            4,
        ),
        Column("sources", "digits", "", "", decimals=0),
    )
    titles = {"measured": "held out, never looked at", "valid": "held out, sets the threshold"}
    rows = tuple(
        Row(title, tuple(Cell(float(meta["verification"][part][column.key])) for column in columns), key=part)
        for part, title in titles.items()
    )
    return Table(
        "identity",
        "The identity network",
        columns,
        rows,
        "Two renderings of one digit, at other thickness and intensity, against those of other digits of its class: "
        "the area under the curve of their similarity, and the shares that FVA's threshold, "
        f"{meta['threshold']:.3f}, accepts.",
        stub="renderings",
    )


def true_nll(data: Path | str, dataset: Dataset) -> dict[str, float]:
    """Returns the mean negative log-likelihood of the test split under the process that made it.

    Arguments:
        data: The data set's folder.
        dataset: The data set.

    Returns:
        Nats for each variable given its causes, and their `total`, with continuous variables scaled to [-1, 1]
        between `low` and `high`; nothing where the process is not known.
    """
    simulation = world(dataset.name) if dataset.simulated else None
    if not hasattr(simulation, "log_density"):
        return {}
    attributes = read_table(Path(data) / "test" / "attributes.parquet")
    density = simulation.log_density(**{name: attributes[name].to_numpy() for name in dataset.names})
    nll = {}
    for variable in dataset.variables:
        scale = np.log((variable.high - variable.low) / 2) if variable.kind == "continuous" else 0.0
        nll[variable.name] = -float(density[variable.name].mean() + scale)
    return nll | {"total": sum(nll.values())}


def mechanisms_table(parents: Sequence[dict[str, Any]], truth: Mapping[str, float]) -> Table:
    """Returns the mechanisms' negative log-likelihood on the test split beside the true process's.

    Arguments:
        parents: The `model.json` of the parents' mechanisms, one a seed; read is `nll`, a mapping from each
            variable and `total` to nats on the test split.
        truth: As :func:`true_nll` returns.
    """
    names = list(dict.fromkeys(name for meta in parents for name in meta.get("nll", {})))
    columns = (
        Column("fitted", "fitted", "negative log-likelihood", "nats", "lower", 4),
        Column("true", "true process", "negative log-likelihood", "nats", "", 4),
        Column("difference", "difference", "", "nats", "", 4),
    )
    rows = []
    for name in names:
        fitted = [float(meta["nll"][name]) for meta in parents if name in meta.get("nll", {})]
        spread = float(np.std(fitted, ddof=1)) if len(fitted) > 1 else None
        mean = float(np.mean(fitted))
        unknown = Cell(reason="the true process is not known")
        cells = (
            Cell(mean, spread=spread, seeds=len(fitted)),
            Cell(truth[name]) if name in truth else unknown,
            Cell(mean - truth[name]) if name in truth else unknown,
        )
        rows.append(Row(name, cells, key=name))
    return Table(
        "mechanisms",
        "The parents' mechanisms",
        columns,
        tuple(rows),
        "How well the fitted causal mechanisms of the parents know the test split, beside the process that "
        "made it; continuous variables are scaled to [-1, 1], and the true process takes classes for "
        "equally likely.",
        stub="mechanism",
    )

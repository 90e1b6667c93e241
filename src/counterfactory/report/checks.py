"""Tables of the errors of the judges, of the identity network and of the SCM."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.descriptions import read_description
from ..core.files import read_table
from ..data.dataset import Dataset
from ..data.registry import noun_of
from ..data.worlds import undetermined, world
from .imported import imported_notes
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
    return {
        Path(path).parts[-2]: read_description(path, f"judge of {Path(path).parts[-2]}") for path in paths
    }


def judge_error(judge: dict[str, Any], split: str) -> Cell:
    """Returns a judge's mean absolute error, or its accuracy, on a split of real images."""
    found = judge.get("errors", {}).get(split, {})
    value = found.get("error", found.get("accuracy"))
    return Cell(reason="not reported") if value is None else Cell(float(value), n=found.get("n"))


def judges_table(dataset: Dataset, judges: dict[str, dict[str, Any]]) -> Table:
    """Returns the errors of the judges on real images that they were not trained on.

    They are a lower bound of the errors that the judges can detect in answers.

    Arguments:
        dataset: The data set.
        judges: The `model.json` of each judge, by variable.
    """
    columns: tuple[Column, ...] = (
        Column("test", "test split", "error or accuracy"),
        Column("valid", "held-out part of the judges' split", "error or accuracy"),
        Column("train_images", "training images", "", "", decimals=0),
    )
    binary = [name for name, judge in judges.items() if "f1" in judge.get("errors", {}).get("test", {})]
    if binary:
        titles = {"f1": "F1", "balanced_accuracy": "balanced accuracy"}
        columns += tuple(Column(key, title, "test split", "", "higher") for key, title in titles.items())
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
        cells = [*errors, trained]
        if binary:
            found = judge.get("errors", {}).get("test", {})
            reason = "one class is absent" if variable.name in binary else "more than two values"
            for value in (found.get("f1"), found.get("balanced_accuracy")):
                cells.append(Cell(reason=reason) if value is None else Cell(float(value), n=found.get("n")))
        rows.append(Row(name, tuple(cells), key=variable.name))
    return Table(
        "judges",
        "The judges on real images",
        columns,
        tuple(rows),
        "The judges compute all predicted scores. Their error on real images is the smallest error that a predicted "
        "score can resolve.",
        stub="judge",
        notes=imported_notes({f"judge of {name}": judge for name, judge in judges.items()}),
    )


def identity_table(meta: dict[str, Any], dataset: Dataset) -> Table:
    """Returns the verification accuracy of the identity network: same source image or another one of its class.

    Arguments:
        meta: The `model.json` of the network, written by :mod:`counterfactory.models.identity.train`.
        dataset: The data set, whose images and rendered variables the headings name.
    """
    # An identity is a source image of a simulated world, a person, or what the table of own images calls an individual.
    faces = noun_of(dataset.name) == "face"
    noun = noun_of(dataset.name) if dataset.simulated else "person" if faces else "individual"
    image = "rendering" if dataset.simulated else "photograph" if faces else "image"
    fixed = undetermined(dataset) if dataset.simulated else ()
    # Of images that are not rendered, only the classes are matched (counterfactory.models.identity.persons).
    matched = [one for one in dataset.variables if dataset.simulated or one.kind == "categorical"]
    parents = " and ".join(one.name for one in matched if one.name not in fixed)
    equal = f"equal {parents}" if parents else f"any other {image} (there are no classes to match)"
    columns = (
        Column("auc", "AUC", f"any other {image}", "", "higher", 4),
        Column("true_accept", f"accepted, same {noun}", f"any other {image}", "share", "higher", 3),
        Column("false_accept", f"accepted, other {noun}", f"any other {image}", "share", "lower", 4),
        Column("auc_matched", "AUC", equal, "", "higher", 4),
        Column(
            "false_accept_matched",
            f"accepted, other {noun}",
            equal,
            "share",
            "lower",
            4,
        ),
        Column("sources", f"{noun}s", "", "", decimals=0),
    )
    titles = {
        "test": "split test, evaluation only",
        "measured": "held out, evaluation only",
        "valid": "held out, used for the threshold",
    }
    rows = tuple(
        Row(title, tuple(_verified(meta["verification"][part][column.key]) for column in columns), key=part)
        for part, title in titles.items()
        if part in meta["verification"]
    )
    pairs = (
        f"Pairs of renderings of one {noun} with different {parents}, compared with pairs of different {noun}s of the "
        "same class"
        if dataset.simulated
        else f"Pairs of {image}s of one {noun}, compared with pairs of different {noun}s, none of "
        f"{'whom' if faces else 'which'} was shown in training"
    )
    return Table(
        "identity",
        "The identity network",
        columns,
        rows,
        f"{pairs}: the area under the ROC curve of the cosine similarity, and the shares of pairs that the threshold "
        f"of FVA, {meta['threshold']:.3f}, accepts.",
        stub=f"{image}s",
    )


def _verified(value: float | None) -> Cell:
    return Cell(reason="no such pair") if value is None else Cell(float(value))


def true_nll(data: Path | str, dataset: Dataset) -> dict[str, float]:
    """Returns the mean negative log-likelihood of the test split under the process that generated it.

    Arguments:
        data: The data set's folder.
        dataset: The data set.

    Returns:
        Nats for each variable given its causes, and their `total`, with continuous variables scaled from
        `[low, high]` to [-1, 1]; empty where the process is not known.
    """
    simulation = world(dataset.name) if dataset.simulated else None
    if simulation is None or not hasattr(simulation, "log_density"):
        return {}
    attributes = read_table(Path(data) / "test" / "attributes.parquet")
    density = simulation.log_density(**{name: attributes[name].to_numpy() for name in dataset.names})
    nll = {}
    for variable in dataset.variables:
        scale = np.log((variable.high - variable.low) / 2) if variable.kind == "continuous" else 0.0
        nll[variable.name] = -float(density[variable.name].mean() + scale)
    return nll | {"total": sum(nll.values())}


def mechanisms_table(scm: Sequence[dict[str, Any]], truth: Mapping[str, float]) -> Table:
    """Returns the negative log-likelihood of the test split under the SCM and under the true process.

    Arguments:
        scm: The `model.json` of the SCM, one per seed; its key `nll` maps each variable and `total` to nats on the test
            split.
        truth: The values from :func:`true_nll`.
    """
    names = list(dict.fromkeys(name for meta in scm for name in meta.get("nll", {})))
    columns = (
        Column("fitted", "fitted", "negative log-likelihood", "nats", "lower", 4),
        Column("true", "true process", "negative log-likelihood", "nats", "", 4),
        Column("difference", "difference", "", "nats", "", 4),
    )
    rows = []
    for name in names:
        fitted = [float(meta["nll"][name]) for meta in scm if name in meta.get("nll", {})]
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
        "The mechanisms of the parents",
        columns,
        tuple(rows),
        "Negative log-likelihood of the test split under the fitted mechanisms"
        + (
            " and under the process that generated it. Continuous variables are scaled to [-1, 1]; under the true "
            "process all classes are equally likely."
            if truth
            else "; the process that generated the data is not known. Continuous variables are scaled to [-1, 1]."
        ),
        stub="mechanism",
    )

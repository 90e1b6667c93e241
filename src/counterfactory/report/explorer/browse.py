"""Collects all answers of a run with their scores, for the part of the explorer that lists them, worst first.

The floor is not listed, because its answers are the images themselves. The truth is shown beside each answer. Images
are stored with loss, at the highest quality at which all fit into the page; inference never uses them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...answers.store import gather
from ...core.files import read_table
from ...data.dataset import Dataset, load_split
from ..vocabulary import CEILING, FLOOR, method_title, set_title, spell_score
from .blobs import quantised, sheet

__all__ = ["SUITES", "browse"]

SUITES = ("do", "flip", "null", "reverse")
QUALITIES = (30, 12, 5)
LIMIT = 2_000_000
"""The largest size of all pictures of this part in bytes."""


def browse(
    data: Path, questions: Path, answers: Path, rows: Sequence[Path], dataset: Dataset, seed: int = 0
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Returns the description of all answers, and the binary data that it refers to by name.

    Arguments:
        data: The folder of the data set.
        questions: The folder of questions, with one file per suite.
        answers: The folder of answers.
        rows: The scores of single questions, one table per metric and seed.
        dataset: The data set.
        seed: The training seed whose answers are listed.
    """
    scores = _scores(rows, seed)
    suites: list[dict[str, Any]] = []
    blobs: dict[str, bytes] = {}
    shown: dict[str, np.ndarray] = {}
    asked: list[np.ndarray] = []
    for suite in SUITES:
        file = questions / f"{suite}.parquet"
        if not file.exists():
            continue
        table = read_table(file)
        found = _answers(answers, suite, table, seed)
        if len(table) == 0 or not [name for name in found if name != CEILING]:
            continue
        one = _questions(suite, table)
        one["methods"], one["truth"] = [], None
        for method, (images, answered) in found.items():
            shown[f"{suite}-{method}"] = images[answered]
            if method == CEILING:
                one["truth"] = {"sheet": f"{suite}-{method}", "answered": _runs(answered)}
                continue
            own = scores[(scores["suite"] == suite) & (scores["method"] == method)]
            metrics, numbers = _metrics(own, len(table), dataset, f"{suite}-{method}-scores")
            blobs[f"{suite}-{method}-scores"] = numbers
            one["methods"].append(
                {
                    "name": method,
                    "title": method_title(method),
                    "sheet": f"{suite}-{method}",
                    "answered": _runs(answered),
                    "scores": f"{suite}-{method}-scores",
                    "metrics": metrics,
                }
            )
        asked.append(table["index"].to_numpy(np.int64))
        suites.append(one)
    used = np.unique(np.concatenate(asked)) if asked else np.zeros(0, np.int64)
    for one in suites:
        one["images"] = np.searchsorted(used, one.pop("index")).tolist()
    if suites:
        shown["factual"] = np.asarray(load_split(data, "test").images[used])
    pictures, quality = _fitting(shown)
    return {"suites": suites, "rows": used.tolist(), "quality": quality}, blobs | pictures


def _scores(rows: Sequence[Path], seed: int) -> pd.DataFrame:
    """Returns the scores of single questions of one seed; those without training have the seed 0."""
    columns = ["method", "seed", "question", "suite", "metric", "value"]
    tables = [read_table(path)[columns] for path in rows]
    if not tables:
        return pd.DataFrame(columns=columns)
    every = pd.concat(tables, ignore_index=True)
    every = every[~every["metric"].str.startswith("normalised")]
    return every[(every["question"] >= 0) & (every["seed"] == seed) & every["value"].notna()]


def _answers(
    answers: Path, suite: str, table: pd.DataFrame, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the images of each method and which questions it answered, the ceiling first."""
    found = {}
    folders = sorted(answers.glob(f"*/seed{seed}/{suite}")) + sorted(answers.glob(f"{CEILING}/seed0/{suite}"))
    for folder in dict.fromkeys(folders):
        method = folder.parents[1].name
        if method != FLOOR and any(folder.glob("*.npy")):
            images, columns = gather(folder.parent, suite, table)
            answered = columns["answered"].to_numpy(bool)
            if answered.any():
                found[method] = images, answered
    return dict(sorted(found.items(), key=lambda item: item[0] != CEILING))


def _questions(suite: str, table: pd.DataFrame) -> dict[str, Any]:
    """Returns the columns of the questions of a suite as lists."""
    names = {
        name: table[name].astype(str).tolist() if name in table else [""] * len(table)
        for name in ("intervention", "protocol")
    }
    kinds = sorted(set(names["intervention"]))
    protocols = sorted(set(names["protocol"]))
    return {
        "suite": suite,
        "index": table["index"].to_numpy(np.int64),
        "kinds": kinds,
        "titles": [kind if suite == "flip" else set_title(kind) for kind in kinds],
        "intervention": [kinds.index(name) for name in names["intervention"]],
        "protocols": protocols,
        "protocol": [protocols.index(name) for name in names["protocol"]],
        "steps": table["steps"].map(_short).tolist(),
        "target": (
            [f"{a} → {t}" for a, t in zip(table["attribute"], table["target"], strict=True)]
            if "attribute" in table
            else []
        ),
    }


def _short(steps: str) -> str:
    """Returns the actions of a question in words, such as `thickness = 2.82`."""
    import json

    actions = json.loads(steps)
    words = [
        ", ".join(f"{name} = {value:.4g}" for name, value in action.items()) or "nothing"
        for action in actions
    ]
    same = len(set(words)) == 1 and len(words) > 1
    return (
        f"{len(words)} × {words[0]}" if same else "; then ".join(words[:2]) + (" …" if len(words) > 2 else "")
    )


def _metrics(
    own: pd.DataFrame, count: int, dataset: Dataset, blob: str
) -> tuple[list[dict[str, Any]], bytes]:
    """Returns the description of each metric, and the values of all metrics one after another."""
    described, parts = [], []
    for metric, values in own.groupby("metric", sort=False):
        column = np.full(count, np.nan)
        column[values["question"].to_numpy(np.int64)] = values["value"].to_numpy(np.float64)
        whole, low, step = quantised(column)
        title = spell_score(str(metric), dataset)
        better = "higher" if title.endswith("↑") else "lower" if title.endswith("↓") else ""
        described.append({"name": str(metric), "title": title, "better": better, "low": low, "step": step})
        parts.append(whole.tobytes())
    return described, b"".join(parts)


def _runs(flags: np.ndarray) -> list[int]:
    """Returns the lengths of runs of equal flags, the first one of False."""
    ends = np.flatnonzero(np.diff(flags.astype(np.int8))) + 1
    lengths = np.diff([0, *ends, len(flags)]).tolist()
    return [0, *lengths] if len(flags) and flags[0] else lengths


def _fitting(shown: Mapping[str, np.ndarray]) -> tuple[dict[str, bytes], int]:
    """Returns the pictures at the highest quality at which they fit; the lowest one if they never do."""
    pictures: dict[str, bytes] = {}
    for quality in QUALITIES:
        pictures = {name: sheet(images, quality) for name, images in shown.items()}
        if sum(map(len, pictures.values())) <= LIMIT:
            return pictures, quality
    return pictures, QUALITIES[-1]

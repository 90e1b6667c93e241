"""Collects the answers of a run with their scores, for the part of the explorer that lists them, worst first.

The floor is not listed, because its answers are the images themselves. The true counterfactual, if there is one, is
shown beside each answer. Images are stored with loss, at the highest quality at which all fit into the page; they are
not used as inputs of networks. Where the lowest quality does not suffice, as for large images, only the first answers
of each method and suite are listed, and the page states how many are left out.
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
from .blobs import capacity, quantised, sheet

__all__ = ["SUITES", "browse"]

SUITES = ("do", "flip", "null", "reverse")
QUALITIES = (30, 12, 5)
Answers = dict[str, tuple[np.ndarray, np.ndarray]]
"""For each method the images of all questions of a suite, and which of them it answered."""

LIMIT = 2_000_000
"""The largest size of all pictures of this part in bytes."""


def browse(
    data: Path, questions: Path, answers: Path, rows: Sequence[Path], dataset: Dataset, seed: int = 0
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Returns the description of the answers, and the binary data that it refers to by name.

    Arguments:
        data: The folder of the data set.
        questions: The folder of questions, with one file per suite.
        answers: The folder of answers.
        rows: The scores of single questions, one table per metric and seed.
        dataset: The data set.
        seed: The training seed whose answers are listed.
    """
    scores = _scores(rows, seed)
    tables = {suite: questions / f"{suite}.parquet" for suite in SUITES}
    asked = {suite: read_table(path) for suite, path in tables.items() if path.exists()}
    found = {suite: _answers(answers, suite, table, seed) for suite, table in asked.items()}
    found = {suite: methods for suite, methods in found.items() if any(name != CEILING for name in methods)}
    if not found:
        return {"suites": [], "rows": [], "left_out": 0}, {}
    used = np.unique(np.concatenate([asked[suite]["index"].to_numpy(np.int64) for suite in found]))
    factual = np.asarray(load_split(data, "test").images[used[: capacity(dataset.shape)]])
    every = sum(int(answered.sum()) for methods in found.values() for _, answered in methods.values())
    most = capacity(dataset.shape)
    pictures, size = _pictures(found, factual, most)
    if size > LIMIT:
        # The first answers of each method and suite, as many as the limit allows.
        largest = max(int(answered.sum()) for methods in found.values() for _, answered in methods.values())
        most = min(most, max(1, int(largest * 0.95 * LIMIT / size)))
        pictures, _ = _pictures(found, factual, most)
    suites, numbers = [], {}
    listed = 0
    for suite, methods in found.items():
        one = _questions(suite, asked[suite])
        one |= {"methods": [], "truth": None}
        one["images"] = np.searchsorted(used, asked[suite]["index"].to_numpy(np.int64)).tolist()
        for method, (_, answered) in methods.items():
            shown = {"sheet": f"{suite}-{method}", "answered": _runs(_first(answered, most))}
            listed += int(_first(answered, most).sum())
            if method == CEILING:
                one["truth"] = shown
                continue
            name = f"{suite}-{method}-scores"
            own = scores[(scores["suite"] == suite) & (scores["method"] == method)]
            metrics, numbers[name] = _metrics(own, len(answered), dataset)
            one["methods"].append(
                {"name": method, "title": method_title(method), "scores": name, "metrics": metrics, **shown}
            )
        suites.append(one)
    return {"suites": suites, "rows": used.tolist(), "left_out": every - listed}, numbers | pictures


def _scores(rows: Sequence[Path], seed: int) -> pd.DataFrame:
    """Returns the scores of single questions of one seed; those without training have the seed 0."""
    columns = ["method", "seed", "question", "suite", "metric", "value"]
    tables = [read_table(path)[columns] for path in rows]
    if not tables:
        return pd.DataFrame(columns=columns)
    every = pd.concat(tables, ignore_index=True)
    every = every[~every["metric"].str.startswith("normalised")]
    return every[(every["question"] >= 0) & (every["seed"] == seed) & every["value"].notna()]


def _answers(answers: Path, suite: str, table: pd.DataFrame, seed: int) -> Answers:
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


def _metrics(own: pd.DataFrame, count: int, dataset: Dataset) -> tuple[list[dict[str, Any]], bytes]:
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


def _first(answered: np.ndarray, most: int) -> np.ndarray:
    """Returns the flags with only the first `most` of them set."""
    return answered & (np.cumsum(answered) <= most)


def _pictures(found: Mapping[str, Answers], factual: np.ndarray, most: int) -> tuple[dict[str, bytes], int]:
    """Returns the pictures at the highest quality at which they fit, or at the lowest one, and their size in bytes."""
    shown = {
        f"{suite}-{method}": images[_first(answered, most)]
        for suite, methods in found.items()
        for method, (images, answered) in methods.items()
    }
    pictures: dict[str, bytes] = {}
    for quality in QUALITIES:
        pictures = {name: sheet(images, quality) for name, images in {**shown, "factual": factual}.items()}
        if sum(map(len, pictures.values())) <= LIMIT:
            break
    return pictures, sum(map(len, pictures.values()))

"""Collects the answers of a run with their scores, for the part of the explorer that lists them, worst first.

The floor is not listed, because its answers are the images themselves. The true counterfactual, if there is one, is
shown beside each answer. Images are stored with loss, at the highest quality at which all fit into the page; they are
not used as inputs of networks. Where the lowest quality does not suffice, as for large images, only the first answers
of each method and suite are listed, and the page states how many are left out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...answers.store import gather
from ...core.files import read_table
from ...data.dataset import Dataset, load_split
from ...data.wording import value_words
from ...methods.registry import METHODS
from ..vocabulary import (
    CEILING,
    FLOOR,
    action_words,
    known_variable,
    method_title,
    set_title,
    spell_score,
)
from .blobs import capacity, gzipped, quantised, runs, sheet
from .browse_queries import ACTUAL, query_suite

__all__ = ["SUITES", "Shown", "browse"]

SUITES = ("do", "flip", "null", "reverse")
QUALITIES = (30, 20, 12, 5)
Answers = dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]
"""For each method and training seed the images of all questions of a suite, and which of them it answered."""

LIMIT = 2_000_000
"""The largest size of all pictures of this part in bytes, if the page has that much room."""

LEAST = 500_000
"""The size that they may have in any case."""


@dataclass(frozen=True)
class Shown:
    """What is listed.

    Arguments:
        methods: The methods; the floor is left out.
        seeds: The training seeds. A method without training has the seed 0 only.
        queries: The descriptions of queries, `queries/seed<k>/<query>.json`, with their answers beside them.
        room: The size in bytes that scores and pictures together should not exceed; None: no limit but
            :data:`LIMIT`.
    """

    methods: Sequence[str]
    seeds: Sequence[int] = (0,)
    queries: Sequence[Path] = ()
    room: int | None = None


def browse(
    data: Path, questions: Path, answers: Path, rows: Sequence[Path], dataset: Dataset, shown: Shown
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Returns the description of the answers, and the binary data that it refers to by name.

    Arguments:
        data: The folder of the data set.
        questions: The folder of questions, with one file per suite.
        answers: The folder of answers.
        rows: The scores of single questions, one table per metric and seed.
        dataset: The data set.
        shown: The methods, training seeds and queries that are listed.
    """
    scores = _scores(rows, shown.seeds)
    tables = {suite: questions / f"{suite}.parquet" for suite in SUITES}
    asked = {suite: read_table(path) for suite, path in tables.items() if path.exists()}
    found = {suite: _answers(answers, suite, table, shown) for suite, table in asked.items()}
    found = {suite: one for suite, one in found.items() if any(name != CEILING for name, _ in one)}
    queries, generated, actual = query_suite(shown.queries, dataset)
    if not found and queries is None:
        return {"suites": [], "rows": [], "left_out": 0}, {}
    used = np.unique([row for suite in found for row in asked[suite]["index"].to_numpy(np.int64)]).astype(int)
    others = {}
    if found:
        others["factual"] = np.asarray(load_split(data, "test").images[used[: capacity(dataset.shape)]])
    if queries is not None:
        others[ACTUAL] = actual[: capacity(dataset.shape)]
    sheets = {
        f"{suite}-{method}-{seed}": one
        for suite, methods in found.items()
        for (method, seed), one in methods.items()
    } | generated
    scored = {
        f"{suite}-{method}-{seed}": _metrics(
            scores[(scores["suite"] == suite) & (scores["method"] == method) & (scores["seed"] == seed)],
            len(answered),
            dataset,
        )
        for suite, methods in found.items()
        for (method, seed), (_, answered) in methods.items()
        if method != CEILING
    }
    numbers = {f"{name}-scores": gzipped(values) for name, (_, values) in scored.items()}
    if queries is not None:
        numbers |= {one["scores"]: gzipped(one.pop("values")) for one in queries["methods"]}
    limit = LIMIT
    if shown.room is not None:
        limit = max(LEAST, min(LIMIT, shown.room - sum(map(len, numbers.values()))))
    every = sum(int(answered.sum()) for _, answered in sheets.values())
    most = capacity(dataset.shape)
    pictures, size = _pictures(sheets, others, most, limit)
    if size > limit:
        # The first answers of each method and suite, as many as the limit allows.
        largest = max((int(answered.sum()) for _, answered in sheets.values()), default=0)
        most = min(most, max(1, int(largest * 0.95 * limit / size)))
        pictures, _ = _pictures(sheets, others, most, limit)
    listed = {name: _first(answered, most) for name, (_, answered) in sheets.items()}
    suites = []
    for suite, methods in found.items():
        one = _questions(suite, asked[suite], dataset)
        one |= {"methods": [], "truth": None}
        one["images"] = np.searchsorted(used, asked[suite]["index"].to_numpy(np.int64)).tolist()
        for method, seed in methods:
            name = f"{suite}-{method}-{seed}"
            drawn = {"sheet": name, "answered": runs(listed[name])}
            if method == CEILING:
                one["truth"] = drawn
                continue
            described = {"name": method, "seed": seed, "title": method_title(method)}
            one["methods"].append(
                described | {"scores": f"{name}-scores", "metrics": scored[name][0]} | drawn
            )
        suites.append(one)
    if queries is not None:
        for one in queries["methods"]:
            one["answered"] = runs(listed[one["sheet"]])
        suites.append(queries)
    left_out = every - sum(int(flags.sum()) for flags in listed.values())
    return {"suites": suites, "rows": used.tolist(), "left_out": left_out}, numbers | pictures


def _scores(rows: Sequence[Path], seeds: Sequence[int]) -> pd.DataFrame:
    """Returns the scores of single questions; those of methods without training have the seed 0."""
    columns = ["method", "seed", "question", "suite", "metric", "value"]
    tables = [read_table(path)[columns] for path in rows]
    if not tables:
        return pd.DataFrame(columns=columns)
    every = pd.concat(tables, ignore_index=True)
    every = every[~every["metric"].str.startswith("normalised")]
    return every[(every["question"] >= 0) & every["seed"].isin({0, *seeds}) & every["value"].notna()]


def _answers(answers: Path, suite: str, table: pd.DataFrame, shown: Shown) -> Answers:
    """Returns the images of each method and seed and which questions it answered, the ceiling first."""
    found = {}
    for method in [CEILING, *sorted(set(shown.methods) - {CEILING, FLOOR})]:
        known = METHODS.get(method)
        for seed in shown.seeds if known is None or known.trained else (0,):
            folder = answers / method / f"seed{seed}"
            if any((folder / suite).glob("*.npy")):
                images, columns = gather(folder, suite, table)
                answered = columns["answered"].to_numpy(bool)
                if answered.any():
                    found[method, seed] = images, answered
    return found


def _questions(suite: str, table: pd.DataFrame, dataset: Dataset) -> dict[str, Any]:
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
        "titles": [kind if suite == "flip" else set_title(kind, dataset) for kind in kinds],
        "intervention": [kinds.index(name) for name in names["intervention"]],
        "protocols": protocols,
        "protocol": [protocols.index(name) for name in names["protocol"]],
        "steps": [_short(steps, dataset) for steps in table["steps"]],
        "target": (
            [
                _target(name, int(target), dataset)
                for name, target in zip(table["attribute"], table["target"], strict=True)
            ]
            if "attribute" in table
            else []
        ),
    }


def _target(name: str, target: int, dataset: Dataset) -> str:
    """Returns the target of a flip, such as `season → spring`, `digit → 3`, or `thick → no` of an attribute."""
    variable = known_variable(name, dataset)
    if variable is None or (variable.classes == 2 and not variable.names):
        return f"{name} → {'yes' if target else 'no'}"
    return f"{name} → {value_words(variable, target)}"


def _short(steps: str, dataset: Dataset) -> str:
    """Returns the actions of a question in words, such as `thickness = 2.82`."""
    words = [action_words(action, dataset) for action in json.loads(steps)]
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


def _first(answered: np.ndarray, most: int) -> np.ndarray:
    """Returns the flags with only the first `most` of them set."""
    return answered & (np.cumsum(answered) <= most)


def _pictures(
    sheets: Mapping[str, tuple[np.ndarray, np.ndarray]],
    others: Mapping[str, np.ndarray],
    most: int,
    limit: int,
) -> tuple[dict[str, bytes], int]:
    """Returns the pictures at the highest quality at which they fit, or at the lowest one, and their size in bytes.

    Arguments:
        sheets: For each sheet all images, and which of them are answers.
        others: Further sheets, which are shown whole.
        most: The largest number of answers of a sheet.
        limit: Their largest size in bytes.
    """
    shown = {name: images[_first(answered, most)] for name, (images, answered) in sheets.items()}
    pictures: dict[str, bytes] = {}
    for quality in QUALITIES:
        pictures = {name: sheet(images, quality) for name, images in {**shown, **others}.items()}
        if sum(map(len, pictures.values())) <= limit:
            break
    return pictures, sum(map(len, pictures.values()))

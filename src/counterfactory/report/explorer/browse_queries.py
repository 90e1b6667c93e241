"""Collects the answers of generators to queries, for the part of the explorer that lists all answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.files import read_json, read_table
from ...core.foreign.npy import load_npy
from ...data.dataset import Dataset
from ..queries import query_words
from .blobs import quantised

__all__ = ["ACTUAL", "query_suite"]

ACTUAL = "query-actual"
"""The sheet of the actual images that queries are about."""

METRICS = (
    ("l1", "L1 to the actual image (grey levels) ↓", "lower"),
    ("log_evidence", "log-probability of the premise (nats) ↑", "higher"),
    ("kept", "noise variables kept", ""),
)


def query_suite(
    files: Sequence[Path], dataset: Dataset
) -> tuple[dict[str, Any] | None, dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Returns queries in the form of a suite, whose methods are the generators.

    Arguments:
        files: The descriptions of queries, `queries/seed<k>/<query>.json`; answers are in the files beside them.
        dataset: The data set.

    Returns:
        The suite, None without queries; its sheets, each with the images of all N answers of the suite, and which of
        them are answers of that generator and seed, bool (N,); and the actual images, uint8 (M, C, H, W).
    """
    if not files:
        return None, {}, np.empty((0, *dataset.shape), np.uint8)
    queries, kinds, stickiness = [], [], set()
    titles: dict[str, str] = {}
    reasons = {}
    for path in map(Path, files):
        query, table = read_json(path), read_table(path.with_suffix(".parquet"))
        seed, name = int(path.parent.name.removeprefix("seed")), str(query["name"])
        titles.setdefault(name, query_words(query, dataset))
        if query.get("unanswered"):
            reasons[name, seed] = f"{name.replace('_', ' ')}, training seed {seed}: {query['unanswered']}"
        queries.append((name, seed, query, table, path.with_suffix(".npy")))
        stickiness |= {f"{value:g}" for value in table["stickiness"].dropna()} if len(table) else set()
    kinds, protocols = list(titles), sorted(stickiness, key=float)
    actual: list[np.ndarray] = []
    columns: dict[str, list[Any]] = {
        "intervention": [],
        "protocol": [],
        "steps": [],
        "images": [],
        "labels": [],
    }
    images: list[np.ndarray] = []
    values: list[list[float]] = []
    owners: list[tuple[str, int]] = []
    reached: list[bool] = []
    for name, seed, query, table, file in queries:
        drawn = load_npy(file) if len(table) else None
        places: dict[int, int] = {}
        for row in range(len(table)):
            if not np.isnan(table["stickiness"].iloc[row]):
                continue
            places[int(table["actual"].iloc[row])] = len(actual)
            assert drawn is not None
            actual.append(np.asarray(drawn[row]))
        for row in range(len(table)):
            s = table["stickiness"].iloc[row]
            if np.isnan(s):
                continue
            assert drawn is not None
            number = int(table["actual"].iloc[row])
            image, before = np.asarray(drawn[row]), actual[places[number]]
            columns["intervention"].append(kinds.index(name))
            columns["protocol"].append(protocols.index(f"{s:g}"))
            columns["steps"].append(f"{titles[name]} s = {s:g}")
            columns["images"].append(places[number])
            columns["labels"].append(f"query {name}, image {number}, sample {int(table['sample'].iloc[row])}")
            images.append(image)
            l1 = float(np.abs(image.astype(np.float64) - before).mean())
            values.append([l1, float(table["log_evidence"].iloc[row]), float(table["kept"].iloc[row])])
            owners.append((str(query["generator"]), seed))
            reached.append(bool(table["reached"].iloc[row]))
    every = np.stack(images) if images else np.empty((0, *dataset.shape), np.uint8)
    scores = np.array(values, np.float64).reshape(-1, len(METRICS))
    suite: dict[str, Any] = {
        "suite": "query",
        "kinds": kinds,
        "titles": [f"{name.replace('_', ' ')}: {words}" for name, words in titles.items()],
        "protocols": protocols,
        "target": [],
        "truth": None,
        "factual": ACTUAL,
        "notes": list(reasons.values()),
        "methods": [],
        **columns,
    }
    sheets = {}
    for owner in dict.fromkeys(owners):
        generator, seed = owner
        own = np.array([one == owner for one in owners]) & np.array(reached)
        described, parts = [], []
        for k, (metric, title, better) in enumerate(METRICS):
            whole, low, step = quantised(np.where(own, scores[:, k], np.nan))
            described.append({"name": metric, "title": title, "better": better, "low": low, "step": step})
            parts.append(whole.tobytes())
        sheet = f"query-{generator}-{seed}"
        sheets[sheet] = every, own
        suite["methods"].append(
            {
                "name": generator,
                "seed": seed,
                "title": generator,
                "sheet": sheet,
                "scores": f"{sheet}-scores",
                "metrics": described,
                "values": b"".join(parts),
            }
        )
    return suite, sheets, np.stack(actual) if actual else np.empty((0, *dataset.shape), np.uint8)

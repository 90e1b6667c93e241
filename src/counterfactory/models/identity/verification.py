"""Verification by an identity network: cosines of pairs of images of the same source and of different sources."""

from pathlib import Path
from typing import Any

import numpy as np

from ...core.files import read_json, write_json
from ...core.noise import generator
from .roc import area_under_curve, threshold_at

__all__ = ["IMPOSTORS", "summarize", "verification", "write_verification"]

IMPOSTORS = 10
"""Random renderings of other sources that each rendering is compared with."""


def verification(
    embeddings: np.ndarray, classes: np.ndarray, parents: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Returns the cosines of three groups of pairs of renderings.

    Arguments:
        embeddings: Embeddings of norm 1 of V renderings of N sources, (N, V, F).
        classes: The class of each source, (N,).
        parents: The continuous parents of the renderings, (N, V, P), in comparable units.
        seed: The seed of the random pairs.

    Returns:
        The cosines of `same` (all pairs of renderings of one source), of `hard` (each rendering with `IMPOSTORS` random
        renderings of other sources of its class) and of `matched` (each rendering with the one with the nearest
        parents, among all other sources of its class).
    """
    count, views, _ = embeddings.shape
    first, second = np.triu_indices(views, 1)
    same = np.einsum("npf,npf->np", embeddings[:, first], embeddings[:, second]).ravel()
    rng = generator(seed, "impostors")
    hard, matched = [np.empty(0)], [np.empty(0)]
    for one in np.unique(classes):
        rows = np.flatnonzero(classes == one)
        if len(rows) < 2:
            continue
        flat, size = embeddings[rows].reshape(len(rows) * views, -1), len(rows)
        position = np.repeat(np.arange(size), views)
        others = (position[:, None] + rng.integers(1, size, (len(flat), IMPOSTORS))) % size
        chosen = others * views + rng.integers(0, views, others.shape)
        hard.append(np.einsum("nf,nkf->nk", flat, flat[chosen]).ravel())
        values = parents[rows].reshape(len(flat), -1)
        distance = ((values[:, None] - values[None]) ** 2).sum(2)
        distance[position[:, None] == position[None]] = np.inf
        matched.append(np.einsum("nf,nf->n", flat, flat[distance.argmin(1)]))
    return {"same": same, "hard": np.concatenate(hard), "matched": np.concatenate(matched)}


def summarize(cosines: dict[str, np.ndarray], threshold: float, sources: int) -> dict[str, Any]:
    """Returns AUC and accept rates at a threshold (None if there are no such pairs), as `model.json` holds them."""
    found: dict[str, Any] = {
        "true_accept": _share_above(cosines["same"], threshold),
        "auc": area_under_curve(cosines["same"], cosines["hard"]),
        "false_accept": _share_above(cosines["hard"], threshold),
        "auc_matched": area_under_curve(cosines["same"], cosines["matched"]),
        "false_accept_matched": _share_above(cosines["matched"], threshold),
    }
    return found | {"sources": sources, "pairs": {name: len(one) for name, one in cosines.items()}}


def write_verification(
    folder: Path, cosines: dict[str, dict[str, np.ndarray]], counts: dict[str, int], false_accept: float
) -> None:
    """Adds the threshold and the accept rates to the `model.json` of a trained identity network.

    Arguments:
        folder: The folder of the network.
        cosines: The cosines of the groups of pairs of each part; `valid` determines the threshold.
        counts: The number of sources or persons of each part.
        false_accept: The share of the pairs `hard` of the part `valid` that the threshold accepts.
    """
    threshold = threshold_at(cosines["valid"]["hard"], false_accept)
    found = {name: summarize(one, threshold, counts[name]) for name, one in cosines.items()}
    meta = read_json(folder / "model.json")
    write_json(folder / "model.json", {**meta, "threshold": threshold, "verification": found})


def _share_above(cosines: np.ndarray, threshold: float) -> float | None:
    return float((cosines > threshold).mean()) if len(cosines) else None

"""Renders source images of a simulated world at other values of the parents that determine the image."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import UserError
from ...core.files import write_array
from ...core.foreign.npy import load_npy
from ...core.noise import generator
from ...core.progress import progress
from ...data.dataset import Dataset, Split
from ...data.worlds import undetermined, world

__all__ = ["Sources", "render_sources", "varied"]

CHUNK = 250
"""Images rendered between two updates of the progress line."""


@dataclass(frozen=True)
class Sources:
    """Source images to render.

    Arguments:
        dataset: The data set.
        data: Its folder.
        split: The split that contains the sources.
        rows: The rows of the sources in the split, (N,).
    """

    dataset: Dataset
    data: Path
    split: Split
    rows: np.ndarray


def varied(dataset: Dataset) -> list[str]:
    """Returns the variables that renderings of one source change: those whose setting determines the image."""
    fixed = undetermined(dataset) if world(dataset.name) is not None else dataset.names
    return [name for name in dataset.names if name not in fixed]


def render_sources(
    sources: Sources, renderings: int, seed: int, threads: int = 1, out: Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Renders each source several times, with new values of the parents of :func:`varied`.

    For every rendering, the values of each parent are a permutation of those of the whole split, drawn independently
    for each parent: the marginals are preserved, and the parents are independent of each other and of the source.

    Arguments:
        sources: The source images.
        renderings: The number R of new renderings of each source.
        seed: The seed of the permutations.
        threads: The number of rendering threads.
        out: The model's folder. The renderings are stored there during training, so that a killed training does not
            render again.

    Returns:
        Images, uint8 (N, 1 + R, C, H, W), those of the split first, and the parents of :func:`varied`, float64
        (N, 1 + R, P), in units of their standard deviations within the split.

    Raises:
        UserError: If the data set is not simulated.
    """
    dataset, split, rows = sources.dataset, sources.split, sources.rows
    simulation = world(dataset.name)
    if simulation is None:
        raise UserError(
            f"identity: {dataset.name} is not simulated, so that a source cannot be rendered with other parents; "
            "remove the metric identity from scores.metrics"
        )
    changed = varied(dataset)
    own = split.attributes.iloc[rows].reset_index(drop=True)
    tables = [own]
    for rendering in range(renderings):
        permuted = {}
        for name in changed:
            order = generator(seed, "renderings", rendering, name).permutation(len(split.attributes))
            permuted[name] = split.attributes[name].to_numpy()[order[rows]]
        tables.append(own.assign(**permuted))
    spread = split.attributes[changed].std().to_numpy()
    parents = np.stack([table[changed].to_numpy(np.float64) / spread for table in tables], 1)

    stored = None if out is None else _path(out, parents, rows)
    if stored is not None and stored.exists():
        rendered = load_npy(stored)
    else:
        rendered = np.empty((len(rows), renderings, *split.images.shape[1:]), np.uint8)
        # All renderings of a source one after another, so that a world may keep what depends on the source alone.
        starts = [(r, start) for start in range(0, len(rows), CHUNK) for r in range(renderings)]
        for r, start in progress(starts, len(starts), "renderings"):
            part = slice(start, start + CHUNK)
            target = {name: tables[1 + r][name].to_numpy()[part] for name in dataset.names}
            rendered[part, r], _ = simulation.render_counterfactual(
                sources.data, own.iloc[part], target, threads
            )
        if stored is not None:
            write_array(stored, rendered)
    return np.concatenate([np.asarray(split.images)[rows][:, None], rendered], 1), parents


def _path(out: Path, parents: np.ndarray, rows: np.ndarray) -> Path:
    """Returns the file of the renderings of exactly these sources and parents; the training loop deletes its folder."""
    name = hashlib.sha256(
        np.ascontiguousarray(parents).tobytes() + rows.astype(np.int64).tobytes()
    ).hexdigest()
    return out / ".state" / f"renderings-{name[:16]}.npy"

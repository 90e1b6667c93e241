"""Parts of the worlds whose images are functions of their parents alone: writing, rendering and measuring in chunks.

Images are rendered and measured :data:`CHUNK` at a time, so that they fit into the processor's cache. No result depends
on it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.noise import generator
from ..core.progress import progress
from .dataset import SPLITS, declared, load_dataset, save_dataset, save_split

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = ["CHUNK", "measure_chunks", "permuted", "render_parents", "write_drawn"]

CHUNK = 100

Render = Callable[[pd.DataFrame | dict[str, np.ndarray], int], np.ndarray]
"""From the parents, each (N,), and the image size in px to RGB images, uint8 (N, 3, size, size)."""


def write_drawn(
    name: str,
    settings: "DataSettings",
    out: Path | str,
    sample: Callable[[str, int], pd.DataFrame],
    render: Render,
) -> None:
    """Writes the four splits and `dataset.json` of a data set.

    Arguments:
        name: The name of the data set.
        settings: The section `data`.
        out: The folder of the data set.
        sample: From the name and size of a split to its attributes.
        render: Renders images from the attributes.
    """
    out = Path(out)
    shape = (3, settings.image_size, settings.image_size)
    for split in SPLITS:
        attributes = sample(split, getattr(settings, split))
        images = np.empty((len(attributes), *shape), dtype=np.uint8)
        starts = range(0, len(attributes), CHUNK)
        for start in progress(starts, len(starts), f"synthesise {split}"):
            part = slice(start, start + CHUNK)
            images[part] = render(attributes.iloc[part], settings.image_size)
        attributes.insert(0, "index", np.arange(len(attributes)))
        save_split(out, split, images, attributes)
    save_dataset(out, declared(name, settings.image_size))


def permuted(attributes: pd.DataFrame, names: Sequence[str], seed: int) -> pd.DataFrame:
    """Permutes some columns, each separately: each keeps its marginal, and all become independent.

    Arguments:
        attributes: The attributes of the judges' split.
        names: The columns.
        seed: The seed of the data set.
    """
    return attributes.assign(
        **{
            name: attributes[name].to_numpy()[generator(seed, "judges", name).permutation(len(attributes))]
            for name in names
        }
    )


def render_parents(
    render: Render, data: Path | str, parents: Mapping[str, np.ndarray], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the true counterfactual images.

    Arguments:
        render: Renders images from the parents.
        data: The folder of the data set, from which the shape of the images is read.
        parents: The parents after the intervention, each (N,).
        names: The names of the parents.

    Returns:
        Images, uint8 (N, 3, H, W), and for each whether it is determined, bool (N,): always true.

    Raises:
        UserError: If the data set is missing, or as `render` does.
    """
    shape = load_dataset(data).shape
    count = len(np.asarray(parents[names[0]]))
    images = np.empty((count, *shape), dtype=np.uint8)
    for start in range(0, count, CHUNK):
        part = {name: np.asarray(parents[name])[start : start + CHUNK] for name in names}
        images[start : start + CHUNK] = render(part, shape[1])
    return images, np.ones(count, dtype=bool)


def measure_chunks(
    measure: Callable[[np.ndarray], pd.DataFrame], images: np.ndarray, names: Sequence[str]
) -> pd.DataFrame:
    """Applies `measure` to images, uint8 (N, 3, H, W), and returns one table of N rows with the columns `names`."""
    tables = [measure(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
    if not tables:
        return pd.DataFrame({name: np.empty(0) for name in names})
    return pd.concat(tables, ignore_index=True)

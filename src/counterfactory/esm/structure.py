"""Measures whether a generator has learned the causal structure, from the variables that its images show.

Counterfactuals of a generator are meaningful only if its images have the dependencies of the data. Images drawn from
the generator and real test images are measured in the same way: continuous variables on the pixels (in simulated data
sets), classes and binary attributes by the oracle. Conditional tables of both, such as the mean intensity given the
thickness or P(bright | thick), are then compared. An unconditional generator was trained without any of these
variables.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.files import write_table
from ..core.foreign.npy import load_npy
from ..data.dataset import Dataset, load_dataset, load_split
from ..data.worlds import world
from ..models.classifier.model import AttributeClassifier, load_classifier

__all__ = ["binned_means", "conditional_shares", "measure_images", "measure_structure"]

BINS = 6
LEAST = 10  # the least number of images of a bin; bins with fewer have NaN


def measure_structure(
    drawn: Mapping[str, Path],
    data: Path | str,
    models: Path | str,
    out: Path | str,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Measures drawn images and as many real ones, and writes one table with one row per image.

    Its columns are `source` (`real` or a generator), the continuous variables that the simulation measures, and the
    oracle's predictions: of every binary attribute 0 or 1, of every other categorical variable the class.

    Arguments:
        drawn: For each generator the file of its images, uint8 (N, C, H, W).
        data: The folder of the data set.
        models: The folder of the trained models, which contains the oracle.
        out: The table to write.
        device: The device of the oracle.
        threads: The number of CPU threads.

    Raises:
        UserError: If a file or the oracle is missing or damaged.
    """
    import torch

    torch.set_num_threads(threads)
    dataset, oracle = load_dataset(data), load_classifier(Path(models) / "oracle", device, "oracle")
    images = {name: load_npy(path) for name, path in drawn.items()}
    most = max((len(one) for one in images.values()), default=0)
    images = {"real": load_split(data, "test").images[:most], **images}
    tables = [
        measure_images(dataset, oracle, np.asarray(one), threads).assign(source=name)
        for name, one in images.items()
    ]
    write_table(out, pd.concat(tables, ignore_index=True))


def measure_images(
    dataset: Dataset, oracle: AttributeClassifier, images: np.ndarray, threads: int = 1
) -> pd.DataFrame:
    """Returns the measured variables of uint8 images (N, C, H, W), one row per image; NaN for an empty image."""
    known = world(dataset.name)
    continuous = [one.name for one in dataset.variables if one.kind == "continuous"]
    shown = known.measure(images, threads) if known is not None else pd.DataFrame(index=range(len(images)))
    columns = {name: np.asarray(shown[name], np.float64) for name in continuous if name in shown}
    return pd.DataFrame(columns | oracle.predict(images))


def binned_means(
    tables: Mapping[str, pd.DataFrame], cause: str, effect: str, bins: int = BINS
) -> dict[str, np.ndarray]:
    """Returns the mean of one variable in bins of another, (bins, 3): mean cause, mean effect, count.

    The bins contain equal shares of the real images. A bin with fewer than ten images has NaN.

    Arguments:
        tables: The measured variables of each source; one of the sources is `real`.
        cause: The variable that is binned.
        effect: The variable that is averaged.
        bins: The number of bins.
    """
    real = tables["real"][cause].to_numpy(np.float64)
    edges = np.nanquantile(real, np.linspace(0.0, 1.0, bins + 1)[1:-1])
    found = {}
    for name, table in tables.items():
        x, y = table[cause].to_numpy(np.float64), table[effect].to_numpy(np.float64)
        finite = np.isfinite(x) & np.isfinite(y)
        number = np.digitize(x, edges)
        rows = np.full((bins, 3), np.nan)
        for k in range(bins):
            members = finite & (number == k)
            rows[k, 2] = members.sum()
            if members.sum() >= LEAST:
                rows[k, :2] = x[members].mean(), y[members].mean()
        found[name] = rows
    return found


def conditional_shares(table: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Returns P(column = 1 | row = 1) of binary attributes, and P(column = 1) as the row `any`; NaN for few images."""
    rows = {"any": table[list(attributes)].mean()}
    for name in attributes:
        members = table[table[name] == 1]
        rows[name] = members[list(attributes)].mean() * (1.0 if len(members) >= LEAST else np.nan)
    return pd.DataFrame(rows).T

"""Does the generator know the causal structure? What its images show, measured like real ones.

Before a counterfactual over a generator is believed, the generator should know what goes together. Images drawn from
it are measured on their pixels (continuous variables, in simulated worlds) and read by the oracle (classes, binary
attributes), and so are the real test images: then conditional tables of both, such as the mean intensity given the
thickness, or P(bright | thick), stand side by side. Nothing of them was told to an unconditional generator.
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
LEAST = 10  # images in a bin below which it says nothing


def measure_structure(
    drawn: Mapping[str, Path],
    data: Path | str,
    models: Path | str,
    out: Path | str,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Measures drawn images and as many real ones, and writes one table, a row an image.

    Its columns are `source` (`real` or a generator), the continuous variables that the world measures, the categorical
    variable and every binary attribute, 0 or 1, as the oracle reads them.

    Arguments:
        drawn: For each generator the file of its images, uint8 (N, C, H, W).
        data: The data set's folder.
        models: The folder of the models, for the oracle.
        out: The table to write.
        device: Where the oracle runs.
        threads: CPU threads.

    Raises:
        UserError: If a file or the oracle is missing or damaged.
    """
    import torch

    torch.set_num_threads(threads)
    dataset, oracle = load_dataset(data), load_classifier(Path(models) / "oracle", device)
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
    """Returns what uint8 images (N, C, H, W) show, one row an image; an image without a stroke has NaN."""
    known = world(dataset.name)
    continuous = [one.name for one in dataset.variables if one.kind == "continuous"]
    shown = known.measure(images, threads) if known is not None else pd.DataFrame(index=range(len(images)))
    columns = {name: np.asarray(shown[name], np.float64) for name in continuous if name in shown}
    return pd.DataFrame(columns | oracle.predict(images))


def binned_means(
    tables: Mapping[str, pd.DataFrame], cause: str, effect: str, bins: int = BINS
) -> dict[str, np.ndarray]:
    """Returns the mean of one variable in bins of another, (bins, 3): mean cause, mean effect, count.

    The bins hold equal shares of the real images; a bin with fewer than ten images has NaN.

    Arguments:
        tables: What the images of each source show; one is `real`.
        cause: The variable that is binned.
        effect: The variable that is averaged.
        bins: How many.
    """
    real = tables["real"][cause].to_numpy(np.float64)
    edges = np.nanquantile(real, np.linspace(0.0, 1.0, bins + 1)[1:-1])
    found = {}
    for name, table in tables.items():
        x, y = table[cause].to_numpy(np.float64), table[effect].to_numpy(np.float64)
        there = np.isfinite(x) & np.isfinite(y)
        number = np.digitize(x, edges)
        rows = np.full((bins, 3), np.nan)
        for k in range(bins):
            mine = there & (number == k)
            rows[k, 2] = mine.sum()
            if mine.sum() >= LEAST:
                rows[k, :2] = x[mine].mean(), y[mine].mean()
        found[name] = rows
    return found


def conditional_shares(table: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Returns P(column = 1 | row = 1) of binary attributes, and P(column = 1) as the row `any`; NaN of too few."""
    rows = {"any": table[list(attributes)].mean()}
    for name in attributes:
        mine = table[table[name] == 1]
        rows[name] = mine[list(attributes)].mean() * (1.0 if len(mine) >= LEAST else np.nan)
    return pd.DataFrame(rows).T

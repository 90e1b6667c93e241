"""A data set of binary variables only: two parents, and a rare label that is no parent, each a block of pixels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.files import write_array, write_table
from counterfactory.data.dataset import Dataset, Variable, save_dataset

BLOCKS = Dataset(
    name="blocks",
    variables=(
        Variable("Male", "categorical", classes=2, names=("no", "yes")),
        Variable("Bald", "categorical", classes=2, names=("no", "yes")),
    ),
    edges=(("Male", "Bald"),),
    shape=(1, 8, 8),
    simulated=False,
    labels=(Variable("Smiling", "categorical", classes=2, names=("no", "yes")),),
)
SIZES = {"train": 400, "valid": 80, "judges": 200, "test": 100}


def draw_blocks(attributes: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Returns noisy images, uint8 (N, 1, 8, 8): Male upper left, Bald upper right, Smiling below."""
    images = rng.integers(0, 60, (len(attributes), 1, 8, 8))
    images[:, 0, :4, :4] += 150 * attributes["Male"].to_numpy()[:, None, None]
    images[:, 0, :4, 4:] += 150 * attributes["Bald"].to_numpy()[:, None, None]
    images[:, 0, 4:, :] += 150 * attributes["Smiling"].to_numpy()[:, None, None]
    return images.astype(np.uint8)


def write_blocks(folder: Path) -> Path:
    """Writes the data set in a folder: half are male, one male in ten is bald, and one in twenty smiles."""
    rng = np.random.default_rng(0)
    for split, count in SIZES.items():
        male = rng.integers(0, 2, count)
        bald = male * (rng.random(count) < 0.1)
        smiling = (rng.random(count) < 0.05).astype(int)
        table = pd.DataFrame({"index": np.arange(count), "Male": male, "Bald": bald, "Smiling": smiling})
        write_array(folder / split / "images.npy", draw_blocks(table, rng))
        write_table(folder / split / "attributes.parquet", table)
    save_dataset(folder, BLOCKS)
    return folder


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    """The folder of the data set."""
    return write_blocks(tmp_path / "blocks" / "data")

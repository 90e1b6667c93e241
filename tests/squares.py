"""A world small enough to check by hand: squares with a size, a shade that depends on it, and a kind."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.files import write_array, write_table
from counterfactory.data.dataset import Dataset, Variable, save_dataset

SQUARES = Dataset(
    name="squares",
    variables=(
        Variable("size", "continuous", "px", low=1.0, high=4.0),
        Variable("shade", "continuous", "grey levels", low=40.0, high=250.0),
        Variable("kind", "categorical", classes=3),
    ),
    edges=(("size", "shade"),),
    shape=(1, 6, 6),
    simulated=False,
)
SIZES = {"train": 400, "valid": 20, "judges": 20, "test": 60}


def shade_of(size: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return 40.0 * size + 20.0 * noise + 50.0


def draw_squares(size: np.ndarray, shade: np.ndarray, kind: np.ndarray) -> np.ndarray:
    inside = np.arange(6) < np.asarray(size)[:, None]
    colour = np.clip(shade, 0, 250) + kind
    return (inside[:, None, :, None] * inside[:, None, None, :] * colour[:, None, None, None]).astype(
        np.uint8
    )


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """The folder of a data set of squares, not simulated."""
    return write_squares(tmp_path / "squares" / "data")


def write_squares(folder: Path) -> Path:
    """Writes a data set of squares, not simulated, in a folder."""
    rng = np.random.default_rng(0)
    for split, count in SIZES.items():
        noise, size, kind = rng.normal(size=count), rng.uniform(0.9, 4.1, count), rng.integers(0, 3, count)
        columns = {"size": size, "shade": shade_of(size, noise), "kind": kind}
        attributes = pd.DataFrame({"index": np.arange(count), **columns, "noise_shade": noise})
        write_array(folder / split / "images.npy", draw_squares(**columns))
        write_table(folder / split / "attributes.parquet", attributes)
    save_dataset(folder, SQUARES)
    return folder


@pytest.fixture
def questions_settings() -> SimpleNamespace:
    """The settings of a few questions about squares."""
    return SimpleNamespace(
        seed=0,
        do=SimpleNamespace(
            images=20,
            interventions=["size", "shade", "kind", "random"],
            protocols=["marginal", "other_bin"],
            values={},
        ),
        null=SimpleNamespace(images=9, cycles=[1, 3]),
        reverse=SimpleNamespace(images=9, interventions=["size", "kind"], cycles=[1, 3]),
    )

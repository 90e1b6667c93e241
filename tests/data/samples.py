"""References for tests of data: MNIST, and samples of the published Morpho-MNIST.

The samples are not part of this repository. They are searched in the folder of the environment variable
COUNTERFACTORY_SAMPLES, then in `shared/data` beside the repository.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.data.sources import load_digits

ROOT = Path(__file__).parents[2]
CHECKSUM_ROWS = 70_000


def sample(name: str) -> Path:
    """The path of a published sample; the test is skipped if it is missing."""
    named = os.environ.get("COUNTERFACTORY_SAMPLES")
    for folder in [Path(named)] if named else [ROOT.parent / "shared" / "data"]:
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is in neither COUNTERFACTORY_SAMPLES nor ../shared/data: not compared with it")


@cache
def mnist() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's 70,000 images and labels, of a run of the workflow or fetched; the test is skipped without them."""
    for folder in sorted(ROOT.glob("results/**/data/digits")):
        try:
            images, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels"))
        except (OSError, ValueError):
            continue
        if images.shape == (CHECKSUM_ROWS, 28, 28) and labels.shape == (CHECKSUM_ROWS,):
            return images, labels
    try:
        return tuple(load_digits("auto"))
    except UserError as error:
        pytest.skip(f"MNIST is out of reach: {error}")


def strokes(n: int, seed: int = 0, size: int = 28, touch: bool = False) -> np.ndarray:
    """Draws handwriting-like strokes: a few joined lines of varying thickness, antialiased; uint8 (N, size, size).

    Arguments:
        touch: Whether they extend beyond the border of the image.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    images = np.zeros((n, size, size))
    margin = -2.0 if touch else 6.0
    for image in images:
        points = rng.uniform(margin, size - margin, (rng.integers(3, 6), 2))
        radius = rng.uniform(0.6, 2.0)
        for (y0, x0), (y1, x1) in zip(points[:-1], points[1:], strict=True):
            along = np.clip(
                ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / ((y1 - y0) ** 2 + (x1 - x0) ** 2), 0, 1
            )
            far = np.hypot(y - y0 - along * (y1 - y0), x - x0 - along * (x1 - x0))
            np.maximum(image, np.clip(radius + 0.5 - far, 0, 1), out=image)
    return np.round(255 * images).astype(np.uint8)

"""Reads a split of a data set as tensors, as the training loop requires it."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Dataset, encode_parents, load_split

__all__ = ["split_tensors"]


def split_tensors(dataset: Dataset, folder: Path, split: str) -> dict[str, Tensor]:
    """Reads the images of a split and their encoded parents into memory.

    Arguments:
        dataset: The data set.
        folder: Its folder.
        split: The name of the split.

    Returns:
        `images`, uint8 (N, C, H, W), and `parents`, float32 (N, P).

    Raises:
        UserError: If the split is missing or damaged.
    """
    loaded = load_split(folder, split)
    return {
        "images": torch.from_numpy(np.array(loaded.images)),
        "parents": torch.from_numpy(encode_parents(dataset, loaded.attributes)),
    }

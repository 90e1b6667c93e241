"""Reads numeric arrays from `.npy` files whose length is exactly the one that the header declares."""

import math
import os
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from ..errors import reading

__all__ = ["load_npy"]


def load_npy(path: Path | str, mapped: bool = False) -> np.ndarray:
    """Reads an array of numbers.

    Arguments:
        path: The file.
        mapped: Whether to return a read-only memory map.

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it is damaged, has another length than its header declares, or contains objects or text.
    """
    with reading(path):
        with open(path, "rb") as file:
            version = npy_format.read_magic(file)
            read_header = {
                (1, 0): npy_format.read_array_header_1_0,
                (2, 0): npy_format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
            start, size = file.tell(), os.fstat(file.fileno()).st_size
        if dtype.kind not in "biuf" or dtype.names is not None:
            raise ValueError(f"it contains {dtype}, not numbers")
        if (
            any(one < 0 for one in shape)
            or len(shape) > 64
            or size - start != math.prod(shape) * dtype.itemsize
        ):
            raise ValueError(f"it has {size} bytes, which is not the size of {dtype} {shape}")
        return np.load(path, mmap_mode="r" if mapped and size > start else None, allow_pickle=False)

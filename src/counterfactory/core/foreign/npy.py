"""Numeric arrays from `.npy` files that have exactly the length their header says."""

import math
import os
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from ..errors import BadFile, UserError
from .archives import reason

__all__ = ["load_npy"]


def load_npy(path: Path | str, mapped: bool = False) -> np.ndarray:
    """Reads an array of numbers.

    Arguments:
        path: The file.
        mapped: Whether to map the file into memory, read-only, in place of reading it.

    Raises:
        UserError: If the file is missing.
        BadFile: If it is damaged, of another length than its header says, or holds objects or text.
    """
    try:
        with open(path, "rb") as file:
            version = npy_format.read_magic(file)
            read = {
                (1, 0): npy_format.read_array_header_1_0,
                (2, 0): npy_format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read(file)
            start, size = file.tell(), os.fstat(file.fileno()).st_size
        if dtype.kind not in "biuf" or dtype.names is not None:
            raise ValueError(f"it holds {dtype} and not numbers")
        if (
            any(one < 0 for one in shape)
            or len(shape) > 64
            or size - start != math.prod(shape) * dtype.itemsize
        ):
            raise ValueError(f"it has {size} bytes, not those of {dtype} {shape}")
        return np.load(path, mmap_mode="r" if mapped and size > start else None, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the step that makes it first") from None
    except Exception as error:  # a damaged header may raise anything
        raise BadFile(f"{path}: cannot be read ({reason(error)}); delete it and run again") from None

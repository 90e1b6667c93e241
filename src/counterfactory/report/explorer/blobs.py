"""Packs binary data and pictures for a page: base 85 text, which is a quarter longer than the data, and sheets.

A sheet is one picture that holds many images of equal size in rows.
"""

import gzip
import io
import json
import lzma
import struct
from base64 import b85encode
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["LONGER", "capacity", "gzipped", "pack", "pack_json", "quantised", "runs", "sheet", "shrunk"]

COLUMNS = 64
SIDE = 16_000
"""The largest width and height of a picture in px, below the limits of WebP and of browsers."""

MISSING = 65_535

LONGER = 1.25
"""The length of packed text relative to the data."""


def pack(data: bytes) -> str:
    """Returns bytes as text for a script element: base 85 with a comma for `<`, so that no tag can begin in it."""
    return b85encode(data).decode().replace("<", ",")


def pack_json(content: Any) -> str:
    """Returns packed, gzipped JSON."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return pack(gzipped(text.encode()))


def gzipped(data: bytes) -> bytes:
    """Returns data compressed by gzip, the same bytes at every time."""
    return gzip.compress(data, 9, mtime=0)


def shrunk(data: bytes) -> bytes:
    """Returns data compressed by LZMA, with their size in the header, where the encoder leaves it open."""
    packed = lzma.compress(data, format=lzma.FORMAT_ALONE, preset=1)
    return packed[:5] + struct.pack("<Q", len(data)) + packed[13:]


def capacity(shape: tuple[int, int, int]) -> int:
    """Returns the largest number of images (C, H, W) of a sheet."""
    return (SIDE // shape[1]) * (SIDE // shape[2])


def sheet(images: np.ndarray, quality: int = 0) -> bytes:
    """Returns a picture with many images.

    Arguments:
        images: Uint8 (N, C, H, W) with C = 1 or 3, at most :func:`capacity`.
        quality: Quality of WebP, 1 to 100; 0: PNG, which loses nothing.
    """
    count, channels, height, width = images.shape
    tallest = SIDE // height
    columns = max(min(COLUMNS, SIDE // width), -(-count // tallest))
    rows = max(1, -(-count // columns))
    tiles = np.zeros((rows * columns, channels, height, width), np.uint8)
    tiles[:count] = images
    drawn = tiles.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    drawn = drawn.reshape(rows * height, columns * width, channels)
    picture = Image.fromarray(np.ascontiguousarray(drawn[:, :, 0] if channels == 1 else drawn))
    file = io.BytesIO()
    if quality:
        picture.convert("RGB").save(file, "WEBP", quality=quality, method=6)
    else:
        picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def quantised(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Returns values as 16-bit integers with offset and step; :data:`MISSING` stands for a missing value.

    Arguments:
        values: Any shape, with NaN where a value is missing.

    Returns:
        Little-endian uint16 of the same shape, the offset and the step; value = offset + step x integer.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.shape, MISSING, "<u2"), 0.0, 1.0
    low, high = float(values[known].min()), float(values[known].max())
    step = (high - low) / (MISSING - 1) or 1.0
    whole = np.full(values.shape, MISSING, "<u2")
    whole[known] = np.rint((values[known] - low) / step).astype("<u2")
    return whole, low, step


def runs(flags: np.ndarray) -> list[int]:
    """Returns the lengths of runs of equal flags, the first one of False."""
    if not len(flags):
        return []
    ends = np.flatnonzero(np.diff(flags.astype(np.int8))) + 1
    lengths = np.diff([0, *ends, len(flags)]).tolist()
    return [0, *lengths] if flags[0] else lengths

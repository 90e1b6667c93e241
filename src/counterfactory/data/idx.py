"""Reads and writes arrays in the idx format, in which MNIST and Morpho-MNIST are published.

An idx file consists of two zero bytes, one byte for the type, one byte for the number of dimensions, the size of each
dimension as a big-endian 32-bit integer, and the elements in C order, big-endian [LeCun, Cortes & Burges, "The MNIST
database of handwritten digits"]. It may be compressed with gzip.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from ..core.errors import BadFile, UserError
from ..core.files import writing

__all__ = ["encode_idx", "read_idx", "write_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(name).newbyteorder("="): code for code, name in _TYPES.items()}
LARGEST = 2**26
"""The largest size of an array in bytes; the training images of MNIST have 47 million."""

_DIMENSIONS = 64  # the maximum of numpy
_DEFLATED = 1032  # the maximum number of bytes to which one compressed byte expands
_GZIP_MAGIC = b"\x1f\x8b"


def encode_idx(array: np.ndarray) -> bytes:
    """Encodes an array as the bytes of an uncompressed idx file.

    Arguments:
        array: 1 to 255 dimensions of uint8, int8, int16, int32, float32 or float64.

    Raises:
        ValueError: If the format cannot hold this type or shape.
    """
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None or not 1 <= array.ndim <= 255 or max(array.shape) >= 2**32:
        raise ValueError(f"an idx file cannot hold {array.dtype} of shape {array.shape}")
    header = struct.pack(f">2xBB{array.ndim}I", code, array.ndim, *array.shape)
    return header + array.astype(_TYPES[code], copy=False).tobytes()


def write_idx(path: Path | str, array: np.ndarray) -> None:
    """Writes an idx file atomically; the bytes are a function of the array alone.

    Arguments:
        path: The file. It is compressed (level 9, no name or time in the header) if it ends in `.gz`.
        array: See :func:`encode_idx`.

    Raises:
        ValueError: If the format cannot hold this type or shape.
    """
    data = encode_idx(array)
    with writing(path) as temporary, open(temporary, "wb") as file:
        if temporary.suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as packed:
                packed.write(data)
        else:
            file.write(data)


def read_idx(path: Path | str, limit: int = LARGEST) -> np.ndarray:
    """Reads an idx file; whether it is compressed is detected from its first bytes, not from its name.

    No more bytes are read or decompressed than the header declares.

    Arguments:
        path: The file.
        limit: The largest size of the array in bytes.

    Returns:
        The array, in the native byte order.

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it is cut short, too long, larger than `limit`, damaged or not an idx file.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            packed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not packed:
                return _read(file, path, size, limit)
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                return _read(unpacked, path, size * _DEFLATED, limit)  # type: ignore[arg-type]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; fetch it, or name another folder") from None
    except EOFError:
        raise BadFile(f"{path}: its compressed data is cut short; fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadFile(f"{path}: its compressed data is damaged ({error}); fetch it again") from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check its permissions, or name another file"
        ) from None


def _read(file: IO[bytes], path: Path | str, most: int, limit: int) -> np.ndarray:
    """Reads an array of at most `limit` bytes from a stream of at most `most` bytes.

    Raises:
        BadFile: As described in :func:`read_idx`.
    """
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or start[3] == 0:
        raise BadFile(
            f"{path}: not an idx file (it begins with bytes {start.hex(' ') or 'none'}); fetch it again"
        )
    dtype, count = np.dtype(_TYPES[start[2]]), start[3]
    if count > _DIMENSIONS:
        raise BadFile(f"{path}: has {count} dimensions, more than {_DIMENSIONS}; fetch it again")
    sizes = file.read(4 * count)
    if len(sizes) < 4 * count:
        raise BadFile(f"{path}: cut short within its header; fetch it again")
    shape = struct.unpack(f">{count}I", sizes)
    expected = math.prod(shape) * dtype.itemsize
    if expected + 4 + 4 * count > most:
        raise BadFile(f"{path}: cut short (its header says {expected} bytes of data); fetch it again")
    if expected > limit or math.prod(max(one, 1) for one in shape) > 2**62:
        raise BadFile(f"{path}: its header says {expected} bytes, more than {limit}; fetch it again")
    data = file.read(expected)
    if len(data) < expected:
        raise BadFile(f"{path}: cut short ({len(data)} bytes of data, not {expected}); fetch it again")
    if file.read(1):
        raise BadFile(f"{path}: too long (more than {expected} bytes of data); fetch it again")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))

"""Reads and writes arrays in the idx format, in which MNIST and Morpho-MNIST are published.

An idx file consists of two zero bytes, one byte for the type, one byte for the number of dimensions, the size of each
dimension as a big-endian 32-bit integer, and the elements in C order, big-endian [LeCun, Cortes & Burges, "The MNIST
database of handwritten digits"]. It may be compressed with gzip.
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..core.files import writing

__all__ = ["encode_idx", "read_bytes", "read_idx", "write_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(name).newbyteorder("="): code for code, name in _TYPES.items()}
_GZIP_MAGIC = b"\x1f\x8b"
# MNIST takes 47 MB and EMNIST 547 MB; a small compressed file may expand to many gigabytes.
_LIMIT, _CHUNK = 2**30, 2**20
# numpy has no arrays of more dimensions.
_DIMENSIONS = 32


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


def read_idx(path: Path | str) -> np.ndarray:
    """Reads an idx file; whether it is compressed is detected from its first bytes, not from its name.

    Returns:
        The array, in the native byte order.

    Raises:
        UserError: If the file is missing, cannot be read, is cut short, too long, damaged or not an idx file.
    """
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or data[3] == 0:
        raise UserError(
            f"{path}: not an idx file (it begins with bytes {data[:4].hex(' ') or 'none'}); fetch it again"
        )
    start = 4 + 4 * data[3]
    if data[3] > _DIMENSIONS:
        raise UserError(f"{path}: not an idx file of images ({data[3]} dimensions); fetch it again")
    if len(data) < start:
        raise UserError(f"{path}: cut short within its header; fetch it again")
    dtype = np.dtype(_TYPES[data[2]])
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        fault = "cut short" if len(data) < expected else "too long"
        raise UserError(
            f"{path}: {fault} ({len(data)} bytes where its header says {expected}); fetch it again"
        )
    try:
        return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # an empty array whose other dimensions are too large for numpy
        raise UserError(f"{path}: not an idx file of images ({error}); fetch it again") from None


def read_bytes(path: Path | str) -> bytes:
    """Returns the content of a file, decompressed if its first bytes are those of gzip.

    Raises:
        UserError: If the file is missing, cannot be read, is damaged, or expands to more than 1 GiB.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; fetch it, or name another folder") from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check its permissions, or name another file"
        ) from None
    return _decompress(data, path) if data[:2] == _GZIP_MAGIC else data


def _decompress(data: bytes, path: Path | str) -> bytes:
    """Returns the decompressed bytes of gzip data, at most :data:`_LIMIT`."""
    parts, size = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while part := file.read(_CHUNK):
                parts.append(part)
                size += len(part)
                if size > _LIMIT:
                    raise UserError(f"{path}: its compressed data expands to more than 1 GiB; fetch it again")
    except EOFError:
        raise UserError(f"{path}: its compressed data is cut short; fetch it again") from None
    except (OSError, zlib.error) as error:
        raise UserError(f"{path}: its compressed data is damaged ({error}); fetch it again") from None
    return b"".join(parts)

"""Arrays in the idx format, in which MNIST and Morpho-MNIST are published.

An idx file is two zero bytes, a byte for the type, a byte for the number of dimensions, each dimension as a
big-endian 32-bit count, and then the elements in C order, big-endian [LeCun, Cortes & Burges, "The MNIST
database of handwritten digits"]. It may be compressed with gzip.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..core.files import writing

__all__ = ["encode_idx", "read_idx", "write_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(name).newbyteorder("="): code for code, name in _TYPES.items()}
_GZIP_MAGIC = b"\x1f\x8b"


def encode_idx(array: np.ndarray) -> bytes:
    """Encodes an array as the bytes of an uncompressed idx file.

    Arguments:
        array: 1 to 255 dimensions of uint8, int8, int16, int32, float32 or float64.

    Raises:
        ValueError: If the format has no such type or shape.
    """
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None or not 1 <= array.ndim <= 255 or max(array.shape) >= 2**32:
        raise ValueError(f"an idx file cannot hold {array.dtype} of shape {array.shape}")
    header = struct.pack(f">2xBB{array.ndim}I", code, array.ndim, *array.shape)
    return header + array.astype(_TYPES[code], copy=False).tobytes()


def write_idx(path: Path | str, array: np.ndarray) -> None:
    """Writes an idx file, atomically; the same array always gives the same bytes.

    Arguments:
        path: Where to write; compressed (level 9, no name or time in the header) if it ends in `.gz`.
        array: See :func:`encode_idx`.

    Raises:
        ValueError: If the format has no such type or shape.
    """
    data = encode_idx(array)
    with writing(path) as temporary, open(temporary, "wb") as file:
        if temporary.suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as packed:
                packed.write(data)
        else:
            file.write(data)


def read_idx(path: Path | str) -> np.ndarray:
    """Reads an idx file; whether it is compressed is seen from its first bytes, not from its name.

    Returns:
        The array, in this machine's byte order.

    Raises:
        UserError: If the file is missing, cut short, too long, damaged or not an idx file.
    """
    data = _read(Path(path))
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or data[3] == 0:
        raise UserError(
            f"{path}: not an idx file (it begins with bytes {data[:4].hex(' ') or 'none'}); fetch it again"
        )
    start = 4 + 4 * data[3]
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
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def _read(path: Path) -> bytes:
    """Returns a file's bytes, decompressed where need be."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; fetch it, or name another folder") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend it, or name another file") from None
    if data[:2] != _GZIP_MAGIC:
        return data
    try:
        return gzip.decompress(data)
    except EOFError:
        raise UserError(f"{path}: its compressed data is cut short; fetch it again") from None
    except (OSError, zlib.error) as error:
        raise UserError(f"{path}: its compressed data is damaged ({error}); fetch it again") from None

"""Reads numeric numpy arrays from a foreign pickle without executing anything in it.

The pickle is interpreted by :mod:`counterfactory.core.foreign.pickle_values`, with constructors for the few names that
rebuild arrays. They accept only numeric types and exact lengths; all other names are refused.
"""

import math
import re
from pickle import UnpicklingError
from typing import IO, Any

import numpy as np

from ..core.errors import BadFile
from ..core.foreign.archives import BoundedReader, reason
from ..core.foreign.pickle_values import Name, Shell, interpret, ordered, replace_shells

__all__ = ["read_array_pickle"]

LARGEST = 2**29
"""The largest pickle in bytes; the largest published one, the ResNet-50 of VGGFace2, has less than half of it."""

_DTYPE = re.compile(r"b1|[iu][1248]|f[248]")


def read_array_pickle(file: IO[bytes], name: str) -> Any:
    """Reads arrays, and plain containers, numbers and strings around them, from a pickle.

    Arguments:
        file: The open pickle, written by Python 2 or 3.
        name: Its name in error messages.

    Returns:
        The pickled value; arrays are read-only, and ordered dictionaries become plain ones.

    Raises:
        BadFile: If the pickle is damaged or contains anything else.
    """
    stream = BoundedReader(file, LARGEST)
    try:
        arrays = _Constructors()
        value = replace_shells(interpret(stream, arrays.find))
        # Arrays may share their bytes, of which copies must not fill the memory.
        if arrays.bytes > 2 * (LARGEST - stream.left) + 2**20:
            raise UnpicklingError("its arrays have more bytes than the file")
        return value
    except Exception as error:  # a damaged pickle may raise anything
        raise BadFile(f"{name}: not a pickle of arrays ({reason(error)}); fetch it again") from None


class _Dtype(Shell):
    """The type of an array, which is checked when the array is constructed."""

    def __init__(self, text: Any, align: Any = False, copy: Any = True) -> None:
        self.text, self.order = text, "="

    def set_state(self, state: Any) -> None:
        if type(state) is not tuple or len(state) not in (8, 9) or state[1] not in ("<", ">", "|", "="):
            raise UnpicklingError("the type of an array has an unknown state")
        if any(part is not None for part in state[2:5]):
            raise UnpicklingError("an array is of a structured type")
        self.order = state[1]

    def final(self) -> np.dtype:
        text = self.text.removeprefix("=").removeprefix("|") if type(self.text) is str else ""
        order, text = (text[:1], text[1:]) if text[:1] in ("<", ">") else (self.order, text)
        if not _DTYPE.fullmatch(text):
            raise UnpicklingError(f"an array is of type {str(self.text)[:20]!r}, not of numbers")
        return np.dtype(order.replace("|", "=") + text)


class _Array(Shell):
    """An array, complete after its state is set."""

    def __init__(self, owner: "_Constructors") -> None:
        self.owner = owner
        self.array: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        if type(state) is not tuple or len(state) != 5 or self.array is not None:
            raise UnpicklingError("an array has an unknown state")
        _, shape, dtype, by_columns, data = state
        self.array = self.owner.array(data, dtype, shape, "F" if by_columns else "C")

    def final(self) -> np.ndarray:
        if self.array is None:
            raise UnpicklingError("an array has no state")
        return self.array


class _Ready(Shell):
    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def final(self) -> np.ndarray:
        return self.array


class _Constructors:
    """The constructors of one pickle.

    Attributes:
        bytes: The number of bytes that they have constructed.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._of = {
            ("_codecs", "encode"): self._encode,
            ("collections", "OrderedDict"): ordered,
            ("numpy", "dtype"): _Dtype,
            ("numpy", "ndarray"): _refuse,  # allowed as an argument only
            ("numpy.core.multiarray", "_reconstruct"): self._reconstruct,  # numpy 1
            ("numpy._core.multiarray", "_reconstruct"): self._reconstruct,  # numpy 2
            ("numpy.core.numeric", "_frombuffer"): self._frombuffer,  # pickles of protocol 5
            ("numpy._core.numeric", "_frombuffer"): self._frombuffer,
        }

    def find(self, module: str, name: str) -> Any:
        try:
            return self._of[module, name]
        except KeyError:
            raise UnpicklingError(f"it refers to {module}.{name}, which is not an array") from None

    def array(self, data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
        if not isinstance(dtype, _Dtype):
            raise UnpicklingError("an array has no type")
        kind = dtype.final()
        if type(shape) is not tuple or len(shape) > 32:
            raise UnpicklingError("the shape of an array is not a tuple of numbers")
        if any(type(size) is not int or not 0 <= size <= LARGEST for size in shape):
            raise UnpicklingError("the shape of an array is not a tuple of numbers")
        if type(data) is str:  # a byte string of Python 2; Latin-1 restores each byte
            data = data.encode("latin1")
        if not isinstance(data, bytes | bytearray) or len(data) != math.prod(shape) * kind.itemsize:
            raise UnpicklingError(f"an array of shape {shape} and type {kind} has bytes of another length")
        self._spend(len(data))
        return np.frombuffer(bytes(data), kind).reshape(shape, order=order)  # type: ignore[call-overload]

    def _reconstruct(self, kind: Any, shape: Any, code: Any) -> _Array:
        if not isinstance(kind, Name) or kind.text != "numpy.ndarray":
            raise UnpicklingError("it refers to another kind of array")
        return _Array(self)

    def _frombuffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> _Ready:
        if order not in ("C", "F"):
            raise UnpicklingError("an array has an unknown order")
        return _Ready(self.array(data, dtype, shape, order))

    def _encode(self, text: Any, encoding: Any = "utf-8") -> bytes:
        """Returns the bytes that a pickle of protocol 2, which has no type for bytes, contains as a string."""
        if encoding != "latin1":
            raise UnpicklingError(f"it contains bytes in {str(encoding)[:20]}")
        if type(text) is not str:
            raise UnpicklingError("it encodes a value that is not a string")
        self._spend(len(text))
        return text.encode("latin1")

    def _spend(self, count: int) -> None:
        self.bytes += count
        if self.bytes > 2 * LARGEST:
            raise UnpicklingError("its arrays are too large")


def _refuse(*arguments: Any) -> Any:
    raise UnpicklingError("it constructs an array without a state")

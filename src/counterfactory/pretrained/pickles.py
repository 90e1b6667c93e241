"""Numpy arrays out of a foreign pickle, without running what else it may hold.

A pickle is a program: it may call any function that can be imported. This reader lets it name only what
arrays are rebuilt with, and ordered dictionaries of them, and refuses everything else before anything is called.
"""

import pickle
from collections import OrderedDict
from typing import IO, Any

import numpy as np
from numpy._core.multiarray import _reconstruct

from ..core.errors import UserError

__all__ = ["read_array_pickle"]


def _bytes_of(text: str, encoding: str) -> bytes:
    """Returns the bytes that a pickle of protocol 2 writes as a string, since it has no bytes of its own."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for bytes in {encoding}")
    return text.encode("latin1")


_ALLOWED = {
    ("_codecs", "encode"): _bytes_of,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # as numpy 1 wrote it
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # as numpy 2 writes it
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not an array") from None


def read_array_pickle(file: IO[bytes], name: str) -> Any:
    """Reads arrays, and plain containers, numbers and strings around them, from a pickle.

    Arguments:
        file: The open pickle, written by Python 2 or 3.
        name: What it is called in an error message.

    Returns:
        What was pickled.

    Raises:
        UserError: If the pickle is damaged or holds anything else.
    """
    try:
        # Python 2 wrote an array's bytes as a string; Latin-1 gives each byte back as it was.
        return _ArrayUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise anything
        reason = str(error) or type(error).__name__
        raise UserError(f"{name}: not a pickle of arrays ({reason}); fetch it again") from None

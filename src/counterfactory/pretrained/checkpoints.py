"""Reads published checkpoints.

A checkpoint is a file of `torch.save` (:mod:`counterfactory.core.foreign.torch_files`) or a safetensors file. Nothing
in it is executed. It holds a state dictionary, or a dictionary that contains one beside settings, counters and the
state of the optimizer. :mod:`counterfactory.pretrained.import_options` reads what the file does not determine.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..core.errors import BadFile, UserError, reading
from ..core.foreign.archives import reason
from ..core.foreign.torch_files import read_checkpoint
from ..core.names import shortened

__all__ = ["Published", "open_checkpoint", "take", "without_prefix"]

State = dict[str, Tensor]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NUMBERS = (*_FLOATS, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
"""The types of the numbers of weights; safetensors files may have others."""


@dataclass(frozen=True)
class Published:
    """A published checkpoint.

    Arguments:
        path: Its file.
        sha256: The SHA-256 of the file.
        value: Its dictionary.
    """

    path: Path
    sha256: str
    value: Mapping[str, Any]

    @classmethod
    def of_onnx(cls, path: Path) -> "Published":
        """Returns an ONNX file, whose content :mod:`counterfactory.pretrained.onnx_graph` reads.

        Raises:
            UserError: If there is no such file.
        """
        return cls(path, _sha256(path), {})

    @property
    def origin(self) -> dict[str, str]:
        """The name of the file and its SHA-256, for the description of the model."""
        return {"file": self.path.name, "sha256": self.sha256}

    def state(self, *entries: str) -> State:
        """Returns the state dictionary.

        Arguments:
            entries: The entries that may hold it, the preferred one first. If the file has none of them, its whole
                content must be a state dictionary.

        Raises:
            BadFile: If there is no state dictionary, or one of its tensors is empty, or has numbers of an unknown type
                or that are not finite.
        """
        found: Any = next((self.value[entry] for entry in entries if entry in self.value), self.value)
        if not isinstance(found, Mapping) or not all(
            isinstance(key, str) and isinstance(one, Tensor) for key, one in found.items()
        ):
            known = ", ".join(shortened(entry) for entry in list(self.value)[:6])
            raise BadFile(
                f"{self.path}: holds no state dictionary (its entries: {known}); name a file of weights"
            )
        for key, one in found.items():
            if one.dtype not in _NUMBERS or not one.numel():
                kind = (
                    "is empty"
                    if not one.numel()
                    else f"holds {str(one.dtype).removeprefix('torch.')} numbers"
                )
                raise BadFile(f"{self.path}: {shortened(key)} {kind}; name a file of weights")
            if one.is_floating_point() and not bool(torch.isfinite(one.float()).all()):
                raise BadFile(
                    f"{self.path}: {shortened(key)} holds a number that is not finite; fetch it again"
                )
        return {key: one.float() if one.is_floating_point() else one for key, one in found.items()}


def open_checkpoint(path: Path | str) -> Published:
    """Opens a checkpoint.

    Raises:
        UserError: If there is no such file.
        BadFile: If it is damaged or contains anything but plain values and tensors.
    """
    path = Path(os.path.expanduser(path))  # unchanged if there is no such user
    digest = _sha256(path)
    if path.suffix == ".safetensors":
        try:
            return Published(path, digest, load_file(path))
        except (SafetensorError, ValueError, LookupError, RuntimeError) as error:
            raise BadFile(
                f"{path}: not a complete safetensors file ({reason(error)}); fetch it again"
            ) from None
    return Published(path, digest, read_checkpoint(path))


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of weights; put it there, or name another")
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def take(state: State, key: str, path: Path | str) -> Tensor:
    """Removes one tensor from a state dictionary and returns it.

    Raises:
        BadFile: If it is missing: the file is of another network.
    """
    try:
        return state.pop(key)
    except KeyError:
        raise BadFile(f"{path}: has no weights {key}; these are of another network") from None


def without_prefix(state: State, prefix: str) -> State:
    """Returns the tensors whose names start with `prefix`, without it."""
    return {key.removeprefix(prefix): one for key, one in state.items() if key.startswith(prefix)}

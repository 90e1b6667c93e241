"""Reads published checkpoints and the options of their import.

A checkpoint is a file of `torch.save` (:mod:`counterfactory.core.foreign.torch_files`) or a safetensors file. Nothing
in it is executed. It holds a state dictionary, or a dictionary that contains one beside settings, counters and the
state of the optimizer. What the file does not determine, such as the number of attention heads, is an option of the
import; it is never guessed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..core.errors import BadFile, UserError
from ..core.foreign.torch_files import read_checkpoint

__all__ = ["Options", "Published", "open_checkpoint", "take", "without_prefix"]

State = dict[str, Tensor]


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
            BadFile: If there is no state dictionary, or one of its numbers is not finite.
        """
        found: Any = next((self.value[entry] for entry in entries if entry in self.value), self.value)
        if not isinstance(found, Mapping) or not all(isinstance(one, Tensor) for one in found.values()):
            known = ", ".join(map(str, list(self.value)[:6]))
            raise BadFile(
                f"{self.path}: holds no state dictionary (its entries: {known}); name a file of weights"
            )
        for key, one in found.items():
            if one.is_floating_point() and not bool(torch.isfinite(one).all()):
                raise BadFile(f"{self.path}: {key} holds a number that is not finite; fetch it again")
        return {str(key): one.float() if one.is_floating_point() else one for key, one in found.items()}


def open_checkpoint(path: Path | str) -> Published:
    """Opens a checkpoint.

    Raises:
        UserError: If there is no such file.
        BadFile: If it is damaged or contains anything but plain values and tensors.
    """
    path = Path(path).expanduser()
    digest = _sha256(path)
    if path.suffix == ".safetensors":
        try:
            return Published(path, digest, load_file(path))
        except (SafetensorError, ValueError) as error:
            raise BadFile(f"{path}: not a complete safetensors file ({error}); fetch it again") from None
    return Published(path, digest, read_checkpoint(path))


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of weights; put it there, or name another")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Options:
    """The options of an import, by name. Each one that is read is marked as used.

    Arguments:
        values: The options of the user.
        known: Options that the file itself contains, such as the settings that causal-gen stores; used where `values`
            has none.
        kind: What is imported, for error messages.
    """

    values: Mapping[str, Any]
    known: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "these weights"
    used: dict[str, Any] = field(default_factory=dict)

    def need(self, name: str, why: str, choices: Sequence[Any] = ()) -> Any:
        """Returns an option that the user must give unless the file says it.

        Arguments:
            name: Its name.
            why: What it is and why the weights do not determine it, one phrase.
            choices: The possible values; empty: any.

        Raises:
            UserError: If it is missing, contradicts the file, or is none of the choices.
        """
        if name in self.values:
            value = self.values[name]
            if name in self.known and self.known[name] != value:
                raise UserError(
                    f"option {name}: is {value}, but the file says {self.known[name]}; leave the option out"
                )
        elif name in self.known:
            value = self.known[name]
        else:
            shown = f" ({', '.join(map(str, choices))})" if choices else ""
            raise UserError(f"option {name}: {self.kind} need it{shown}: {why}; add --option {name}=VALUE")
        if choices and value not in choices:
            raise UserError(f"option {name}: is {value}; choose from {', '.join(map(str, choices))}")
        self.used[name] = value
        return value

    def whole(self, name: str, why: str, least: int = 1) -> int:
        """Returns an option that is a whole number of at least `least`. See :meth:`need`."""
        value = self.need(name, why)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"option {name}: is {value}; give a whole number from {least}")
        return value

    def has(self, name: str) -> bool:
        """Returns whether the user or the file gives the option."""
        return name in self.values or name in self.known

    def finish(self) -> dict[str, Any]:
        """Returns the options that were used.

        Raises:
            UserError: If the user gave an option that was not used.
        """
        for name in self.values:
            if name not in self.used:
                known = ", ".join(self.used) or "none"
                raise UserError(
                    f"option {name}: {self.kind} have no such option; leave it out (used: {known})"
                )
        return dict(self.used)


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

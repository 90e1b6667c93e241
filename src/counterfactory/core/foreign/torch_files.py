"""Reads tensors from files of `torch.save` and from TorchScript archives, without the loaders of PyTorch.

Three formats are supported: the zip format (`<root>/data.pkl` and one record `<root>/data/<key>` per storage),
TorchScript archives, which have the same members (their code is ignored), and the legacy format (pickles of a magic
number, a version, the system, the value and the keys of the storages, then the storages). Pickles are interpreted by
:mod:`counterfactory.core.foreign.pickle_values`. Offset, size and strides of a tensor must lie within its storage, and
a storage must have exactly the number of bytes that the pickle declares.
"""

import io
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import torch
from torch import Tensor

from ..errors import BadFile
from .archives import LARGEST, BoundedReader, open_zip, read_zip_member, reason
from .pickle_values import Name, Shell, interpret, ordered, replace_shells

__all__ = ["read_checkpoint", "read_tensors"]

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_PICKLE = 2**26  # the largest pickle in bytes, without its storages
_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")


def read_tensors(
    file: Path | str | IO[bytes], name: str | None = None, kind: str = "tensors"
) -> dict[str, Tensor]:
    """Reads the named tensors of a state dictionary, or of a TorchScript module.

    Arguments:
        file: A path, or an open file.
        name: Its name in error messages; by default the path.
        kind: The kind of the tensors in error messages.

    Returns:
        The tensors on the CPU, in the order of the file; those of a module have the names in its `state_dict()`.

    Raises:
        BadFile: If it is damaged, or contains anything else or a number that is not finite.
    """
    if isinstance(file, Path | str):
        try:
            with open(file, "rb") as opened:
                return read_tensors(opened, str(file), kind)
        except OSError as error:
            raise BadFile(f"{file}: cannot be read ({error.strerror}); name another file") from None
    name = name or "file"
    try:
        value, size = _read_value(file, name)
        found = value.tensors() if isinstance(value, _Module) else value
        if not isinstance(found, dict) or not all(
            isinstance(key, str) and isinstance(one, Tensor) for key, one in found.items()
        ):
            raise UnpicklingError("it is not a dictionary of named tensors")
        if sum(one.numel() * one.element_size() for one in found.values()) > 2 * size:
            raise UnpicklingError("its tensors have more bytes than the file")
    except BadFile:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise BadFile(f"{name}: not a checkpoint of {kind} ({reason(error)}); fetch it again") from None
    for key, one in found.items():
        if one.is_floating_point() and not bool(torch.isfinite(one).all()):
            raise BadFile(f"{name}: {key} holds a number that is not finite; fetch it again")
    return found


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Reads the dictionary that a training saved: state dictionaries, settings, counters.

    Arguments:
        path: The file.

    Returns:
        Its value: nested dictionaries, lists and tuples of tensors on the CPU, numbers and strings.

    Raises:
        BadFile: If it is damaged, is no dictionary, or contains anything else.
    """
    try:
        with open(path, "rb") as file:
            value, size = _read_value(file, str(path))
        if not isinstance(value, dict):
            raise UnpicklingError("it is not a dictionary")
        if sum(one.numel() * one.element_size() for one in _tensors(value, set())) > 2 * size:
            raise UnpicklingError("its tensors have more bytes than the file")
    except BadFile:
        raise
    except OSError as error:
        raise BadFile(f"{path}: cannot be read ({error.strerror}); name another file") from None
    except Exception as error:  # a damaged file may raise anything
        raise BadFile(f"{path}: not a checkpoint ({reason(error)}); fetch it again") from None
    return value


def _tensors(value: Any, visited: set[int]) -> Iterator[Tensor]:
    """Yields the tensors in nested containers. A container that occurs several times is visited once."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple) and id(value) not in visited:
        visited.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item, visited)


def _read_value(file: IO[bytes], name: str) -> tuple[Any, int]:
    """Returns the value of a file of either format, and the size of the file in bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > LARGEST:
        raise ValueError(f"it has more than {LARGEST} bytes")
    start = file.read(2)
    file.seek(0)
    return (_read_zip(file, name) if start == b"PK" else _read_legacy(file, size)), size


def _read_zip(file: IO[bytes], name: str) -> Any:
    with open_zip(file, name) as archive:
        roots = [
            member.removesuffix("/data.pkl")
            for member in archive.NameToInfo
            if member.endswith("/data.pkl") and member.count("/") == 1
        ]
        if len(roots) != 1:
            raise UnpicklingError("it has no data.pkl")
        (root,) = roots
        if f"{root}/byteorder" in archive.NameToInfo:
            order = read_zip_member(archive, f"{root}/byteorder", name, 16)
            if order != b"little":
                raise UnpicklingError(f"its numbers are {order.decode('ascii', 'replace')} endian")
        data = read_zip_member(archive, f"{root}/data.pkl", name, _PICKLE)
        builder = _Builder()
        value = interpret(BoundedReader(io.BytesIO(data), len(data)), builder.find, builder.persistent)
        for storage in builder.storages.values():
            storage.fill(read_zip_member(archive, f"{root}/data/{storage.key}", name))
        return replace_shells(value)


def _read_legacy(file: IO[bytes], size: int) -> Any:
    builder = _Builder()

    def load() -> Any:
        return interpret(BoundedReader(file, min(size, _PICKLE)), builder.find, builder.persistent)

    if load() != _MAGIC or load() != _VERSION:
        raise UnpicklingError("it lacks the magic number of PyTorch")
    system = load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UnpicklingError("its numbers are not little endian")
    value = load()
    keys = load()
    if not isinstance(keys, list) or set(keys) != set(builder.storages) or len(keys) != len(set(keys)):
        raise UnpicklingError("its storages are not those of its tensors")
    for key in keys:
        storage = builder.storages[key]
        if int.from_bytes(file.read(8), "little", signed=True) != storage.count:
            raise UnpicklingError("a storage has another length than its tensors declare")
        storage.fill(BoundedReader(file, size).read(storage.bytes))
    return replace_shells(value)


class _Storage:
    """The numbers of one or several tensors."""

    def __init__(self, key: str, dtype: torch.dtype, count: int) -> None:
        self.key, self.dtype, self.count = key, dtype, count
        self.bytes = count * dtype.itemsize
        self.numbers = torch.empty(0, dtype=dtype)

    def fill(self, data: bytes) -> None:
        if len(data) != self.bytes:
            raise UnpicklingError(f"storage {self.key} has {len(data)} bytes and not {self.bytes}")
        if data:
            raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            self.numbers = raw.ne(0) if self.dtype is torch.bool else raw.view(self.dtype)


class _Tensor(Shell):
    """A tensor whose storage may not have been read yet."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any) -> None:
        if (
            not isinstance(storage, _View)
            or not _counts(size)
            or not _counts(stride)
            or not _counts((offset,))
        ):
            raise UnpicklingError("a tensor is not made of a storage and numbers")
        if len(size) != len(stride) or len(size) > 16:
            raise UnpicklingError("a tensor has an unknown shape")
        count = math.prod(size)
        last = offset + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
        if count and (last >= storage.count or count > storage.count - offset):
            raise UnpicklingError("a tensor reaches beyond its storage")
        self.storage, self.offset = storage.storage, storage.start + offset if count else 0
        self.size, self.stride = size, stride

    def final(self) -> Tensor:
        if not math.prod(self.size):
            return torch.empty(self.size, dtype=self.storage.dtype)
        return self.storage.numbers.as_strided(self.size, self.stride, self.offset)


class _View:
    """A part of a storage."""

    def __init__(self, storage: _Storage, start: int, count: int) -> None:
        self.storage, self.start, self.count = storage, start, count


class _Module(Shell):
    """A module of a TorchScript archive: its attributes without its code."""

    def __init__(self) -> None:
        self.attributes: dict[Any, Any] = {}
        self.replaced = self.listed = False

    def set_state(self, state: Any) -> None:
        if type(state) is not dict:
            raise UnpicklingError("a module has no attributes")
        self.attributes = state

    def final(self) -> "_Module":
        if not self.replaced:  # a module may be part of several
            self.replaced = True
            replace_shells(self.attributes)
        return self

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Returns its tensors and then those of its submodules, each module once."""
        if self.listed:
            raise UnpicklingError("a module is part of two others")
        self.listed = True
        found = {f"{prefix}{key}": one for key, one in self.attributes.items() if isinstance(one, Tensor)}
        for key, one in self.attributes.items():
            if isinstance(one, _Module):
                found |= one.tensors(f"{prefix}{key}.")
        return found


class _Builder:
    """The constructors for one file, and its storages."""

    def __init__(self) -> None:
        self.storages: dict[str, _Storage] = {}

    def find(self, module: str, name: str) -> Callable[..., Any]:
        if module == "torch" and name in _STORAGES:
            return _refuse  # allowed in persistent identifiers only
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if module == "torch.jit._pickle" and name in _LISTS:
            return list
        known = {
            ("collections", "OrderedDict"): ordered,
            ("torch._utils", "_rebuild_tensor"): _Tensor,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        try:
            return known[module, name]  # type: ignore[return-value]
        except KeyError:
            raise UnpicklingError(f"it refers to {module}.{name}, which is not a tensor") from None

    def persistent(self, identifier: Any) -> _View:
        if type(identifier) is not tuple or len(identifier) not in (5, 6) or identifier[0] != "storage":
            raise UnpicklingError("it refers to something other than a storage")
        _, kind, key, _, count = identifier[:5]
        kind = kind.text.removeprefix("torch.") if isinstance(kind, Name) else None
        if kind not in _STORAGES or type(key) is not str or not _counts((count,)):
            raise UnpicklingError("it refers to a storage of an unknown type")
        new = _Storage(key, _STORAGES[kind], count)
        storage = self.storages.setdefault(key, new)
        if (storage.dtype, storage.count) != (new.dtype, new.count):
            raise UnpicklingError(f"storage {key} has two types or lengths")
        part = identifier[5] if len(identifier) == 6 else None
        if part is None:
            return _View(storage, 0, count)
        if type(part) is not tuple or len(part) != 3 or not _counts(part[1:]) or part[1] + part[2] > count:
            raise UnpicklingError("a part reaches beyond its storage")
        return _View(storage, part[1], part[2])


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> _Tensor:
    """Returns a tensor; its gradient flag and hooks are ignored."""
    return _Tensor(storage, offset, size, stride)


def _parameter(data: Any, *rest: Any) -> _Tensor:
    if not isinstance(data, _Tensor):
        raise UnpicklingError("a parameter is not a tensor")
    return data


def _counts(values: Any) -> bool:
    """Returns whether all values are integers from 0 to :data:`counterfactory.core.foreign.archives.LARGEST`."""
    return type(values) in (tuple, list) and all(type(one) is int and 0 <= one <= LARGEST for one in values)


def _refuse(*arguments: Any) -> Any:
    raise UnpicklingError("it constructs a storage")

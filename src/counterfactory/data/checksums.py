"""Checksums of the files of each split, which `dataset.json` holds, so that files of two splits cannot be confused.

The CRC-32 is computed over the size and the first and last MiB of a file. It distinguishes the files of a data set from
each other at a cost that does not grow with their size; it does not prove that a file is undamaged.
"""

import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import BadFile, reading
from ..core.files import read_json
from .variable import SPLITS

__all__ = ["FILES", "check_split", "checksums"]

FILES = ("images.npy", "attributes.parquet")
_PART = 2**20


def checksums(folder: Path) -> dict[str, dict[str, int]]:
    """Returns the checksums of the files of each split that are in the folder of a data set."""
    found = {
        split: {name: _crc32(folder / split / name) for name in FILES if (folder / split / name).exists()}
        for split in SPLITS
    }
    return {split: files for split, files in found.items() if files}


def check_split(folder: Path, split: str, names: Iterable[str] = FILES) -> None:
    """Compares the files of one split with the checksums in `dataset.json`, if it exists and has any.

    Arguments:
        folder: The folder of the data set.
        split: The split.
        names: Those of its files that are compared.

    Raises:
        BadFile: If a file is another one than that of this split; the message says which one it is, if it is known.
    """
    description = read_json(folder / "dataset.json") if (folder / "dataset.json").exists() else {}
    known = description.get("crc32") if isinstance(description, Mapping) else None
    splits: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    for name in names:
        found = {one: files.get(name) for one, files in splits.items() if isinstance(files, Mapping)}
        if found.get(split) is None:
            continue
        path = folder / split / name
        with reading(path):
            crc = _crc32(path)
        if crc != found[split]:
            others = [one for one, value in found.items() if value == crc]
            what = f"is that of the split {others[0]}" if others else "is not the file of this data set"
            raise BadFile(f"{path}: {what}; delete {folder / 'dataset.json'} and run again")


def _crc32(path: Path) -> int:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        crc = zlib.crc32(file.read(_PART), zlib.crc32(str(size).encode()))
        if size > _PART:
            file.seek(max(_PART, size - _PART))
            crc = zlib.crc32(file.read(_PART), crc)
    return crc

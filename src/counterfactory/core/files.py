"""Reads and writes files. A written file is complete or absent.

Every file is written under a temporary name in its final folder and moved into place with :func:`os.replace`, which
POSIX makes atomic. A job killed at any moment leaves the old file, the new file or none, and never a part of one.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import UserError, reading, write_error

__all__ = [
    "read_json",
    "read_table",
    "write_array",
    "write_json",
    "write_table",
    "write_text",
    "writing",
]


@contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """Context manager that yields a temporary path and moves it to `path` if the block succeeds.

    Arguments:
        path: The final path. Missing parent folders are created.

    Raises:
        UserError: If the disk is full, or `path` must not or cannot be written.
    """
    path = Path(path)
    # The suffix stays last because numpy and pandas choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _apply_umask(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except UserError:
        raise
    except Exception as error:
        problem = write_error(path, error)
        if problem is None:
            raise
        raise problem from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _apply_umask(path: Path) -> None:
    """Gives a file the mode of the umask: safetensors creates files with mode 0600 regardless of it."""
    if stat.S_IMODE(path.stat().st_mode) != 0o600:
        return
    probe = path.with_name(f"{path.name}.mode")
    # The umask can only be read by setting it, for all threads.
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.chmod(path, stat.S_IMODE(os.fstat(descriptor).st_mode))
    finally:
        os.close(descriptor)
        probe.unlink()


def write_text(path: Path | str, text: str) -> None:
    """Writes `text` as UTF-8, atomically."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Writes `value` as indented JSON, atomically. numpy scalars are written as numbers."""
    write_text(path, json.dumps(value, indent=2, default=lambda x: x.item()) + "\n")


def read_json(path: Path | str) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it is not JSON.
    """
    with reading(path, "not valid JSON"):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Writes a `.npy` file, atomically."""
    with writing(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Writes a table without its index as `.parquet` or `.csv`, by the suffix of `path`, atomically."""
    with writing(path) as temporary:
        if temporary.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)


def read_table(path: Path | str) -> pd.DataFrame:
    """Reads a `.parquet` or `.csv` table.

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it is damaged.
    """
    path = Path(path)
    with reading(path):
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)

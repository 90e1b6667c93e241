"""Outputs appear whole or not at all.

Every file is written under a temporary name in its final folder and moved into place with
:func:`os.replace`, which POSIX makes atomic: a job killed at any moment leaves either the old file,
the new file, or none, and never half of one.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import BadFile, UserError

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
    """Yields a temporary path beside `path`; moves it onto `path` if the block ends well.

    Arguments:
        path: The final path. Missing parent folders are made.

    Raises:
        Whatever the block raises, after removing the temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept last because numpy and pandas choose formats by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        _readable(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _readable(path: Path) -> None:
    """Gives a file the mode of the umask, where a writer (safetensors) made it with 0600 whatever that is."""
    if stat.S_IMODE(path.stat().st_mode) != 0o600:
        return
    probe = path.with_name(f"{path.name}.mode")
    # The umask itself can only be read by setting it, for all threads.
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
    """Writes `value` as indented JSON, atomically; numpy scalars are written as numbers."""
    write_text(path, json.dumps(value, indent=2, default=lambda x: x.item()) + "\n")


def read_json(path: Path | str) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: If the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the step that makes it first") from None
    except (ValueError, RecursionError) as error:  # also of bytes that are not UTF-8
        raise BadFile(f"{path}: not valid JSON ({error}); delete it and run again") from None


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Writes a `.npy` file, atomically."""
    with writing(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Writes a table as `.parquet` or `.csv` (by the suffix of `path`), atomically, without its index."""
    with writing(path) as temporary:
        if temporary.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)


def read_table(path: Path | str) -> pd.DataFrame:
    """Reads a `.parquet` or `.csv` table.

    Raises:
        UserError: If the file is missing or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file; run the step that makes it first")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except Exception as error:
        raise BadFile(f"{path}: cannot be read ({type(error).__name__}); delete it and run again") from error

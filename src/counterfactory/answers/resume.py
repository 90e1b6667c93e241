"""Saves the finished part of a chunk of answers, so that a job that was killed resumes where it stopped.

The state of a chunk `<chunk>` is the folder `.<chunk>.state` beside it, with two files. `images.npy` is the final file
of images; finished batches are appended to it. `answers.npz` has everything else: the number of finished questions, the
columns of their answers and a checksum of their images. It is replaced atomically, at most every :data:`PERIOD` seconds
and when the job stops with an error, so that a job that is killed loses at most that time. A fingerprint of everything
that determines the answers is saved with it. A state of another method, other settings, other weights or other code is
ignored, and so is a damaged one. The folder is removed when the chunk is complete.
"""

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from ..core.files import writing

__all__ = ["PERIOD", "ChunkState", "fingerprint"]

PERIOD = 10.0
"""The minimum time between two saved states, in seconds."""


def fingerprint(*parts: Any, files: tuple[Path, ...] = ()) -> str:
    """Returns the SHA-256 of values and of the contents of files, in hexadecimal.

    Arguments:
        parts: Values that JSON can represent.
        files: Files. A missing file counts as empty.
    """
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for path in files:
        digest.update(f"\n{path.name}\n".encode())
        if path.is_file():
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class ChunkState:
    """The finished questions of one chunk, always the first ones.

    Arguments:
        folder: The folder of the chunk's files.
        chunk: The chunk's name.
        made_of: The :func:`fingerprint` of everything that determines the answers.
        shape: The shape (N, C, H, W) of the chunk's images.

    Attributes:
        done: The number of finished questions.
        made: The number of images computed for them.
        seconds: The time spent on them by earlier jobs.
        columns: The columns of the answers, each with shape (N,); valid up to row `done`.
        checksum: The CRC-32 of the pixels of the finished images.
    """

    def __init__(self, folder: Path | str, chunk: str, made_of: str, shape: tuple[int, ...]) -> None:
        self.folder = Path(folder) / f".{chunk}.state"
        self.made_of, self.shape = made_of, shape
        self.done, self.made, self.seconds = 0, 0, 0.0
        self.columns: dict[str, np.ndarray] = {}
        self._images: Any = None  # the open file of images
        self.checksum = 0
        self._began = self._saved = monotonic()

    def open(self) -> None:
        """Reads the saved state, if there is a valid one, and opens the file of images for the next questions."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._load():
            self.clear()
            self.folder.mkdir(parents=True)
            self._images = open(self.folder / "images.npy", "wb")  # noqa: SIM115
            header = {"descr": "|u1", "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(self._images, header)
        self._began = self._saved = monotonic()

    def add(self, images: np.ndarray, columns: dict[str, np.ndarray], made: int) -> None:
        """Appends the answers to the next questions.

        Arguments:
            images: Their images, uint8 with shape (B, C, H, W).
            columns: The columns of their answers, each with shape (B,).
            made: The number of images computed for them.
        """
        content = np.ascontiguousarray(images).data
        self._images.write(content)
        self.checksum = zlib.crc32(content, self.checksum)
        stop = self.done + len(images)
        for name, values in columns.items():
            if name not in self.columns:
                self.columns[name] = np.zeros(self.shape[0], values.dtype)
            self.columns[name][self.done : stop] = values
        self.done, self.made = stop, self.made + made
        if monotonic() - self._saved >= PERIOD:
            self.save()

    def save(self) -> None:
        """Saves the state; images are on the disk before the file that declares them finished."""
        self._images.flush()
        os.fsync(self._images.fileno())
        finished: dict[str, Any] = {
            f"column {name}": values[: self.done] for name, values in self.columns.items()
        }
        facts = {
            "made_of": self.made_of,
            "done": self.done,
            "made": self.made,
            "seconds": self.seconds + monotonic() - self._began,
            "checksum": self.checksum,
        }
        with writing(self.folder / "answers.npz") as temporary, open(temporary, "wb") as file:
            np.savez(file, facts=np.array(json.dumps(facts)), **finished)
        self._saved = monotonic()

    def stop(self) -> None:
        """Saves the state of a job that stops with an error; a state without finished questions is removed."""
        if self.done:
            self.save()
            self._images.close()
        else:
            self.clear()

    def finish(self, path: Path | str) -> None:
        """Moves the complete file of images to its final path, atomically."""
        self._images.flush()
        os.fsync(self._images.fileno())
        self._images.close()
        os.replace(self.folder / "images.npy", path)

    def clear(self) -> None:
        """Removes the state."""
        if self._images:
            self._images.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self) -> bool:
        """Reads the saved state; returns whether there is a valid one."""
        try:
            with np.load(self.folder / "answers.npz", allow_pickle=False) as arrays:
                saved = dict(arrays)
            facts = json.loads(str(saved.pop("facts")))
            if facts["made_of"] != self.made_of:
                return False
            self._images = open(self.folder / "images.npy", "r+b")  # noqa: SIM115
            if np.lib.format.read_magic(self._images) != (1, 0):
                return False
            if np.lib.format.read_array_header_1_0(self._images) != (self.shape, False, np.dtype(np.uint8)):
                return False
            if self._checksum_of(facts["done"]) != facts["checksum"]:
                return False
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return False
        self.done, self.made, self.seconds = (facts[name] for name in ("done", "made", "seconds"))
        self.checksum = facts["checksum"]
        for name, values in saved.items():
            column = np.zeros(self.shape[0], values.dtype)
            column[: self.done] = values
            self.columns[name.removeprefix("column ")] = column
        # Images that were appended after the last saved state are computed again.
        self._images.truncate()
        return True

    def _checksum_of(self, count: int) -> int:
        """Returns the checksum of the next `count` images of the file, and leaves the file behind them."""
        left, checksum = count * int(np.prod(self.shape[1:])), 0
        while left:
            part = self._images.read(min(left, 1 << 20))
            if not part:
                raise EOFError
            left, checksum = left - len(part), zlib.crc32(part, checksum)
        return checksum

"""What a chunk of answers keeps of itself while it is made, so that a killed job goes on where it stopped.

The finished aligned batches of a chunk `<chunk>` lie in the folder `.<chunk>.state` beside it, a file each that is
there whole or not at all. A fingerprint of all that decides their bytes stands with them: a state of another method,
other settings, other weights or other code is never taken up. The folder is gone when the chunk is whole.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.files import writing

__all__ = ["ChunkState", "fingerprint"]


def fingerprint(*parts: Any, files: tuple[Path, ...] = ()) -> str:
    """Returns the SHA-256 of values and of the contents of files, in hexadecimal.

    Arguments:
        parts: Anything that JSON can say.
        files: Files; one that is missing counts as empty.
    """
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for path in files:
        digest.update(f"\n{path.name}\n".encode())
        if path.is_file():
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class ChunkState:
    """The finished batches of one chunk.

    Arguments:
        folder: Where the chunk is written.
        chunk: Its name.
        made_of: The :func:`fingerprint` of what decides its bytes.

    Attributes:
        seconds: What the batches that were taken up again had cost.
    """

    def __init__(self, folder: Path | str, chunk: str, made_of: str) -> None:
        self.folder = Path(folder) / f".{chunk}.state"
        self.made_of = made_of
        self.seconds = 0.0

    def load(self, batch: int) -> dict[str, np.ndarray] | None:
        """Returns the arrays of a finished batch, or None if it is not there, damaged, or made of something else."""
        try:
            with np.load(self._path(batch), allow_pickle=False) as arrays:
                kept = dict(arrays)
        except Exception:  # a damaged file may raise anything, and is then made again
            return None
        return kept if str(kept.pop("made_of", "")) == self.made_of else None

    def save(self, batch: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps the arrays of a finished batch; they are there whole or not at all."""
        with writing(self._path(batch)) as temporary, open(temporary, "wb") as file:
            np.savez(file, made_of=np.array(self.made_of), **arrays)

    def clear(self) -> None:
        """Removes all that was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, batch: int) -> Path:
        return self.folder / f"{batch:06d}.npz"

"""Hard-linked recovery copies of finished chunks, so that a restarted workflow reuses the outputs of orphaned jobs.

When a workflow is killed, its jobs on a cluster keep running and complete their outputs. The next workflow considers
these outputs incomplete, deletes them and starts the jobs again. Therefore a finished chunk `<chunk>` has hard links in
the folder `.<chunk>.recovery` beside it, which take no disk space, together with a fingerprint of everything that
determines its bytes. A job for the same chunk restores the files from there. A lock in the same folder makes a second
job for the same chunk wait for the first one. The workflow removes all recovery copies when it has finished.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["Recovery", "remove_recovery_copies"]

SUFFIX = ".recovery"


class Recovery:
    """The recovery copy of one chunk.

    Arguments:
        folder: The folder of the chunk's files.
        chunk: The chunk's name.
        made_of: A fingerprint of everything that determines the bytes of the files.
        kinds: The suffixes of the files.
    """

    def __init__(
        self,
        folder: Path | str,
        chunk: str,
        made_of: str,
        kinds: tuple[str, ...] = ("npy", "parquet", "cost.json"),
    ) -> None:
        self.out, self.made_of = Path(folder), made_of
        self.folder = self.out / f".{chunk}{SUFFIX}"
        self.names = [f"{chunk}.{kind}" for kind in kinds]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context manager: holds an exclusive lock on the chunk, after waiting for other processes.

        On a file system without locks there is no exclusion.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def restore(self) -> bool:
        """Restores the chunk's files; returns False if there is no complete copy with the same fingerprint."""
        seal = self.folder / "seal"
        if not seal.exists() or seal.read_text() != self.made_of:
            return False
        if not all((self.folder / name).exists() for name in self.names):
            return False
        for name in self.names:
            _link(self.folder / name, self.out / name)
            # The file must be newer than the files it was made from.
            os.utime(self.out / name)
        return True

    def save(self) -> None:
        """Links the chunk's files, which must be complete, into the recovery folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "seal").unlink(missing_ok=True)
        for name in self.names:
            _link(self.out / name, self.folder / name)
        # Last and atomically: the seal declares the files complete.
        (self.folder / "unsealed").write_text(self.made_of)
        os.replace(self.folder / "unsealed", self.folder / "seal")


def remove_recovery_copies(folder: Path | str) -> None:
    """Removes all recovery copies below a folder."""
    for recovery in Path(folder).glob(f"**/.*{SUFFIX}"):
        shutil.rmtree(recovery, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Creates `target` as a hard link to `source`, atomically; copies where there are no hard links."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copy2(source, temporary)
    os.replace(temporary, target)
    # If both names were links to one file already, rename(2) does nothing and leaves the temporary name.
    temporary.unlink(missing_ok=True)

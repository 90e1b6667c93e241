"""The recovery of a finished chunk: a second name of its files, for a workflow that never heard that they are whole.

A workflow that is killed leaves jobs behind on the cluster. They end, and their outputs are whole, but the next
workflow only knows that they had been begun: it deletes them and begins again. So a finished chunk `<chunk>` also
lies, as hard links that take no room, in the folder `.<chunk>.recovery` beside it, with a fingerprint of all that decides
its bytes, and a job that is asked for the same chunk again gives the files their names back. While one job makes a
chunk, another one that is to make it too waits for it. The workflow removes recovery when it has ended well.
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
    """The recovery of one chunk.

    Arguments:
        folder: Where the chunk is written.
        chunk: Its name.
        made_of: A fingerprint of what decides its bytes.
        kinds: The suffixes of its files.
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
    def alone(self) -> Iterator[None]:
        """Waits until no other process makes this chunk, and keeps others waiting while the block runs.

        Where the file system knows no locks, nobody waits.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def take(self) -> bool:
        """Gives the chunk's files their names back; returns whether there was a whole recovery of the same making."""
        seal = self.folder / "seal"
        if not seal.exists() or seal.read_text() != self.made_of:
            return False
        if not all((self.folder / name).exists() for name in self.names):
            return False
        for name in self.names:
            _link(self.folder / name, self.out / name)
            # As new as a file that was made now, or it would seem older than what it was made from.
            os.utime(self.out / name)
        return True

    def keep(self) -> None:
        """Keeps the chunk's files, which must be whole, under their second names."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "seal").unlink(missing_ok=True)
        for name in self.names:
            _link(self.out / name, self.folder / name)
        # Last, and at once: what it stands beside is whole.
        (self.folder / "unsealed").write_text(self.made_of)
        os.replace(self.folder / "unsealed", self.folder / "seal")


def remove_recovery_copies(folder: Path | str) -> None:
    """Removes all recovery under a folder."""
    for recovery in Path(folder).glob(f"**/.*{SUFFIX}"):
        shutil.rmtree(recovery, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Gives `source` the second name `target`, at once; where the file system has no hard links, copies it."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copy2(source, temporary)
    os.replace(temporary, target)
    # Where both names were of one file already, rename(2) does nothing and leaves the temporary one.
    temporary.unlink(missing_ok=True)

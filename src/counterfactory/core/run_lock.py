"""Removes locks of Snakemake that a killed run has left behind.

Snakemake locks a working folder with files below `.snakemake/locks`. They stay when a run is killed, and Snakemake then
refuses the next run. Here each main process also holds a shared `flock` on `.snakemake/alive`, which the kernel
releases when the process ends in any way. A process that gets the exclusive lock is alone, so all lock files are stale.
"""

import fcntl
from pathlib import Path
from typing import IO

__all__ = ["hold_alive_lock"]

_HELD: list[IO[str]] = []


def hold_alive_lock(folder: Path | str = ".") -> bool:
    """Marks this process as alive, and removes stale locks of Snakemake.

    The lock is held until the process ends. File systems without `flock` are left as they are.

    Arguments:
        folder: The working folder of Snakemake.

    Returns:
        Whether stale locks were removed.
    """
    state = Path(folder) / ".snakemake"
    try:
        state.mkdir(parents=True, exist_ok=True)
        file = open(state / "alive", "a")  # noqa: SIM115  # held for the life of the process
    except OSError:  # a read-only folder: Snakemake itself reports it where it needs to write
        return False
    stale = []
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stale = [path for path in (state / "locks").glob("*") if path.is_file()]
        for path in stale:
            path.unlink(missing_ok=True)
    except BlockingIOError:
        pass  # another run is alive: Snakemake compares the files of both
    except OSError:
        file.close()
        return False
    fcntl.flock(file, fcntl.LOCK_SH)
    _HELD.append(file)
    return bool(stale)

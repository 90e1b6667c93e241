"""Assigns one GPU per job with a file lock, for the jobs of one machine.

A workflow on one machine starts several jobs and does not choose a GPU for each. A job therefore takes a lock (`flock`)
on one of the `share` places of each GPU, the GPU with the fewest jobs first, and sets `CUDA_VISIBLE_DEVICES` before
CUDA is initialised. The operating system releases the lock when the job ends, however it ends.

Nothing is done if `CUDA_VISIBLE_DEVICES` is set already (by Slurm, Kubernetes or the user), or if there is no GPU. Two
environment variables configure it: `COUNTERFACTORY_GPUS` lists the GPUs to use (`0,1`; default: all that `nvidia-smi`
lists), `COUNTERFACTORY_JOBS_PER_GPU` is the number of jobs per GPU (default: 1).
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .cache_folder import private_folder
from .errors import UserError

__all__ = ["GPUS", "JOBS_PER_GPU", "lease", "local_gpus"]

GPUS = "COUNTERFACTORY_GPUS"
JOBS_PER_GPU = "COUNTERFACTORY_JOBS_PER_GPU"
VISIBLE = "CUDA_VISIBLE_DEVICES"
WAIT = 0.5  # seconds between two attempts to find a free place
NOTICE = 30.0  # seconds of waiting before a message


def local_gpus() -> list[str]:
    """Returns the GPUs of this machine as names for `CUDA_VISIBLE_DEVICES`, possibly none.

    Raises:
        UserError: If `COUNTERFACTORY_GPUS` is not a list of GPUs.
    """
    given = os.environ.get(GPUS)
    if given is not None:
        names = [name.strip() for name in given.split(",") if name.strip()]
        # A name becomes part of a file name.
        if any(not re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in names) or len(set(names)) < len(names):
            raise UserError(f"{GPUS}: {given!r}; name each GPU once, such as 0,1")
        return names
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in run.stdout.splitlines() if line.strip().isdigit()]


@contextmanager
def lease(
    share: int | None = None, gpus: Sequence[str] | None = None, folder: Path | str | None = None
) -> Iterator[str | None]:
    """Context manager: waits for a place on one GPU and makes only that GPU visible.

    It must be entered before CUDA is initialised in this process.

    Arguments:
        share: Number of jobs per GPU; by default `COUNTERFACTORY_JOBS_PER_GPU`, else 1.
        gpus: The GPUs to choose from; by default :func:`local_gpus`.
        folder: The folder of the locks; by default a temporary folder of this user. All jobs that share GPUs must use
            the same one.

    Yields:
        The name of the GPU, or None if nothing was done.

    Raises:
        UserError: If an environment variable is malformed, or other users can write to the folder of the locks.
    """
    if os.environ.get(VISIBLE) is not None:
        yield None
        return
    names = list(gpus) if gpus is not None else local_gpus()
    if not names:
        yield None
        return
    places = _share() if share is None else share
    root = _folder() if folder is None else Path(folder)
    try:
        private_folder(root)
    except OSError as error:
        raise UserError(
            f"{root}: the GPU locks require a folder that only you can write to ({error.strerror or error}); remove it,"
            " or set TMPDIR to another folder, the same for all jobs"
        ) from None
    name, lock = _wait(names, places, root)
    os.environ[VISIBLE] = name
    try:
        yield name
    finally:
        os.environ.pop(VISIBLE, None)
        os.close(lock)


def _share() -> int:
    given = os.environ.get(JOBS_PER_GPU, "1")
    if not given.isdigit() or int(given) < 1:
        raise UserError(f"{JOBS_PER_GPU}: {given!r}; set a number of jobs, 1 or more")
    return int(given)


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"counterfactory-gpus-{os.getuid()}"


def _wait(names: Sequence[str], places: int, root: Path) -> tuple[str, int]:
    """Returns the GPU with a free place and the fewest jobs, and the file descriptor of its lock."""
    began, noticed = time.monotonic(), False
    while True:
        for place in range(places):
            for name in names:
                lock = os.open(
                    root / f"{name}.{place}.lock",
                    os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                    0o600,
                )
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return name, lock
                except OSError:
                    os.close(lock)
        if not noticed and time.monotonic() - began > NOTICE:
            noticed = True
            print(f"waiting for one of the GPUs {', '.join(names)}", file=sys.stderr, flush=True)
        time.sleep(WAIT)

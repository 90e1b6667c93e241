"""Hands the GPUs of one machine to its jobs: each job sees one of its own, or shares one with as many as are let.

A workflow on one machine starts as many jobs as it may and says nothing about which GPU each is to take. So a job
takes a lock (`flock`) on one of `share` places of each GPU, the emptiest GPU first, and sets `CUDA_VISIBLE_DEVICES`
before CUDA is looked at. The lock is an open file: the system gives it back when the job ends, however it ends.

Nothing is done where a scheduler (Slurm, Kubernetes) or a person has set `CUDA_VISIBLE_DEVICES` already, and where
there is no GPU. Two variables of the environment say more: `COUNTERFACTORY_GPUS`, which GPUs to hand out (`0,1`;
default: all that `nvidia-smi` lists), and `COUNTERFACTORY_JOBS_PER_GPU`, how many jobs may share one (default: 1).
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
WAIT = 0.5  # seconds between two looks for a free place
TOLD = 30.0  # seconds of waiting after which it is said


def local_gpus() -> list[str]:
    """Returns the names of this machine's GPUs as `CUDA_VISIBLE_DEVICES` takes them; none is an empty list.

    Raises:
        UserError: If `COUNTERFACTORY_GPUS` is no list of GPUs.
    """
    given = os.environ.get(GPUS)
    if given is not None:
        names = [name.strip() for name in given.split(",") if name.strip()]
        # A name becomes part of a file's name.
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
    """Waits for a place on one GPU and lets only that GPU be seen while the block runs.

    To be entered before CUDA is first used in this process.

    Arguments:
        share: How many jobs may share a GPU; by default what `COUNTERFACTORY_JOBS_PER_GPU` says, else 1.
        gpus: The GPUs to choose from; by default :func:`local_gpus`.
        folder: Where the locks lie; by default a folder of this user among the temporary files. All jobs that share
            GPUs must name the same.

    Yields:
        The name of the GPU, or None where nothing had to be done.

    Raises:
        UserError: If a variable of the environment is malformed, or others can write where the locks lie.
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
            f"{root}: the locks of the GPUs need a folder that only you can write ({error.strerror or error}); remove"
            " it, or set TMPDIR to another folder, the same for all jobs"
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
        raise UserError(f"{JOBS_PER_GPU}: {given!r}; give a number of jobs, 1 or more")
    return int(given)


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"counterfactory-gpus-{os.getuid()}"


def _wait(names: Sequence[str], places: int, root: Path) -> tuple[str, int]:
    """Returns the first GPU that has a place, emptiest first, and the open lock."""
    began, told = time.monotonic(), False
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
        if not told and time.monotonic() - began > TOLD:
            told = True
            print(f"waiting for one of the GPUs {', '.join(names)}", file=sys.stderr, flush=True)
        time.sleep(WAIT)

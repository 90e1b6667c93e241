"""Processes from Linux's /proc: start times, open files and descendants."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["began", "descendants", "ended", "kill", "open_files", "processes"]


def _stat(pid: int) -> list[str]:
    try:
        # The name, in brackets, may contain any characters.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def began(pid: int) -> str | None:
    """Returns the start time of a process in ticks since boot, or None if it has ended."""
    words = _stat(pid)
    return words[19] if words and words[0] != "Z" else None


def kill(pid: int, how: signal.Signals) -> None:
    """Sends a signal to a process, which may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, how)


def ended(pid: int, when: str, seconds: float) -> bool:
    """Waits until the process that began at `when` is gone; returns whether it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if began(pid) != when:
            return True
        time.sleep(0.05)
    return False


def processes() -> Iterator[int]:
    """Yields all processes."""
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def open_files(pid: int) -> Iterator[str]:
    """Yields the open files of a process, as far as they are readable."""
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                yield os.readlink(path)


def descendants(roots: set[int]) -> set[int]:
    """Returns the processes `roots` with their children, their children's children and so on."""
    children: dict[int, list[int]] = {}
    for pid in processes():
        words = _stat(pid)
        if words:
            children.setdefault(int(words[1]), []).append(pid)
    found, waiting = set(), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found

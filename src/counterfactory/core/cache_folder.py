"""Creates private folders for cached files that are loaded again: compiled code, and lock files.

Anyone who can write in such a folder can run code as this user. The folder therefore belongs to this user, has mode
0700 and is not a link, and the files in it are checked in the same way before they are loaded. Its place is
`$XDG_CACHE_HOME` (if that is absolute), else `~/.cache`. Where neither is usable (no home, the root folder as home,
read-only, or of another user), it is a temporary folder: that of this user if owner and mode are correct, else a new
one of this process.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["cache_folder", "check_private_file", "private_folder"]

_NAME = "counterfactory"


@cache
def cache_folder(name: str) -> Path:
    """Returns a private folder for compiled code, which is created if missing; the same one for the whole process.

    Arguments:
        name: The name of the folder, such as `locks`.
    """
    for root in _roots():
        try:
            return private_folder(private_folder(root) / name)
        except OSError:
            continue
    return private_folder(Path(tempfile.mkdtemp(prefix=f"{_NAME}-")) / name)


def private_folder(path: Path) -> Path:
    """Creates a folder that only this user can enter, or checks an existing one.

    A folder of this user that others can read, but not write, gets mode 0700.

    Arguments:
        path: The folder; missing parents are created.

    Returns:
        The folder.

    Raises:
        OSError: If it cannot be created, is a link, belongs to another user, or others can write in it or replace it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    parent = os.stat(path.parent)
    if parent.st_uid not in (0, os.getuid()) or (
        parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX
    ):
        raise PermissionError(f"{path}: others can replace it")
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        os.chmod(path, 0o700)  # regardless of the umask
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{path}: not a folder, or a link")
    if found.st_uid != os.getuid():
        raise PermissionError(f"{path}: belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path}: others can write there")
    if stat.S_IMODE(found.st_mode) != 0o700:
        os.chmod(path, 0o700)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(f"{path}: cannot be written")
    return path


def check_private_file(path: Path) -> Path:
    """Returns a file that only this user can have written.

    Raises:
        OSError: If it is missing, not a regular file, belongs to another user, or others can write it.
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{path}: not a file of this user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path}: others can write it")
    return path


def _roots() -> Iterator[Path]:
    """Yields the candidate folders, the preferred one first."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        yield Path(given) / _NAME
    home = os.path.expanduser("~")  # unchanged where there is no home
    if os.path.isabs(home) and os.path.normpath(home).strip("/"):
        yield Path(home) / ".cache" / _NAME
    yield Path(tempfile.gettempdir()) / f"{_NAME}-{os.getuid()}"

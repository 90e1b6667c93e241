"""The exceptions that the command line shows as one line, and the causes of errors in reading and writing files."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BadFile", "MissingWeights", "Unfinished", "UserError", "reading", "write_error"]

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


class UserError(Exception):
    """An error that the user can fix. Its message is one line: the key or file, what is wrong, the remedy.

    The command line prints the message and exits with status 2, without a traceback.

    Attributes:
        status: The exit status of the command line.
    """

    status = 2


class BadFile(UserError):
    """A file is damaged or is not of the expected kind. The command line exits with status 1."""

    status = 1


class MissingWeights(UserError):
    """An optional weights file is missing: the method or metric that requires it is skipped with this reason.

    A failed download is a :class:`UserError` instead.
    """


class Unfinished(Exception):
    """A training stopped because its time is over. Its state is saved and the same command resumes it.

    The command line prints the message and exits with status 75 (EX_TEMPFAIL of sysexits.h).
    """


@contextmanager
def reading(
    path: Path | str,
    what: str = "",
    remedy: str = "delete it and run again",
    step: str = "run the step that makes it",
) -> Iterator[None]:
    """Context manager around reading one file: raises a one-line error that names the file and the cause.

    Only damaged content gets the remedy. Errors that are already a :class:`UserError` pass through.

    Example:
        >>> with reading(path, "not a parquet table"):
        ...     table = pandas.read_parquet(path)

    Arguments:
        path: The file.
        what: What is wrong if the content is damaged, such as `not a parquet table`; by default `cannot be read`.
        remedy: The remedy for damaged content.
        step: The remedy for a missing file.

    Raises:
        BadFile: If the content is damaged (any error without another cause).
        UserError: If the file is missing, there is no permission, not enough memory, a package is missing, or the
            operating system reports another error.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {step} first") from None
    except MemoryError:
        raise UserError(f"{path}: not enough memory to read it; give the step more memory") from None
    except ImportError as error:
        raise UserError(
            f"{path}: the package {error.name or error} that reads it cannot be imported; install it"
        ) from None
    except OSError as error:
        # Libraries raise these for content that they cannot parse: no number, or a seek to before the start.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(path, what, error, remedy) from None
        if error.errno in _NOT_ALLOWED:
            raise UserError(f"{path}: permission denied; change its owner or mode") from None
        if error.errno == errno.ENOMEM:
            raise UserError(f"{path}: not enough memory to read it; give the step more memory") from None
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path and the disk") from None
    except Exception as error:
        raise _damaged(path, what, error, remedy) from None


def _damaged(path: Path | str, what: str, error: Exception, remedy: str) -> BadFile:
    reason = " ".join(str(error).split())
    reason = f"{reason[:120]}..." if len(reason) > 120 else reason
    return BadFile(f"{path}: {what or 'cannot be read'} ({reason or type(error).__name__}); {remedy}")


def write_error(path: Path, error: Exception) -> UserError | None:
    """Returns the one-line error for a failed write to `path`, or None if the disk is not the cause.

    Arguments:
        path: The file that was to be written.
        error: The exception that ended the attempt.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in _DISK_FULL or (number is None and _is_full(path.parent)):
        return UserError(f"{path}: no space left on the device; free some, or set another results folder")
    here = not isinstance(error, OSError) or error.filename is None or _is_below(error.filename, path)
    if number in _NOT_ALLOWED and here:
        reason = "the file system is read-only" if number == errno.EROFS else "permission denied"
        return UserError(f"{path}: {reason}; make {path.parent} writable, or set another results folder")
    if number in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG) and here:
        return UserError(
            f"{path}: cannot be written ({os.strerror(number)}); remove or rename what is in its place"
        )
    return None


def _is_below(name: str | bytes | int, path: Path) -> bool:
    """Returns whether a file is in the folder of `path`, or is one of its parents."""
    if isinstance(name, int):
        return False
    other = Path(os.fsdecode(name))
    return other.parent == path.parent or other in path.parents


def _is_full(folder: Path) -> bool:
    """Returns whether there is no space left: libraries report a failed write as an error without a number."""
    try:
        return shutil.disk_usage(folder).free < 2**16
    except OSError:
        return False

"""Downloads that torch and torchvision make by themselves: a silent host is given up, and a failure is one line."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

from ..core.errors import UserError

__all__ = ["TIMEOUT", "downloading"]

TIMEOUT = 10.0  # seconds without an answer after which a host counts as unreachable


@contextmanager
def downloading(failure: str, advice: str, seconds: float = TIMEOUT) -> Iterator[None]:
    """Gives the requests of the block a timeout, and says in one line why they failed.

    Arguments:
        failure: What could not be done.
        advice: What to do about it.
        seconds: How long a host may be silent.

    Raises:
        UserError: If the block raises what a failed or damaged download does.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)  # torch gives its own requests none
    try:
        yield
    except (OSError, HTTPException, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{failure} ({reason}); {advice}") from None
    finally:
        socket.setdefaulttimeout(before)

"""Downloads that torch and torchvision make by themselves: a silent host is given up, and a failure is one line."""

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import BadFile, UserError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TIMEOUT", "downloading", "fetch_tensors"]

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


def fetch_tensors(url: str, failure: str, advice: str) -> "dict[str, Tensor]":
    """Reads a checkpoint from torch's cache, or else downloads it there.

    Arguments:
        url: Its address, whose file name ends with a hyphen and the first digits of its SHA-256.
        failure: What could not be done, if the download fails.
        advice: What to do about it.

    Raises:
        UserError: If the download fails.
        BadFile: If the file has another SHA-256, or is not one of tensors.
    """
    import torch

    from ..core.foreign.torch_files import read_tensors

    name = os.path.basename(url)
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    (digits,) = re.findall(r"-([0-9a-f]{8,64})\.", name)
    if not path.is_file():
        with downloading(failure, advice):
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), digits, progress=False)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(digits):
        raise BadFile(
            f"{path}: its SHA-256 begins with {found[:8]} and not {digits}; delete it and run again"
        )
    return read_tensors(path)

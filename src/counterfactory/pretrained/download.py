"""Downloads weights through torch and torchvision, with a timeout and error messages of one line."""

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

TIMEOUT = 10.0  # seconds without a response after which a host counts as unreachable


@contextmanager
def downloading(failure: str, advice: str, seconds: float = TIMEOUT) -> Iterator[None]:
    """Context manager: sets a timeout for all requests, and turns their failures into an error of one line.

    Arguments:
        failure: The first part of the message: what failed.
        advice: The last part of the message: the remedy.
        seconds: The timeout of a silent host in seconds.

    Raises:
        UserError: If a download in the block fails.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)  # the requests of torch have no timeout of their own
    try:
        yield
    except (OSError, HTTPException, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{failure} ({reason}); {advice}") from None
    finally:
        socket.setdefaulttimeout(before)


def fetch_tensors(url: str, failure: str, advice: str) -> "dict[str, Tensor]":
    """Reads a checkpoint from the cache of torch, and downloads it to the cache if it is missing.

    Arguments:
        url: The address, whose file name ends with a hyphen and the first digits of the SHA-256 of the file.
        failure: As for :func:`downloading`.
        advice: As for :func:`downloading`.

    Raises:
        UserError: If the download fails.
        BadFile: If the file has another SHA-256, or is not a file of tensors.
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

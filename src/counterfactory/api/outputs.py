"""Checks where a picture or a folder is to be written, before anything is computed, and writes pictures."""

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import UserError, write_error
from ..core.files import writing

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["check_picture", "check_writable", "save_picture"]

LOSSLESS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
"""The formats of pictures by suffix; none of them changes a pixel."""


def check_writable(path: Path | str) -> None:
    """Checks that a file or folder can be written at `path`; missing folders above it are allowed.

    Raises:
        UserError: If a file is in the place of a folder, or the folder must not be written to.
    """
    number = 0
    try:
        Path(path).exists()
        above = next(folder for folder in Path(path).absolute().parents if folder.exists())
        if not above.is_dir():
            number = errno.ENOTDIR
        elif not os.access(above, os.W_OK | os.X_OK):
            number = errno.EACCES
    except OSError as error:  # such as a name that is too long
        number = error.errno or 0
    if number and (problem := write_error(Path(path), OSError(number, os.strerror(number)))):
        raise problem


def check_picture(path: Path | str) -> None:
    """Checks that a picture can be written to `path`.

    Raises:
        UserError: If the format of the suffix is unknown or loses information, or the file cannot be written.
    """
    if Path(path).suffix.lower() not in LOSSLESS:
        raise UserError(f"{path}: not a lossless format; choose one of {', '.join(LOSSLESS)}")
    check_writable(path)
    if Path(path).is_dir():
        raise UserError(f"{path}: is a folder; name a file")


def save_picture(picture: "Image.Image", path: Path | str) -> None:
    """Writes a picture in a lossless format.

    Raises:
        UserError: If the format of the suffix is unknown or loses information, or the file cannot be written.
    """
    check_picture(path)
    with writing(path) as temporary:
        picture.save(temporary, format=LOSSLESS[Path(path).suffix.lower()])

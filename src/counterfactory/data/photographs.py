r"""Reads image files of any size and mode as uint8 images of one size, and lists the conversions.

The steps, in order:

1. The file is decoded: PNG, JPEG, WebP, GIF, BMP, TIFF or PPM; of an animation, the first frame. A file whose header
   declares more than :data:`MAX_PIXELS` pixels is refused, because a small file could fill the memory.
2. The orientation of its EXIF data is applied.
3. Its mode is converted: 16 bits to 8 by :math:`\mathrm{round}(v / 257)`; transparent pixels are drawn over white;
   palettes are looked up; CMYK becomes RGB without a colour profile. Grey is the luma
   :math:`0.299\,R + 0.587\,G + 0.114\,B` (ITU-R BT.601).
4. It is cropped (:func:`cropped`).
5. It is resized to a square (:func:`resized`). Both filters are antialiased: where an image shrinks, the support of the
   filter grows with the ratio of the sizes.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from ..core.errors import BadFile, reading

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Crop",
    "Photograph",
    "cropped",
    "decode",
    "kind_of",
    "read_photograph",
    "resized",
    "with_channels",
]

MAX_PIXELS = 80_000_000
"""The largest number of pixels of an image file."""

SMALLEST = 8
"""The smallest height and width of an image file, in px."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The formats that are decoded, by their names in Pillow. For others Pillow may start programs (PostScript)."""

DARK = 4096
"""An image of 16 bits whose values are all less than this is reported: it may hold numbers of 12 bits."""

EXIF_ORIENTATION = 0x0112

Crop = Literal["none", "square"] | int
"""`none`: the whole image; `square`: the largest centred square; a number: the centred square of this side in px."""


@dataclass(frozen=True)
class Photograph:
    """An image as networks receive it.

    Arguments:
        pixels: Uint8 (C, H, W).
        converted: The conversions, one short phrase each, such as `CMYK` or `rotated by EXIF`.
    """

    pixels: np.ndarray
    converted: tuple[str, ...]


def read_photograph(
    path: Path | str,
    channels: int,
    size: int,
    crop: Crop = "square",
    filter: Literal["bilinear", "area"] = "bilinear",
) -> Photograph:
    """Reads an image file.

    Arguments:
        path: The file.
        channels: 1 (grey) or 3 (RGB).
        size: Height and width of the result in px.
        crop: The part of the image that is kept.
        filter: The filter by which it is resized.

    Raises:
        BadFile: If it is damaged, no image, too large or too small.
        UserError: If it is missing or cannot be read.
    """
    picture, converted = decode(path, channels)
    picture = cropped(picture, crop, path)
    if min(picture.size) < size:
        converted += (f"enlarged from {picture.size[0]} x {picture.size[1]} px",)
    picture = resized(picture, (size, size), filter)
    pixels = np.asarray(picture).reshape(size, size, channels)
    return Photograph(np.ascontiguousarray(pixels.transpose(2, 0, 1)), converted)


def decode(path: Path | str, channels: int) -> tuple[Image.Image, tuple[str, ...]]:
    """Decodes an image file: steps 1 to 3.

    Arguments:
        path: The file.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        The image, of mode `L` or `RGB`, and the conversions.

    Raises:
        BadFile: If it is damaged, no image, too large or too small.
        UserError: If it is missing or cannot be read.
    """
    problem = ("not an image that can be read", "replace it or remove its row", "restore it")
    with reading(path, *problem), Image.open(path, formats=FORMATS) as opened:
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise BadFile(f"{path}: has {width} x {height} px, more than {MAX_PIXELS:,} pixels; shrink it")
        if min(width, height) < SMALLEST:
            raise BadFile(f"{path}: has {width} x {height} px, less than {SMALLEST}; remove its row")
        converted = _first_frame(opened)
        turned = opened.getexif().get(EXIF_ORIENTATION, 1) not in (0, 1)
        picture = ImageOps.exif_transpose(opened)
        picture.load()
        if picture.mode == "F":
            raise BadFile(f"{path}: holds floating point numbers; save it with 8 or 16 bits")
        picture, by_mode = with_channels(picture, channels)
    return picture, (*converted, *(("rotated by EXIF",) if turned else ()), *by_mode)


def kind_of(conversion: str) -> str:
    """Returns a conversion without its numbers, such as `enlarged` for `enlarged from 12 x 12 px`."""
    return re.split(" from | of | with ", conversion)[0]


def cropped(
    picture: Image.Image, crop: Crop, name: Path | str, remedy: str = "lower data.crop"
) -> Image.Image:
    """Returns the centre of an image.

    Arguments:
        picture: The image.
        crop: The part that is kept; see :data:`Crop`.
        name: Its name for messages.
        remedy: What the message advises if the image is smaller than the crop.

    Raises:
        BadFile: If the image is smaller than the crop.
    """
    if crop == "none":
        return picture
    width, height = picture.size
    side = min(width, height) if crop == "square" else int(crop)
    if side > min(width, height):
        raise BadFile(f"{name}: has {width} x {height} px, less than the crop of {side} px; {remedy}")
    left, top = round((width - side) / 2), round((height - side) / 2)
    return picture.crop((left, top, left + side, top + side))


def resized(
    picture: Image.Image, size: tuple[int, int], filter: Literal["bilinear", "area"] = "bilinear"
) -> Image.Image:
    """Returns an image of another size, antialiased.

    Arguments:
        picture: The image.
        size: Width and height in px.
        filter: `bilinear` (a triangle) or `area` (the mean of the covered pixels).
    """
    kinds = {"bilinear": Image.Resampling.BILINEAR, "area": Image.Resampling.BOX}
    return picture if picture.size == size else picture.resize(size, kinds[filter])


def _first_frame(opened: Any) -> tuple[str, ...]:
    # The further pictures of an MPO are previews of the first one.
    frames = 1 if opened.format == "MPO" else getattr(opened, "n_frames", 1)
    return (f"first frame of {frames}",) if frames > 1 else ()


def with_channels(picture: Image.Image, channels: int) -> tuple[Image.Image, tuple[str, ...]]:
    """Returns an image of any mode with 8 bits and 1 channel (mode `L`) or 3 (`RGB`), and the conversions.

    16 bits are divided by 257, and transparent pixels are drawn over white.
    """
    converted = []
    mode = picture.mode
    if mode.startswith("I"):
        deep = np.asarray(picture).astype(np.float64) / 257.0
        picture = Image.fromarray(np.rint(deep.clip(0, 255)).astype(np.uint8))
        converted.append("16 bit")
        if deep.max() > 255.0:
            converted.append("values above 65,535 that become white")
        elif 0.0 < deep.max() < DARK / 257.0:
            converted.append("dark with no value above 4,095 of 65,535")
    elif mode in ("CMYK", "YCCK"):
        converted.append("CMYK")
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        if np.asarray(coloured)[:, :, 3].min() < 255:
            converted.append("transparent pixels")
        picture = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured).convert("RGB")
    elif mode == "P":
        converted.append("palette")
    if channels == 3 and (mode in ("1", "L", "LA") or mode.startswith("I")):
        converted.append("grey")
    return picture.convert("L" if channels == 1 else "RGB"), tuple(converted)

"""Converts files, PIL images and arrays to the images of a data set: uint8, with its channels and its size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..core.errors import BadFile, UserError, reading
from ..data.photographs import FORMATS, MAX_PIXELS, with_channels

__all__ = ["ImagineWarning", "fit", "is_batch", "read_image", "split_batch"]

PADDED = 0.8
"""An image whose height and width are at least this share of the data set's, and not larger, is padded, not resized."""


class ImagineWarning(UserWarning):
    """A value or an image lies outside of the training data, so that the answer is an extrapolation."""


def is_batch(source: Any) -> bool:
    """Returns whether `source` holds several images: a list or tuple, or an array with a leading axis of images."""
    if isinstance(source, np.ndarray):
        return source.ndim == 4 or (source.ndim == 3 and not _channel_axes(source.shape))
    return isinstance(source, Sequence) and not isinstance(source, str | bytes)


def split_batch(source: Any) -> list[Any]:
    """Returns the images of a batch, or the one image, as a list.

    Raises:
        UserError: If a batch is empty.
    """
    items = list(source) if is_batch(source) else [source]
    if not items:
        raise UserError("image: the batch is empty; give at least one image")
    return items


def read_image(source: Any, channels: int) -> tuple[np.ndarray, str]:
    """Reads one image.

    Arguments:
        source: A path, a PIL image, or an array: uint8, or float in [0, 1]; with shape (H, W), (H, W, C) or (C, H, W)
            and C = 1, 3 or 4. A fourth channel is opacity, and is drawn over white.
        channels: The number of channels to return: 1 (grey) or 3 (RGB).

    Returns:
        The image, uint8 (H, W, C), and its name for messages.

    Raises:
        UserError: If it is missing, not an image, or of another shape, type or range.
    """
    if isinstance(source, str | Path):
        problem = ("not an image", "choose a PNG or another image file", "save the image")
        with reading(source, *problem), Image.open(source, formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise BadFile(f"{source}: has more than {MAX_PIXELS:,} pixels; shrink it")
            picture = ImageOps.exif_transpose(opened)
            picture.load()
        return _from_picture(picture, channels), str(source)
    if isinstance(source, Image.Image):
        return _from_picture(source, channels), "image"
    if isinstance(source, np.ndarray):
        return _from_picture(_picture(source), channels), "image"
    raise UserError(
        f"image: {type(source).__name__}; give a path, a PIL image, a numpy array or a list of these"
    )


def fit(image: np.ndarray, shape: tuple[int, int, int], name: str) -> tuple[np.ndarray, list[str]]:
    """Pads or resizes an image to the size of the data set.

    An image that is a little smaller is padded, because MNIST's 28 px are padded to 32 px in the data set as well.
    Other images are padded to the aspect ratio of the data set with the median colour of their border, then resized.

    Arguments:
        image: Uint8 (H, W, C).
        shape: The shape (C, H, W) of the data set's images.
        name: Its name for messages.

    Returns:
        The image, uint8 (C, H, W), and a note of one line for each change.
    """
    _, height, width = shape
    old = image.shape[:2]
    notes = []
    if old != (height, width):
        if all(PADDED * new <= size <= new for size, new in zip(old, (height, width), strict=True)):
            image = _pad(image, height, width)
            notes.append(f"{name}: padded from {old[1]} x {old[0]} to {width} x {height} px")
        else:
            side = max(old[0] * width, old[1] * height)
            image = _pad(image, -(-side // width), -(-side // height))
            picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
            image = np.asarray(
                picture.resize(
                    (width, height),
                    Image.Resampling.BOX if side > 2 * width * height else Image.Resampling.BILINEAR,
                )
            )
            notes.append(f"{name}: resized from {old[1]} x {old[0]} to {width} x {height} px")
    return np.ascontiguousarray(image.reshape(height, width, -1).transpose(2, 0, 1)), notes


def _channel_axes(shape: tuple[int, ...]) -> list[int]:
    """Returns the axes of a three-dimensional shape that may be the channels, the last one first."""
    return [axis for axis, counts in ((2, (1, 3, 4)), (0, (1, 3, 4))) if shape[axis] in counts]


def _picture(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and _channel_axes(array.shape):
        array = np.moveaxis(array, _channel_axes(array.shape)[0], 2)
        array = array[:, :, 0] if array.shape[2] == 1 else array
    elif array.ndim != 2:
        raise UserError(f"image: an array of shape {array.shape}; give (H, W), (H, W, C) or (C, H, W)")
    if not array.size:
        raise UserError(f"image: an array of shape {array.shape}, which holds no pixels; give another one")
    if array.dtype == np.bool_:
        array = array.astype(np.float64)
    if np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0.0 and array.max() <= 1.0):
            raise UserError("image: float values must lie in [0, 1]; scale them, or give uint8")
        array = np.rint(array * 255.0).astype(np.uint8)
    if array.dtype != np.uint8:
        raise UserError(f"image: an array of {array.dtype}; give uint8 in 0 to 255, or float in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(array))


def _from_picture(picture: Image.Image, channels: int) -> np.ndarray:
    pixels = np.asarray(with_channels(picture, channels)[0])
    return pixels.reshape(*pixels.shape[:2], channels)


def _pad(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pads an image to the given size, on both sides alike, with the median colour of its border."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    padded = np.empty((height, width, image.shape[2]), np.uint8)
    padded[:] = np.median(border, axis=0).astype(np.uint8)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    padded[top : top + image.shape[0], left : left + image.shape[1]] = image
    return padded

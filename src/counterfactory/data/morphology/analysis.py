"""Computes the strokes of one image on the fine grid, on which perturbations act, and downscales them again."""

from typing import NamedTuple

import numpy as np

from ...core.errors import UserError
from .workspace import Workspace, as_images

__all__ = ["Analysis", "analyse", "downscale"]


class Analysis(NamedTuple):
    """The strokes of one image on a grid `scale` times finer.

    Arguments:
        hires: The upscaled image, uint8 grey levels (Hs, Ws).
        binary: True where `hires` is at least half of its range, bool (Hs, Ws).
        skeleton: The medial axis of `binary`, bool (Hs, Ws).
        distance: The distance to the nearest background pixel in fine pixels, zero in the background, float64 (Hs, Ws).
    """

    hires: np.ndarray
    binary: np.ndarray
    skeleton: np.ndarray
    distance: np.ndarray


def analyse(image: np.ndarray, scale: int) -> Analysis:
    """Analyses one image.

    Arguments:
        image: uint8 (H, W).
        scale: An even number, at least 4. Published measurements use 4, the published renderings 16.

    Returns:
        The analysis. A constant image has no strokes.

    Raises:
        UserError: If the image is not uint8 (H, W), or the scale is odd or less than 4.
    """
    image = as_images(np.asarray(image)[None])[0]
    space = Workspace(image.shape, scale)
    space.find_strokes(image)
    tall, wide = space.binary.shape
    if not space.contrast:
        none = np.zeros((tall, wide), dtype=bool)
        return Analysis(space.fine, none, none.copy(), np.zeros((tall, wide)))
    space.find_skeleton()
    binary = space.binary.astype(bool)
    inner = np.s_[1:-1, 1:-1]
    skeleton = space.packed.reshape(tall + 2, wide + 2)[inner] & 2 > 0
    distance = np.where(binary, np.sqrt(space.distance.reshape(tall + 2, wide + 2)[inner]), 0.0)
    return Analysis(space.fine, binary, skeleton, distance)


def downscale(hires: np.ndarray, scale: int) -> np.ndarray:
    """Downscales one image as the published generators do.

    Arguments:
        hires: Bool, or floating point within [0, 1], (Hs, Ws).
        scale: An even number, at least 4.

    Returns:
        Grey levels, uint8 (H, W).

    Raises:
        UserError: If the scale is odd or less than 4, or does not divide the shape.
    """
    tall, wide = hires.shape
    space = Workspace((tall // scale, wide // scale), scale)
    if space.fine.shape != hires.shape:
        raise UserError(f"downscale: shape {hires.shape} is not a multiple of the scale {scale}")
    image = np.zeros(space.shape, dtype=np.uint8)
    fine = hires.astype(np.uint8 if hires.dtype == bool else np.float64)
    space.downscale(np.ascontiguousarray(fine), image, np.array([0, tall, 0, wide]))
    return image

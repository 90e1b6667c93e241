r"""Renders a digit at a given slant or width: affine maps about the centroid of the strokes, on the fine grid.

With shear h = -tan(slant), neither map moves a pixel to another row. A pixel (x, y) of the result is read from

.. math::
    \mathrm{SetSlant}: \; x' = x - (h^* - h)(y - \bar y), \qquad
    \mathrm{SetWidth}: \; x' = \bar x + c\,(x - \bar x) + (1 - c)\,h\,(y - \bar y), \quad c = w / w^*

with h and w measured and starred values as required. Changing the width keeps the slant. Interpolation is
bilinear and zero outside of the image, as in scikit-image 0.16, with which the published sets were made (later versions
use the nearest pixel of a binary image).

References:
    | Morpho-MNIST: Quantitative Assessment and Diagnostics for Representation Learning (Castro et al., 2019)
    | https://arxiv.org/abs/1809.10780
"""

import numpy as np
from skimage.transform import AffineTransform, warp

from .measurement import LEFT_OUT, bounds, moments
from .rendering import RENDER_SCALE, targets
from .reuse import load_strokes
from .workspace import Workspace, as_images, in_threads

__all__ = ["render_slanted", "render_wide"]


def _affine(fine: np.ndarray, stretch: float, shear: float, cx: float, cy: float) -> np.ndarray:
    """Returns `fine` at x' = cx + stretch (x - cx) + shear (y - cy), y' = y."""
    matrix = np.array([[stretch, shear, cx - stretch * cx - shear * cy], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return warp(fine.astype(np.float64), AffineTransform(matrix), order=1)


def render_slanted(
    digits: np.ndarray, thickness: np.ndarray, slant: np.ndarray, threads: int = 1
) -> np.ndarray:
    """Renders digits at full contrast, first at a given thickness, then at a given slant.

    Arguments:
        digits: uint8 (N, H, W).
        thickness: px, (N,).
        slant: Radians, (N,), positive to the right.
        threads: The number of threads.

    Returns:
        uint8 (N, H, W).

    Raises:
        UserError: If shapes disagree, or a target is out of range.
    """
    digits = as_images(digits)
    thickness = targets("thickness", thickness, digits, 0.0, min(digits.shape[1:]))
    slant = targets("slant", slant, digits, -np.pi / 2, np.pi / 2)
    images = np.zeros_like(digits)

    def work(rows: np.ndarray) -> None:
        space = Workspace(digits.shape[1:], RENDER_SCALE)
        for row in rows:
            mean = load_strokes(space, digits[row])
            if not space.contrast:
                continue
            space.set_thickness(thickness[row], mean)
            if not space.changed.any():
                continue
            _, cx, cy, _, u11, u02 = moments(space.changed, space.box)
            fine = _affine(space.changed, 1.0, np.tan(slant[row]) + u11 / u02, cx, cy)
            space.downscale(fine, images[row], space.whole)

    in_threads(work, len(digits), threads)
    return images


def render_wide(digits: np.ndarray, thickness: np.ndarray, width: np.ndarray, threads: int = 1) -> np.ndarray:
    """Renders digits at full contrast, first at a given width, then at a given thickness.

    Arguments:
        digits: uint8 (N, H, W).
        thickness: px, (N,).
        width: px, (N,).
        threads: The number of threads.

    Returns:
        uint8 (N, H, W).

    Raises:
        UserError: If shapes disagree, or a target is out of range.
    """
    digits = as_images(digits)
    thickness = targets("thickness", thickness, digits, 0.0, min(digits.shape[1:]))
    width = targets("width", width, digits, 0.0, digits.shape[2])
    images = np.zeros_like(digits)

    def work(rows: np.ndarray) -> None:
        space = Workspace(digits.shape[1:], RENDER_SCALE)
        wide = np.zeros(digits.shape[1:], dtype=np.uint8)
        for row in rows:
            space.find_strokes(digits[row])
            if not space.contrast:
                continue
            mass, cx, cy, _, u11, u02 = moments(space.fine, space.content)
            shear = u11 / u02
            left, right, _, _ = bounds(space.fine, space.content, mass, cy, shear, LEFT_OUT)
            stretch = (right - left) / RENDER_SCALE / width[row]
            fine = _affine(space.binary, stretch, shear * (1.0 - stretch), cx, cy)
            space.downscale(fine, wide, space.whole)
            mean = load_strokes(space, wide)
            if not space.contrast:
                continue
            space.set_thickness(thickness[row], mean)
            space.downscale(space.changed, images[row], space.box)

    in_threads(work, len(digits), threads)
    return images

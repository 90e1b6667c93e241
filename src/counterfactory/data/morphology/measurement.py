r"""Measures area, length, thickness, slant, width, height and intensity (Castro et al., 2019, section 2).

The central moments :math:`u_{pq}` of the grey image, upscaled by s = 4, with x the column and y the row, define the
horizontal shear and the slant:

.. math:: h = u_{11} / u_{02}, \qquad \mathrm{slant} = \arctan(-h)

Width and height are the sides of the bounding parallelogram that excludes 1 % of the mass on each side: the distances
between quantiles of the mass along x, sheared by h, and along y. From the binary image and its skeleton,

.. math::
    \mathrm{area} = n / s^2, \quad
    \mathrm{length} = (N_{\mathrm{orthogonal}} + \sqrt 2\, N_{\mathrm{diagonal}}) / s, \quad
    \mathrm{thickness} = \frac{2}{s}\, \overline{D}

with n foreground pixels, :math:`N` pairs of neighbouring skeleton pixels, and :math:`\overline D` the mean over the
skeleton of the distance to the background. The values equal those of the published `*-morpho.csv`, which were computed
with scikit-image 0.16.

References:
    | Morpho-MNIST: Quantitative Assessment and Diagnostics for Representation Learning (Castro et al., 2019)
    | https://arxiv.org/abs/1809.10780
"""

# Compiled by numba, which infers other types than mypy.
# mypy: disable-error-code="assignment,call-overload"

import numpy as np
import pandas as pd
from numba import njit

from .rendering import intensities
from .workspace import Workspace, as_images, in_threads

__all__ = ["ATTRIBUTES", "LEFT_OUT", "MEASURE_SCALE", "bounds", "measure", "moments"]

ATTRIBUTES = ("area", "length", "thickness", "slant", "width", "height", "intensity")
MEASURE_SCALE = 4
LEFT_OUT = 0.02  # fraction of the mass outside of the bounding parallelogram, both sides together


@njit(cache=True, nogil=True)
def moments(fine, box):
    """Returns mass, column and row of the centroid, u20, u11 and u02 of a uint8 image that is zero outside of `box`."""
    mass, mx, my, mxx, mxy, myy = 0, 0, 0, 0, 0, 0
    for y in range(box[0], box[1]):
        row = fine[y, box[2] : box[3]]
        total, first, second = 0, 0, 0
        for x in range(row.size):
            value = np.int64(row[x])
            total += value
            first += value * x
            second += value * x * x
        # Convert from columns relative to the box to columns of the image.
        left = box[2]
        second += 2 * left * first + left * left * total
        first += left * total
        mass += total
        mx += first
        mxx += second
        my += total * y
        mxy += first * y
        myy += total * y * y
    cx, cy = mx / mass, my / mass
    return mass, cx, cy, mxx / mass - cx * cx, mxy / mass - cx * cy, myy / mass - cy * cy


@njit(nogil=True)
def _quantile(histogram, mass, share):
    """Returns where the cumulative histogram, linear between integers, reaches the fraction `share` of the mass."""
    last = histogram.size - 1
    before = histogram[0] / mass
    if share < before:
        return 0.0
    seen = histogram[0]
    for t in range(1, histogram.size):
        seen += histogram[t]
        here = seen / mass
        if share < here:
            return (share - before) / (here - before) + (t - 1)
        before = here
    return np.float64(last)


@njit(cache=True, nogil=True)
def bounds(fine, box, mass, cy, shear, left_out):
    """Returns left, right, top and bottom of the bounding parallelogram, in fine pixels at the row of the centroid."""
    tall, wide = fine.shape
    along, down = np.zeros(wide, dtype=np.int64), np.zeros(tall, dtype=np.int64)
    for y in range(box[0], box[1]):
        # Mass at column x is to the left of position t if x + 1/2 < t + h (y - cy).
        shift = np.int64(np.floor(0.5 - shear * (y - cy))) + 1
        total = 0
        for x in range(box[2], box[3]):
            value = np.int64(fine[y, x])
            total += value
            t = max(0, x + shift)
            if t < wide:
                along[t] += value
        if y + 1 < tall:
            down[y + 1] += total
    share = left_out / 2
    return (
        _quantile(along, mass, share),
        _quantile(along, mass, 1 - share),
        _quantile(down, mass, share),
        _quantile(down, mass, 1 - share),
    )


@njit(cache=True, nogil=True)
def _length(packed, box, stride):
    """Returns the length of the skeleton in fine pixels, from its packed rows."""
    orthogonal, diagonal = 0, 0
    for y in range(box[0], box[1]):
        base = (y + 1) * stride + 1
        for p in range(base + box[2], base + box[3]):
            here = packed[p]
            if here & 2:
                below = packed[p + stride]
                orthogonal += (here >> 2 & 1) + (below >> 1 & 1)
                diagonal += (below & 1) + (below >> 2 & 1)
    return orthogonal + np.sqrt(2.0) * diagonal


def _attributes(space: Workspace, image: np.ndarray) -> tuple[float, ...]:
    """Returns area, length, thickness, slant, width and height of one image."""
    space.find_strokes(image)
    if not space.contrast:
        return 0.0, 0.0, np.nan, np.nan, np.nan, np.nan
    pixels, thickness = space.find_skeleton()
    length = _length(space.packed, space.box, space.binary.shape[1] + 2)
    mass, _, cy, _, u11, u02 = moments(space.fine, space.content)
    shear = u11 / u02
    left, right, top, bottom = bounds(space.fine, space.content, mass, cy, shear, LEFT_OUT)
    s = space.scale
    return pixels / s**2, length / s, thickness, np.arctan(-shear), (right - left) / s, (bottom - top) / s


def measure(images: np.ndarray, threads: int = 1) -> pd.DataFrame:
    """Measures images.

    Arguments:
        images: uint8 (N, H, W) or (N, 1, H, W). A border of zeros has no effect, unless strokes touch the border.
        threads: The number of threads.

    Returns:
        One row per image: `area` (px^2), `length`, `thickness` (px), `slant` (radians), `width`, `height` (px) and
        `intensity` (grey levels). A constant image has no strokes: area and length are 0; thickness, slant, width and
        height are NaN.

    Raises:
        UserError: If the images are not uint8 or have another shape.
    """
    images = as_images(images)
    values = np.empty((len(images), len(ATTRIBUTES)))
    values[:, -1] = intensities(images)

    def work(rows: np.ndarray) -> None:
        space = Workspace(images.shape[1:], MEASURE_SCALE)
        for row in rows:
            values[row, :-1] = _attributes(space, images[row])

    in_threads(work, len(images), threads)
    return pd.DataFrame(values, columns=list(ATTRIBUTES))

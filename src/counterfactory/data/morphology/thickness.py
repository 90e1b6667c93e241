r"""Sets the thickness of strokes on the fine binary image (Morpho-MNIST; Pawlowski et al., 2020, appendix).

A stroke of mean thickness :math:`\bar t` becomes `t` px thick by dilation or erosion with the radius

.. math:: r = \lfloor s\,|t - \bar t| / 2 \rfloor

at scale :math:`s`; thickness therefore changes in steps of 2 / s px. The published structuring element is *not* a disk:
it is a disk of radius 16 r, downscaled 16 times with a blur, and true wherever the result is not zero, hence larger. In
closed form, with :math:`c(k) = \lfloor k (32 r + 1) / (2 r + 1) \rfloor`,

.. math:: (\mathrm{d}x, \mathrm{d}y) \in B_r \iff
    \max(0, c(|\mathrm{d}x|) - 21)^2 + \max(0, c(|\mathrm{d}y|) - 21)^2 \le (16 r)^2

which for r <= 5 is the full square. At r = 19, rounding errors of the original add four isolated offsets, which are
reproduced here.
"""

from functools import cache

import numpy as np
from numba import njit

__all__ = ["change_radius", "footprint", "half_widths", "lone_offsets", "spread"]

_LONE = ((-17, -13), (13, -17), (13, 17), (17, -13))
_BLUR_RADIUS = 21
# Distances along columns are stored in one byte.
_GREATEST_RADIUS = 254


def change_radius(thickness: float, mean: float, scale: int) -> tuple[int, int]:
    """Returns the radius in fine pixels that changes the thickness from `mean` to `thickness` px, and 1 for dilation.

    For erosion the second value is 0.
    """
    change = float(np.float32(thickness) - np.float32(mean))
    return min(int(scale * abs(change) / 2), _GREATEST_RADIUS), int(change >= 0)


@cache
def half_widths(radius: int) -> np.ndarray:
    """Returns the half width of the structuring element in each row 0..r from its centre: uint8 (r + 1,)."""
    steps = np.arange(radius + 1) * (32 * radius + 1) // (2 * radius + 1)
    squares = np.maximum(0, steps - _BLUR_RADIUS) ** 2
    return ((squares[:, None] + squares <= (16 * radius) ** 2).sum(axis=1) - 1).astype(np.uint8)


@cache
def lone_offsets(radius: int) -> np.ndarray:
    """Returns the isolated offsets (dy, dx) of the structuring element: int64 (K, 2)."""
    return np.array(_LONE if radius == 19 else [], dtype=np.int64).reshape(-1, 2)


def footprint(radius: int) -> np.ndarray:
    """Returns the published structuring element of a radius, bool (2 r + 1, 2 r + 1)."""
    half = half_widths(radius)
    off = np.abs(np.arange(-radius, radius + 1))
    element = off <= half[off][:, None]
    for dy, dx in lone_offsets(radius):
        element[radius + dy, radius + dx] = True
    return element


@njit(nogil=True)
def _match(gap, binary, on):
    for x in range(gap.size):
        gap[x] = np.uint8(0) if binary[x] == on else np.uint8(255)


@njit(nogil=True)
def _step(gap, before):
    """Updates the distance along columns by one row, saturated at 255."""
    for x in range(gap.size):
        far = before[x] + np.uint8(before[x] < 255)
        gap[x] = min(gap[x], np.uint8(far))


@njit(nogil=True)
def _include(target, gap, reach):
    for x in range(target.size):
        target[x] |= gap[x] <= reach


@njit(cache=True, nogil=True)
def spread(binary, box, on, half, lone, gap, result):
    """Dilates the strokes, or the background, by a structuring element.

    The element is symmetric, and its rows are intervals that become shorter away from the centre. Mirroring the image
    at its border, as the original does, therefore reaches no further pixel, and the border needs no special case.

    Arguments:
        binary: uint8 (H, W), zero outside of `box`.
        box: (top, bottom, left, right); grown by the radius in place when strokes are dilated.
        on: 1 to dilate the strokes, 0 to dilate the background (which erodes the strokes).
        half: :func:`half_widths` of the radius.
        lone: :func:`lone_offsets` of the radius.
        gap: Scratch memory, uint8 (H, W).
        result: The output, the new strokes, uint8 (H, W).
    """
    tall, wide = binary.shape
    radius = half.size - 1
    # The box is surrounded by background, of which erosion needs one more pixel.
    first, last = max(0, box[0] - radius - 1), min(tall, box[1] + radius + 1)
    start, stop = max(0, box[2] - radius - 1), min(wide, box[3] + radius + 1)
    for y in range(first, last):
        _match(gap[y, start:stop], binary[y, start:stop], on)
    for y in range(first + 1, last):
        _step(gap[y, start:stop], gap[y - 1, start:stop])
    for y in range(last - 2, first - 1, -1):
        _step(gap[y, start:stop], gap[y + 1, start:stop])
    result[:] = 0
    for y in range(first, last):
        for dx in range(-radius, radius + 1):
            left, right = max(start, start - dx), min(stop, stop - dx)
            _include(result[y, left:right], gap[y, left + dx : right + dx], half[abs(dx)])
        for k in range(lone.shape[0]):
            source, dx = y + lone[k, 0], lone[k, 1]
            if first <= source < last:
                for x in range(max(start, start - dx), min(stop, stop - dx)):
                    result[y, x] |= binary[source, x + dx] == on
        if not on:
            target, source_row = result[y, start:stop], binary[y, start:stop]
            for x in range(target.size):
                target[x] = source_row[x] & (target[x] ^ 1)
    if on:
        box[0], box[1], box[2], box[3] = first, last, start, stop

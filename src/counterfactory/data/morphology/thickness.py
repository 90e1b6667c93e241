r"""Setting the thickness of a stroke, on its fine binary image (Pawlowski et al., 2020, appendix; Morpho-MNIST).

A stroke whose mean thickness is :math:`\bar t` is dilated (or eroded) until it is `t` px thick, by the radius

.. math:: r = \lfloor s\,|t - \bar t| / 2 \rfloor

at scale :math:`s`; the radius is whole, so thickness moves in steps of 2 / s px. The published structuring element is
*not* a disk: it is a disk of radius 16 r, shrunk 16 times with a blur and taken as true wherever it is not zero, hence
fatter. In closed form, with :math:`c(k) = \lfloor k (32 r + 1) / (2 r + 1) \rfloor`,

.. math:: (\mathrm{d}x, \mathrm{d}y) \in B_r \iff
    \max(0, c(|\mathrm{d}x|) - 21)^2 + \max(0, c(|\mathrm{d}y|) - 21)^2 \le (16 r)^2

which for r <= 5 is the full square. At r = 19 rounding noise of the original added four lone offsets, kept here.
"""

from functools import cache

import numpy as np
from numba import njit

__all__ = ["change_radius", "footprint", "half_widths", "lone_offsets", "spread"]

_LONE = ((-17, -13), (13, -17), (13, 17), (17, -13))
_BLUR_RADIUS = 21
# Distances along columns are kept in a byte.
_GREATEST_RADIUS = 254


def change_radius(thickness: float, mean: float, scale: int) -> tuple[int, int]:
    """Returns the radius (fine pixels) that takes strokes `mean` px thick to `thickness` px, and 1 if they grow."""
    change = float(np.float32(thickness) - np.float32(mean))
    return min(int(scale * abs(change) / 2), _GREATEST_RADIUS), int(change >= 0)


@cache
def half_widths(radius: int) -> np.ndarray:
    """Returns, for each row 0..r off the centre, how far the structuring element reaches: uint8 (r + 1,)."""
    steps = np.arange(radius + 1) * (32 * radius + 1) // (2 * radius + 1)
    squares = np.maximum(0, steps - _BLUR_RADIUS) ** 2
    return ((squares[:, None] + squares <= (16 * radius) ** 2).sum(axis=1) - 1).astype(np.uint8)


@cache
def lone_offsets(radius: int) -> np.ndarray:
    """Returns the offsets (dy, dx) outside of the symmetric part of the structuring element: int64 (K, 2)."""
    return np.array(_LONE if radius == 19 else [], dtype=np.int64).reshape(-1, 2)


def footprint(radius: int) -> np.ndarray:
    """Returns the published structuring element of the radius, bool (2 r + 1, 2 r + 1)."""
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
    """One step of the distance along columns, saturating at 255."""
    for x in range(gap.size):
        far = before[x] + np.uint8(before[x] < 255)
        gap[x] = min(gap[x], np.uint8(far))


@njit(nogil=True)
def _score(target, gap, reach):
    for x in range(target.size):
        target[x] |= gap[x] <= reach


@njit(cache=True, nogil=True)
def spread(binary, box, on, half, lone, gap, result):
    """Dilates the strokes, or the background, by a structuring element.

    The element is symmetric, and its rows are intervals that shrink away from the centre. So mirroring the image at
    its border, as the original does, reaches no pixel that the image itself does not, and the border needs no care.

    Arguments:
        binary: uint8 (H, W), zero outside of `box`.
        box: (top, bottom, left, right); grown by the radius in place when strokes are dilated.
        on: 1 to dilate the strokes, 0 to dilate the background (which erodes the strokes).
        half, lone: :func:`half_widths` and :func:`lone_offsets` of the radius.
        gap: Scratch, uint8 (H, W).
        result: Where the new strokes are written, uint8 (H, W).
    """
    tall, wide = binary.shape
    radius = half.size - 1
    # Background lies all around the box, so one pixel more of it is all that erosion needs from there.
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
            _score(result[y, left:right], gap[y, left + dx : right + dx], half[abs(dx)])
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

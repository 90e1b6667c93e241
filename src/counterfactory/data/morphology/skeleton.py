r"""Computes the distance transform and the medial axis of binary strokes.

The distance of a foreground pixel is the exact Euclidean distance to the nearest background pixel inside the array. Its
square is an integer,

.. math:: D^2(y, x) = \min_k \; g(y, x + k)^2 + k^2

where :math:`g` is the distance to the background along the column (Felzenszwalb and Huttenlocher, 2012). The skeleton
is that of `skimage.morphology.medial_axis`: foreground pixels are visited once, in ascending order of distance, then
of the number of background pixels in their 3 x 3 patch, then of a random permutation. A pixel is removed unless its
removal changes the number of 8-connected components of the patch, or the patch has fewer than three foreground pixels.

The permutation decides between mirror-image skeletons, so it is part of the definition. It is
`numpy.random.RandomState(0).permutation(n)` over the n foreground pixels in raster order, as in scikit-image 0.16, with
which Morpho-MNIST was made (later versions use `default_rng`, by default without a seed).

Arrays in this module are flat, with one pixel of background around the image: pixel (y, x) of an image W pixels wide is
stored at index (y + 1) (W + 2) + x + 1.
"""

from functools import cache

import numpy as np
from numba import njit
from scipy import ndimage

__all__ = ["background_table", "keep_table", "medial_axis", "tie_draws"]

# Larger than any distance in an image; sums of its square fit into 32 bits.
_FAR = 20_000


@cache
def tie_draws(pixels: int) -> np.ndarray:
    """Returns raw 32-bit draws of MT19937 with seed 0, sufficient for a permutation of `pixels` pixels.

    Each step of the shuffle uses fewer than two draws on average; four draws per pixel are provided.
    """
    return np.random.RandomState(0).randint(0, 2**32, size=4 * pixels + 1000, dtype=np.uint32)


@cache
def keep_table() -> np.ndarray:
    """Returns, for each of the 512 patterns of a 3 x 3 patch, whether its centre is kept: uint8 (512,).

    Bit 3 i + j of the pattern is the pixel in row i and column j of the patch.
    """
    keep = np.zeros(512, dtype=np.uint8)
    for index in range(512):
        pattern = (index >> np.arange(9) & 1).reshape(3, 3)
        hollow = pattern.copy()
        hollow[1, 1] = 0
        parts, hollow_parts = (ndimage.label(p, np.ones((3, 3)))[1] for p in (pattern, hollow))
        keep[index] = pattern[1, 1] and (parts != hollow_parts or pattern.sum() < 3)
    return keep


@cache
def background_table() -> np.ndarray:
    """Returns the number of background pixels in each of the 512 patterns of a 3 x 3 patch: uint8 (512,)."""
    return np.array([9 - bin(index).count("1") for index in range(512)], dtype=np.uint8)


@njit(nogil=True)
def _column_gaps(binary, gap, first, last, start, stop):
    """Computes the distance to the nearest background pixel in the same column, inside the box."""
    for y in range(first, last):
        here, on = gap[y, start:stop], binary[y, start:stop]
        if y == first:
            for x in range(here.size):
                here[x] = _FAR if on[x] else 0
        else:
            before = gap[y - 1, start:stop]
            for x in range(here.size):
                here[x] = before[x] + 1 if on[x] else 0
    for y in range(last - 2, first - 1, -1):
        here, after = gap[y, start:stop], gap[y + 1, start:stop]
        for x in range(here.size):
            here[x] = min(here[x], after[x] + 1)


@njit(nogil=True)
def _nearer(best, squares, begin, k):
    """Includes the candidates at distance k along the row; `squares[begin]` is the pixel of `best[0]`."""
    left, right, square = np.uintp(begin - k), np.uintp(begin + k), np.int32(k * k)
    for x in range(np.uintp(best.size)):
        best[x] = min(best[x], np.int32(min(squares[left + x], squares[right + x]) + square))


@njit(nogil=True)
def _nearer_four(best, squares, begin, k):
    """Does the same as :func:`_nearer` for the distances k, ..., k + 3, in one loop."""
    a0, a1, a2, a3 = (
        np.uintp(begin - k),
        np.uintp(begin - k - 1),
        np.uintp(begin - k - 2),
        np.uintp(begin - k - 3),
    )
    b0, b1, b2, b3 = (
        np.uintp(begin + k),
        np.uintp(begin + k + 1),
        np.uintp(begin + k + 2),
        np.uintp(begin + k + 3),
    )
    s0, s1, s2, s3 = np.int32(k * k), np.int32((k + 1) ** 2), np.int32((k + 2) ** 2), np.int32((k + 3) ** 2)
    for x in range(np.uintp(best.size)):
        near = min(best[x], np.int32(min(squares[a0 + x], squares[b0 + x]) + s0))
        near = min(near, np.int32(min(squares[a1 + x], squares[b1 + x]) + s1))
        near = min(near, np.int32(min(squares[a2 + x], squares[b2 + x]) + s2))
        best[x] = min(near, np.int32(min(squares[a3 + x], squares[b3 + x]) + s3))


@njit(nogil=True)
def _distances(binary, box, gap, squares, distance, packed, pixels):
    """Computes the squared distances, lists the foreground pixels in raster order and returns their number.

    In `packed`, bits 0, 1 and 2 of a pixel are its left neighbour, itself and its right neighbour.
    """
    tall, wide = binary.shape
    first, last = max(0, box[0] - 1), min(tall, box[1] + 1)
    start, stop = max(0, box[2] - 1), min(wide, box[3] + 1)
    _column_gaps(binary, gap, first, last, start, stop)
    squares[:] = _FAR * _FAR
    packed[:] = 0
    n = 0
    for y in range(first, last):
        line = gap[y, start:stop]
        square = squares[wide + start : wide + stop]
        for x in range(line.size):
            square[x] = line[x] * line[x]
        base = (y + 1) * (wide + 2) + 1
        x = start
        while x < stop:
            if not binary[y, x]:
                x += 1
                continue
            begin, deepest = x, 0
            while x < stop and binary[y, x]:
                deepest = max(deepest, gap[y, x])
                packed[base + x - 1] |= 4
                packed[base + x] |= 2
                packed[base + x + 1] |= 1
                pixels[n] = base + x
                n += 1
                x += 1
            best = distance[base + begin : base + x]
            own = squares[wide + begin : wide + x]
            for i in range(best.size):
                best[i] = own[i]
            # In a run with background at both ends no distance exceeds half of its length.
            reach = x - begin
            if begin > 0 and x < wide:
                reach = (reach + 1) // 2
            k, farthest = 1, min(reach, deepest)
            while k + 3 <= farthest:
                _nearer_four(best, squares, wide + begin, k)
                k += 4
            while k <= farthest:
                _nearer(best, squares, wide + begin, k)
                k += 1
    return n


@njit(nogil=True)
def _shuffle(order, n, draws):
    """Permutes 0..n-1 exactly as numpy's `RandomState` does (Fisher-Yates from the end, masked rejection)."""
    for p in range(n):
        order[p] = p
    i, cursor = n - 1, 0
    mask = 1
    while mask < i:
        mask = 2 * mask + 1
    while i > 0:
        if i <= mask >> 1:
            mask >>= 1
        draw = np.int64(draws[cursor]) & mask
        cursor += 1
        # A rejected draw swaps a pixel with itself, which avoids a branch.
        accepted = draw <= i
        j = draw if accepted else i
        swap = order[i]
        order[i] = order[j]
        order[j] = swap
        i -= accepted


@njit(nogil=True)
def _pattern(packed, p, stride):
    return np.int64(packed[p - stride]) | np.int64(packed[p]) << 3 | np.int64(packed[p + stride]) << 6


@njit(cache=True, nogil=True)
def medial_axis(
    binary, box, draws, keep, background, gap, squares, distance, packed, pixels, keys, order, visits
):
    """Finds the medial axis of one binary image.

    Arguments:
        binary: The strokes, uint8 (H, W), zero outside of `box`.
        box: (top, bottom, left, right).
        draws: :func:`tie_draws`.
        keep: :func:`keep_table`.
        background: :func:`background_table`.
        gap: Scratch memory, int32 (H, W).
        squares: Scratch memory, int32 (3 W,).
        distance: Output, the squared distances of the foreground: int32, flat with a border.
        packed: Output, the skeleton in bit 1: uint8, flat with a border.
        pixels: Output, the foreground pixels in raster order, int32 (H W,).
        keys: Scratch memory, int32 (H W,).
        order: Scratch memory, int32 (H W,).
        visits: Scratch memory, int32 (H W,).

    Returns:
        The number of foreground pixels, the number of skeleton pixels, and the sum of the distance over the skeleton in
        fine pixels. Without background the distance is undefined, and the last two are zero.
    """
    tall, wide = binary.shape
    stride = wide + 2
    n = _distances(binary, box, gap, squares, distance, packed, pixels)
    if n == 0 or n == tall * wide:
        return n, 0, 0.0
    _shuffle(order, n, draws)
    greatest = 0
    for i in range(n):
        p = pixels[i]
        key = distance[p] * 9 + background[_pattern(packed, p, stride)]
        keys[i] = key
        greatest = max(greatest, key)
        visits[order[i]] = i
    # A stable counting sort by key, then by the permutation.
    places = np.zeros(greatest + 2, dtype=np.int32)
    for i in range(n):
        places[keys[i] + 1] += 1
    for k in range(1, places.size):
        places[k] += places[k - 1]
    for rank in range(n):
        i = visits[rank]
        place = places[keys[i]]
        order[place] = pixels[i]
        places[keys[i]] = place + 1
    for rank in range(n):
        p = order[rank]
        if not keep[_pattern(packed, p, stride)]:
            packed[p - 1] &= 255 - 4
            packed[p] &= 255 - 2
            packed[p + 1] &= 255 - 1
    count, total = 0, 0.0
    for i in range(n):
        p = pixels[i]
        if packed[p] & 2:
            count += 1
            total += np.sqrt(distance[p])
    return n, count, total

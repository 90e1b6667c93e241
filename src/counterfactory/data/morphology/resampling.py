r"""Resamples images between the 28 x 28 grid of MNIST and the fine grid on which strokes are measured.

Upscaling by an even factor :math:`s` is Catmull-Rom interpolation at pixel centres, clipped to the range of the
input, then a Gaussian blur with :math:`\sigma = 2s/6`, then truncation to integer grey levels:

.. math::
    x_i = \frac{i + 1/2}{s} - \frac12, \qquad
    p(t) = f_1 + \tfrac t2\big(f_2 - f_0 + t(2f_0 - 5f_1 + 4f_2 - f_3 + t(3(f_1 - f_2) + f_3 - f_0))\big)

Downscaling blurs with the same kernel, then interpolates at :math:`x_i = s(i + 1/2) - 1/2`, which for even :math:`s` is
the midpoint of two fine pixels. This is the pyramid of scikit-image 0.16, with which the images of Morpho-MNIST were
made (Castro et al., 2019, arXiv:1809.10780). Later versions interpolate by B-splines and give other images.

Sums have the same order as in `scipy.ndimage.correlate1d`, so that results agree to the last bit: inside a stroke,
truncation turns a difference of 1e-16 into one grey level.
"""

# Compiled by numba, which infers other types than mypy.
# mypy: disable-error-code="assignment,call-overload"

from functools import cache
from math import exp

import numpy as np
from numba import njit

__all__ = ["binarise", "blur_weights", "shrink", "trace", "upscale"]

# A bound on the error of the blur in single precision: that of two sums of 22 products of at most 1 is below 4e-6.
_ROUNDING = 1e-5

# The number of values that are summed at once, which fit into the first-level cache.
_BLOCK = 1024


@cache
def blur_weights(scale: int) -> np.ndarray:
    r"""Returns the weights of the blur from the centre outwards.

    Arguments:
        scale: The factor :math:`s`.

    Returns:
        Float64 weights (R + 1,), where :math:`R = \lfloor 4\sigma + 1/2 \rfloor` fine pixels.
    """
    sigma = 2.0 * scale / 6.0
    radius = int(4.0 * sigma + 0.5)
    # The exponential of the C library: that of numpy may differ in the last bit between processors.
    weights = np.array([exp(-0.5 / (sigma * sigma) * k**2) for k in range(-radius, radius + 1)])
    return (weights / weights.sum())[radius:].copy()


@njit(nogil=True)
def _mirror(i, n):
    """Mirrors an index into 0..n-1 without repeating the edge: d c b | a b c d | c b a."""
    if i < 0:
        i = -i
    if i >= n:
        i = 2 * n - 2 - i
    return i


@njit(nogil=True)
def _fold(i, n):
    """Mirrors an index into 0..n-1 repeating the edge: c b a | a b c d | d c b."""
    if i < 0:
        i = -1 - i
    if i >= n:
        i = 2 * n - 1 - i
    return i


@njit(nogil=True)
def _cubic(a, b, c, d, t):
    """Returns the Catmull-Rom interpolation between b (t = 0) and c (t = 1)."""
    return b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))


@njit(nogil=True)
def _scale_row(total, row, weight):
    for x in range(total.size):
        total[x] = row[x] * weight


@njit(nogil=True)
def _add_pair(total, one, other, weight):
    for x in range(total.size):
        total[x] += (one[x] + other[x]) * weight


@njit(nogil=True)
def _add_seven(total, source, centre, step, weights, k):
    """Adds the pairs of taps k, k - 1, ..., k - 6, in this order. Unsigned indices are not checked for their sign."""
    a0, b0 = np.uintp(centre - k * step), np.uintp(centre + k * step)
    a1, b1 = np.uintp(centre - (k - 1) * step), np.uintp(centre + (k - 1) * step)
    a2, b2 = np.uintp(centre - (k - 2) * step), np.uintp(centre + (k - 2) * step)
    a3, b3 = np.uintp(centre - (k - 3) * step), np.uintp(centre + (k - 3) * step)
    a4, b4 = np.uintp(centre - (k - 4) * step), np.uintp(centre + (k - 4) * step)
    a5, b5 = np.uintp(centre - (k - 5) * step), np.uintp(centre + (k - 5) * step)
    a6, b6 = np.uintp(centre - (k - 6) * step), np.uintp(centre + (k - 6) * step)
    w0, w1, w2, w3 = weights[k], weights[k - 1], weights[k - 2], weights[k - 3]
    w4, w5, w6 = weights[k - 4], weights[k - 5], weights[k - 6]
    for x in range(np.uintp(total.size)):
        value = total[x] + (source[a0 + x] + source[b0 + x]) * w0
        value += (source[a1 + x] + source[b1 + x]) * w1
        value += (source[a2 + x] + source[b2 + x]) * w2
        value += (source[a3 + x] + source[b3 + x]) * w3
        value += (source[a4 + x] + source[b4 + x]) * w4
        value += (source[a5 + x] + source[b5 + x]) * w5
        total[x] = value + (source[a6 + x] + source[b6 + x]) * w6


@njit(nogil=True)
def _blur(source, centre, step, weights, total):
    """Blurs a flat array: `total[x]` is centred at `source[x + centre]`, with taps at multiples of `step`.

    Seven pairs of taps at a time load and store the sums less often than single pairs; the order of the sum is the
    same.
    """
    n, k = total.size, weights.size - 1
    _scale_row(total, source[centre : centre + n], weights[0])
    while k >= 7:
        _add_seven(total, source, centre, step, weights, k)
        k -= 7
    while k > 0:
        above, below = centre - k * step, centre + k * step
        _add_pair(total, source[above : above + n], source[below : below + n], weights[k])
        k -= 1


@njit(nogil=True)
def _set_row(target, source, present):
    for x in range(target.size):
        target[x] = source[x] if present else 0


@njit(nogil=True)
def _mirror_rows(rows, first, last, radius, height, start, stop):
    """Fills the R rows before `first` and after `last - 1`: the mirror image (edge repeated) at the image's own
    border, zero elsewhere. Row y of the image is stored at `rows[y + R]`.
    """
    top, bottom = first + radius, last + radius
    for k in range(radius):
        _set_row(rows[top - 1 - k, start:stop], rows[top + k, start:stop], first == 0)
        _set_row(rows[bottom + k, start:stop], rows[bottom - 1 - k, start:stop], last == height)


@njit(nogil=True)
def _mirror_ends(line, radius, start, stop, width):
    """Fills R values on each side of `line[R : R + stop - start]`, as :func:`_mirror_rows` does."""
    size = stop - start
    for k in range(radius):
        line[radius - 1 - k] = line[radius + k] if start == 0 else 0
        line[radius + size + k] = line[radius + size - 1 - k] if stop == width else 0


@njit(nogil=True)
def _blur_row(rows, y, weights, line, total, start, stop, wide):
    """Blurs row `y` both ways, columns start..stop-1 of `wide`, into `total[: stop - start]`."""
    radius, stride, size = weights.size - 1, rows.shape[1], stop - start
    _blur(rows.reshape(rows.size), y * stride + start, stride, weights, line[radius : radius + size])
    _mirror_ends(line, radius, start, stop, wide)
    _blur(line, radius, 1, weights, total[:size])


@njit(nogil=True)
def _content(image, scale, radius, box):
    """Returns the range of the image; writes in `box` the bounds of what may be non-zero in the upscaled image."""
    height, width = image.shape
    least, greatest = 255, 0
    top, bottom, left, right = height, 0, width, 0
    for y in range(height):
        for x in range(width):
            value = np.int64(image[y, x])
            least = min(least, value)
            greatest = max(greatest, value)
            if value > 0:
                top, bottom = min(top, y), y + 1
                left, right = min(left, x), max(right, x + 1)
    margin = 2 * scale + radius
    box[0], box[1] = max(0, top * scale - margin), min(height * scale, bottom * scale + margin)
    box[2], box[3] = max(0, left * scale - margin), min(width * scale, right * scale + margin)
    return least, greatest


@njit(nogil=True)
def _interpolate_along(image, scale, columns):
    """Interpolates along the rows of the image: `columns` (H, Ws) are grey levels times 1/255."""
    height, width = image.shape
    unit, half = 1.0 / 255.0, scale // 2
    for y in range(height):
        for j in range(-1, width):
            a = image[y, _mirror(j - 1, width)] * unit
            b = image[y, _mirror(j, width)] * unit
            c = image[y, _mirror(j + 1, width)] * unit
            d = image[y, _mirror(j + 2, width)] * unit
            x = j * scale + half
            phases = columns[y, max(0, x) : min(width * scale, x + scale)]
            if a + b + c + d == 0.0:
                phases[:] = 0.0
                continue
            skipped = max(0, -x)
            for phase in range(phases.size):
                phases[phase] = _cubic(a, b, c, d, (phase + skipped + 0.5) / scale)


@njit(nogil=True)
def _interpolate_down(columns, height, y, scale, low, high, total, start, stop):
    """Interpolates along the columns: fine row `y`, columns start..stop-1, clipped to low..high."""
    j = (y + scale // 2) // scale - 1
    t = (y - j * scale - scale // 2 + 0.5) / scale
    a = columns[_mirror(j - 1, height), start:stop]
    b = columns[_mirror(j, height), start:stop]
    c = columns[_mirror(j + 1, height), start:stop]
    d = columns[_mirror(j + 2, height), start:stop]
    total = total[start:stop]
    for x in range(total.size):
        total[x] = min(max(_cubic(a[x], b[x], c[x], d[x], t), low), high)


@njit(nogil=True)
def _blur_flat(source, centre, step, weights, total):
    """Blurs many rows at once, as :func:`_blur` does."""
    for begin in range(0, total.size, _BLOCK):
        _blur(source, begin + centre, step, weights, total[begin : begin + _BLOCK])


@njit(cache=True, nogil=True)
def upscale(image, scale, weights, columns, rows, down, both, fine, box):
    """Upscales one image.

    Arguments:
        image: uint8 (H, W).
        scale: Even factor s.
        weights: :func:`blur_weights` of the scale, (R + 1,).
        columns: Scratch memory, float64 (H, Ws), finite.
        rows: Scratch memory, float64 (Hs + 2R, Ws + 2R), finite.
        down: Scratch memory, float64 ((Hs + 1) (Ws + 2R),), finite.
        both: Scratch memory, float64 ((Hs + 1) (Ws + 2R),), finite.
        fine: Output, uint8 (Hs, Ws).
        box: Output, the bounds of what may be non-zero: (top, bottom, left, right), int64 (4,).

    Returns:
        The minimum and the maximum of the output.
    """
    height, width = image.shape
    tall, wide = fine.shape
    radius = weights.size - 1
    least, greatest = _content(image, scale, radius, box)
    fine[:] = 0
    if greatest == 0:
        return 0, 0
    first, last, start, stop = box[0], box[1], box[2], box[3]
    low, high = least * (1.0 / 255.0), greatest * (1.0 / 255.0)
    _interpolate_along(image, scale, columns)
    for y in range(first, last):
        _interpolate_down(columns, height, y, scale, low, high, rows[y + radius], start, stop)
    _mirror_rows(rows, first, last, radius, tall, start, stop)
    # Rows are separated by R values and blurred as one array; values that mix two rows are not used.
    stride = wide + 2 * radius
    size = (last - first) * stride
    _blur_flat(
        rows.reshape(rows.size), (first + radius) * stride, stride, weights, down[radius : radius + size]
    )
    for y in range(last - first):
        _mirror_ends(down[y * stride + start :], radius, start, stop, wide)
    _blur_flat(down, radius, 1, weights, both[:size])
    darkest, brightest = np.uint8(255), np.uint8(0)
    for y in range(first, last):
        source, target = both[(y - first) * stride + start :], fine[y, start:stop]
        for x in range(target.size):
            target[x] = np.int32(255.0 * source[x])
        for x in range(target.size):
            darkest = min(darkest, target[x])
            brightest = max(brightest, target[x])
    least, greatest = np.int64(darkest), np.int64(brightest)
    if last - first < tall or stop - start < wide:
        least = 0
    return least, greatest


@njit(nogil=True)
def _exact(columns, scale, weights, low, high, y, x, tall, wide):
    """Returns the upscaled image at one fine pixel in double precision, before the truncation in :func:`upscale`."""
    height, radius = columns.shape[0], weights.size - 1
    down = np.empty(2 * radius + 1)
    along = np.empty(2 * radius + 1)
    for m in range(2 * radius + 1):
        column = _fold(x + m - radius, wide)
        for k in range(2 * radius + 1):
            row = _fold(y + k - radius, tall)
            j = (row + scale // 2) // scale - 1
            t = (row - j * scale - scale // 2 + 0.5) / scale
            a, b = columns[_mirror(j - 1, height), column], columns[_mirror(j, height), column]
            c, d = columns[_mirror(j + 1, height), column], columns[_mirror(j + 2, height), column]
            down[k] = min(max(_cubic(a, b, c, d, t), low), high)
        total = down[radius] * weights[0]
        for k in range(radius, 0, -1):
            total += (down[radius - k] + down[radius + k]) * weights[k]
        along[m] = total
    total = along[radius] * weights[0]
    for k in range(radius, 0, -1):
        total += (along[radius - k] + along[radius + k]) * weights[k]
    return total


@njit(nogil=True)
def _widen(ends, row):
    """Includes the values of a row, float32 and none of them negative, in the range `ends`, float32 (2,).

    Bits of such numbers have the order of the numbers. Comparisons of bits are vectorized, those of numbers are not.
    """
    bits, values = ends.view(np.int32), row.view(np.int32)
    least, greatest = bits[0], bits[1]
    for x in range(values.size):
        least = min(least, values[x])
        greatest = max(greatest, values[x])
    bits[0], bits[1] = least, greatest


@njit(nogil=True)
def _any(row):
    some = np.uint8(0)
    for x in range(row.size):
        some |= row[x]
    return some


@njit(nogil=True)
def _fit(binary, box):
    """Reduces `box` to the bounds of the pixels within it that are 1."""
    first, last, left, right = box[1], box[0], box[3], box[2]
    start, stop = box[2], box[3]
    for y in range(box[0], box[1]):
        if _any(binary[y, start:stop]):
            first, last = min(first, y), y + 1
            x = start
            while x < left and not binary[y, x]:
                x += 1
            left = min(left, x)
            x = stop
            while x > right and not binary[y, x - 1]:
                x -= 1
            right = max(right, x)
    box[0], box[1], box[2], box[3] = first, last, left, right


@njit(cache=True, nogil=True)
def trace(image, scale, weights, light, columns, rows, line, total, rough, binary, box):
    """Binarises the upscaled image at half of its range, without upscaling it exactly.

    The blur is computed in single precision, which is twice as fast. A fine pixel whose distance to the threshold is
    below the error bound (about two of 200,000) is computed again in double precision, so the result equals that of
    :func:`upscale` and :func:`binarise` bit by bit.

    Arguments:
        image: As for :func:`upscale`.
        scale: As for :func:`upscale`.
        weights: As for :func:`upscale`.
        light: The weights, float32 (R + 1,).
        columns: Scratch memory, float64 (H, Ws).
        rows: Scratch memory, float32 (Hs + 2R, Ws).
        line: Scratch memory, float32 (Ws + 2R,).
        total: Scratch memory, float32 (Ws,).
        rough: Scratch memory, float32 (Hs, Ws).
        binary: Output, uint8 (Hs, Ws).
        box: Output, the bounds of the strokes.

    Returns:
        Whether the range is certain; if not, `binary` is not written.
    """
    height, width = image.shape
    tall, wide = binary.shape
    radius = weights.size - 1
    least, greatest = _content(image, scale, radius, box)
    if greatest == 0 or least > 0:
        return False
    low, high = 0.0, greatest * (1.0 / 255.0)
    first, last, start, stop = box[0], box[1], box[2], box[3]
    _interpolate_along(image, scale, columns)
    for y in range(first, last):
        _interpolate_down(columns, height, y, scale, low, high, rows[y + radius], start, stop)
    _mirror_rows(rows, first, last, radius, tall, start, stop)
    seen = np.array([1.0, 0.0], dtype=np.float32)
    for y in range(first, last):
        target = rough[y, start:stop]
        _blur_row(rows, y + radius, light, line, target, start, stop, wide)
        _widen(seen, target)
    top = np.int64(255.0 * (seen[1] + _ROUNDING))
    bounded = last - first < tall or stop - start < wide
    if top != np.int64(255.0 * (seen[1] - _ROUNDING)) or not (bounded or 255.0 * seen[0] < 0.5):
        return False
    level = (top + 1) // 2
    sure, unsure = np.float32(level / 255.0 + _ROUNDING), np.float32(level / 255.0 - _ROUNDING)
    binary[:] = 0
    for y in range(first, last):
        source, target = rough[y, start:stop], binary[y, start:stop]
        doubts = 0
        for x in range(target.size):
            target[x] = source[x] >= sure
            doubts += (source[x] >= unsure) & (source[x] < sure)
        if doubts:
            for x in range(target.size):
                if unsure <= source[x] < sure:
                    exact = _exact(columns, scale, weights, low, high, y, start + x, tall, wide)
                    target[x] = np.int64(255.0 * exact) >= level
    _fit(binary, box)
    return True


@njit(nogil=True)
def _full(weights):
    """Returns the blur of a constant image of ones, with the rounding errors of the blur."""
    column = weights[0]
    for k in range(weights.size - 1, 0, -1):
        column += 2.0 * weights[k]
    full = column * weights[0]
    for k in range(weights.size - 1, 0, -1):
        full += (column + column) * weights[k]
    return full


@njit(cache=True, nogil=True)
def shrink(binary, box, scale, weights, rows, line, total, samples, image):
    """Downscales one image to grey levels.

    Only the four rows and columns around each sample are blurred. The original clips to the range of the whole blurred
    image; that range is computed only where it can change a grey level, in about one of a hundred images.

    Arguments:
        binary: 0 or 1, uint8 (Hs, Ws), or float64 within [0, 1]; zero outside of `box`.
        box: (top, bottom, left, right).
        scale: Even factor s, at least 4.
        weights: :func:`blur_weights` of the scale, (R + 1,).
        rows: Scratch memory, float64 (Hs + 2R, Ws + 2R).
        line: Scratch memory, float64 (Ws + 2R,).
        total: Scratch memory, float64 (Ws,).
        samples: Scratch memory, float64 (4, W).
        image: Output, uint8 (H, W).
    """
    tall, wide = binary.shape
    height, width = image.shape
    radius = weights.size - 1
    image[:] = 0
    if box[1] <= box[0]:
        return
    first, last = max(0, box[0] - radius), min(tall, box[1] + radius)
    start, stop = max(0, box[2] - radius), min(wide, box[3] + radius)
    for y in range(first, last):
        source, target = binary[y, start:stop], rows[y + radius, start:stop]
        for x in range(target.size):
            target[x] = source[x]
    _mirror_rows(rows, first, last, radius, tall, start, stop)
    values = np.empty((height, width))
    # The range of the part of the blurred image that is computed.
    greatest = 0.0
    low, high = (0.0 if last - first < tall or stop - start < wide else 1.0), 0.0
    total[:] = 0.0
    for i in range(height):
        for k in range(4):
            y = i * scale + scale // 2 - 2 + k
            if y < first or y >= last:
                samples[k] = 0.0
                continue
            _blur_row(rows, y + radius, weights, line, total[start:], start, stop, wide)
            for j in range(width):
                x = j * scale + scale // 2 - 2
                a, b, c, d = total[x], total[x + 1], total[x + 2], total[x + 3]
                samples[k, j] = _cubic(a, b, c, d, 0.5)
                high = max(high, max(max(a, b), max(c, d)))
                low = min(low, min(min(a, b), min(c, d)))
        for j in range(width):
            value = _cubic(samples[0, j], samples[1, j], samples[2, j], samples[3, j], 0.5)
            values[i, j] = value
            greatest = max(greatest, value)
    if low > 0.0 or (high < _full(weights) and np.int64(255.0 * greatest) > np.int64(255.0 * high)):
        for y in range(first, last):
            _blur_row(rows, y + radius, weights, line, total[start:], start, stop, wide)
            for x in range(start, stop):
                low, high = min(low, total[x]), max(high, total[x])
    for i in range(height):
        for j in range(width):
            image[i, j] = np.uint8(255.0 * min(max(values[i, j], low), high))


@njit(cache=True, nogil=True)
def binarise(fine, cut, binary, box):
    """Writes in `binary` whether `fine` is at least `cut`, and reduces `box` to the bounds of these pixels."""
    binary[:] = 0
    start, stop = box[2], box[3]
    for y in range(box[0], box[1]):
        source, target = fine[y, start:stop], binary[y, start:stop]
        for x in range(target.size):
            target[x] = source[x] >= cut
    _fit(binary, box)

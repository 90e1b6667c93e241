r"""Renders a digit at a given thickness and intensity: the image as a function of its parents and of the handwriting.

.. math:: x = \lfloor \min(255, (i / m)\, x_t) \rfloor, \qquad x_t = \mathrm{downscale}(\mathrm{SetThickness}_t(d))

where :math:`d` is the original digit, the exogenous noise of the image, and :math:`m` is the median of the pixels of
:math:`x_t` that are at least half of its range. Rendering is deterministic: MNIST and the published table of thickness
and intensity give the published images bit by bit (Pawlowski et al., 2020, arXiv:2006.06485).
"""

import numpy as np
from numba import njit

from ...core.errors import UserError
from .reuse import kept_shapes, load_strokes
from .thickness import change_radius
from .workspace import Workspace, as_images, in_threads

__all__ = ["RENDER_SCALE", "intensities", "render", "set_intensity", "targets"]

RENDER_SCALE = 16


@njit(cache=True, nogil=True)
def _bright_median(image):
    """Returns the median of the pixels that are at least half of the range of the image, in grey levels."""
    counts = np.zeros(256, dtype=np.int64)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            counts[image[y, x]] += 1
    low, high = 0, 255
    while counts[low] == 0:
        low += 1
    while counts[high] == 0:
        high -= 1
    # The smallest grey level v with v >= low + (high - low) / 2.
    cut = (low + high + 1) // 2
    n = 0
    for value in range(cut, 256):
        n += counts[value]
    seen, lower = 0, -1
    for value in range(cut, 256):
        seen += counts[value]
        if lower < 0 and 2 * seen >= n:
            lower = value
        if 2 * seen > n:
            return 0.5 * (lower + value)
    return 0.5 * (lower + 255)


@njit(cache=True, nogil=True)
def set_intensity(image, intensity):
    """Scales a uint8 image (H, W) in place so that its bright pixels have the median `intensity` (grey levels).

    Grey levels are clipped to 255 and truncated, so the median is up to one level lower. A black image is unchanged.
    """
    median = _bright_median(image)
    if median == 0.0:
        return
    factor = intensity / median
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            image[y, x] = np.uint8(min(255.0, image[y, x] * factor))


def intensities(images: np.ndarray) -> np.ndarray:
    """Measures intensity: the median of the pixels that are at least half of the range of the image.

    Arguments:
        images: uint8 (N, H, W) or (N, 1, H, W).

    Returns:
        Grey levels, float64 (N,).
    """
    return np.array([_bright_median(image) for image in as_images(images)], dtype=np.float64)


def targets(name: str, values: np.ndarray, digits: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns one target value per digit, rounded to single precision as in the published tables.

    Raises:
        UserError: If the number of values is not that of the digits, or a value is outside of (low, high].
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(digits),):
        raise UserError(f"{name}: shape {values.shape}; one value per digit is required, ({len(digits)},)")
    wrong = ~((values > low) & (values <= high))
    if wrong.any():
        raise UserError(f"{name}: {values[wrong][0]:g} is outside of ({low:g}, {high:g}]")
    return values.astype(np.float32).astype(np.float64)


def render(digits: np.ndarray, thickness: np.ndarray, intensity: np.ndarray, threads: int = 1) -> np.ndarray:
    """Renders digits at given thickness and intensity as in the published set (scale 16).

    Both targets are rounded to single precision, as in the published tables. The radius of the dilation or erosion is
    an integer on a grid 16 times finer, so the measured thickness changes in steps of 0.125 px. A digit that erosion
    removes completely is black.

    Arguments:
        digits: uint8 (N, H, W); the published ones are 28 x 28.
        thickness: px, (N,).
        intensity: Grey levels, (N,).
        threads: The number of threads.

    Returns:
        uint8 (N, H, W).

    Raises:
        UserError: If shapes disagree, or a thickness or intensity is not a positive number.
    """
    digits = as_images(digits)
    thickness = targets("thickness", thickness, digits, 0.0, min(digits.shape[1:]))
    intensity = targets("intensity", intensity, digits, 0.0, 255.0)
    images = np.zeros_like(digits)

    def work(rows: np.ndarray) -> None:
        space = Workspace(digits.shape[1:], RENDER_SCALE)
        for row in rows:
            _set_shape(space, digits[row], thickness[row], images[row])
            set_intensity(images[row], intensity[row])

    in_threads(work, len(digits), threads)
    return images


def _set_shape(space: Workspace, digit: np.ndarray, thickness: float, image: np.ndarray) -> None:
    """Renders a digit at a thickness (px), at full contrast, into `image`, uint8 (H, W) and black so far."""
    mean = load_strokes(space, digit)
    if not space.contrast:
        return
    # The thickness acts through the radius only.
    key = (digit.shape, digit.tobytes(), change_radius(thickness, mean, space.scale))
    found = kept_shapes.get(key)
    if found is not None:
        image[:] = found
        return
    space.set_thickness(thickness, mean)
    space.downscale(space.changed, image, space.box)
    kept_shapes.put(key, image.copy())

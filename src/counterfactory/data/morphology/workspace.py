"""Holds the scratch memory of one worker for images of one shape and scale, and the stages of their analysis.

All memory is allocated once: allocating temporary arrays of several hundred kilobytes for each image costs as much time
as the arithmetic. Compiled functions of different modules are combined here, in Python, so that the compiled code of a
module depends on that module alone and its cache on disk is never stale.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...core.errors import UserError
from .resampling import binarise, blur_weights, shrink, trace, upscale
from .skeleton import background_table, keep_table, medial_axis, tie_draws
from .thickness import change_radius, half_widths, lone_offsets, spread

__all__ = ["Workspace", "as_images", "in_threads"]

_THRESHOLD = 0.5


class Workspace:
    """The scratch memory and the stages of the analysis of one image at a time.

    Arguments:
        shape: The shape (H, W) of an image.
        scale: The factor s of the fine grid, even and at least 4.

    Attributes:
        fine: The upscaled image, uint8 (Hs, Ws).
        content: The bounds (top, bottom, left, right) of the part of `fine` that may be non-zero.
        binary: 1 where `fine` is at least half of its range, uint8 (Hs, Ws).
        changed: The strokes at another thickness, uint8 (Hs, Ws).
        box: The bounds of `binary`, or of `changed`.
        whole: The bounds of the whole image.
        contrast: Whether the image has strokes; a constant image has none.
    """

    def __init__(self, shape: tuple[int, int], scale: int) -> None:
        if scale < 4 or scale % 2:
            raise UserError(f"scale {scale}: must be an even number, at least 4")
        height, width = shape
        tall, wide = height * scale, width * scale
        self.shape, self.scale, self.weights = shape, scale, blur_weights(scale)
        radius = self.weights.size - 1
        self.fine = np.zeros((tall, wide), dtype=np.uint8)
        self.binary = np.zeros((tall, wide), dtype=np.uint8)
        self.changed = np.zeros((tall, wide), dtype=np.uint8)
        self.content, self.box = np.zeros(4, dtype=np.int64), np.zeros(4, dtype=np.int64)
        self.whole = np.array([0, tall, 0, wide])
        self.contrast = False
        self.distance = np.zeros((tall + 2) * (wide + 2), dtype=np.int32)
        self.packed = np.zeros((tall + 2) * (wide + 2), dtype=np.uint8)
        self._columns = np.empty((height, wide))
        self._rows = np.zeros((tall + 2 * radius, wide + 2 * radius))
        self._down, self._both = (np.zeros((tall + 1) * (wide + 2 * radius)) for _ in range(2))
        self._line, self._total = np.empty(wide + 2 * radius), np.empty(wide)
        self._light = self.weights.astype(np.float32)
        self._light_rows = np.empty((tall + 2 * radius, wide), np.float32)
        self._light_line, self._light_total = (
            np.empty(wide + 2 * radius, np.float32),
            np.empty(wide, np.float32),
        )
        self._rough = np.empty((tall, wide), np.float32)
        self._samples = np.empty((4, width))
        self._tables = (tie_draws(tall * wide), keep_table(), background_table())
        self._gap, self._squares = np.empty((tall, wide), np.int32), np.empty(3 * wide, np.int32)
        self._pixels, self._keys, self._order, self._visits = (
            np.empty(tall * wide, np.int32) for _ in range(4)
        )
        self._reach = np.empty((tall, wide), np.uint8)

    def find_strokes(self, image: np.ndarray) -> None:
        """Computes `fine` and `binary` from a uint8 image (H, W)."""
        scratch = (self._columns, self._rows, self._down, self._both)
        least, greatest = upscale(image, self.scale, self.weights, *scratch, self.fine, self.content)
        self.box[:] = self.content
        binarise(self.fine, least + _THRESHOLD * (greatest - least), self.binary, self.box)
        self.contrast = greatest > least

    def trace_strokes(self, image: np.ndarray) -> None:
        """Computes `binary` from a uint8 image (H, W) as :meth:`find_strokes` does, but faster and without `fine`."""
        scratch = (self._light_rows, self._light_line, self._light_total, self._rough)
        self.contrast = trace(
            image, self.scale, self.weights, self._light, self._columns, *scratch, self.binary, self.box
        )
        if not self.contrast:
            self.find_strokes(image)

    def find_skeleton(self) -> tuple[int, float]:
        """Computes `distance` and `packed`.

        Returns:
            The number of foreground pixels, and the mean thickness in px (NaN without a skeleton).
        """
        scratch = (self._pixels, self._keys, self._order, self._visits)
        pixels, count, total = medial_axis(
            self.binary,
            self.box,
            *self._tables,
            self._gap,
            self._squares,
            self.distance,
            self.packed,
            *scratch,
        )
        return pixels, 2.0 * total / count / self.scale if count else np.nan

    def set_thickness(self, thickness: float, mean: float) -> None:
        """Computes `changed` and its `box`: strokes of mean thickness `mean` px at the thickness `thickness` px."""
        radius, thicker = change_radius(thickness, mean, self.scale)
        spread(
            self.binary,
            self.box,
            thicker,
            half_widths(radius),
            lone_offsets(radius),
            self._reach,
            self.changed,
        )

    def downscale(self, fine: np.ndarray, image: np.ndarray, box: np.ndarray) -> None:
        """Downscales `fine`, uint8 0/1 or float64 in [0, 1], zero outside of `box`, into `image`, uint8 (H, W)."""
        scratch = (self._rows, self._line, self._total, self._samples)
        shrink(fine, box, self.scale, self.weights, *scratch, image)


def as_images(images: np.ndarray) -> np.ndarray:
    """Returns grey images as contiguous uint8 (N, H, W), without a channel axis.

    Raises:
        UserError: If they are not uint8 (N, H, W) or (N, 1, H, W).
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise UserError(
            f"images: uint8 grey levels are required, not {images.dtype}; round and cast them first"
        )
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    if images.ndim != 3:
        raise UserError(f"images: shape (N, H, W) or (N, 1, H, W) is required, not {images.shape}")
    return np.ascontiguousarray(images)


def in_threads(work: Callable[[np.ndarray], None], n: int, threads: int) -> None:
    """Calls `work` on a part of the rows 0..n-1 in each of `threads` threads; compiled code releases the GIL."""
    threads = max(1, min(threads, n))
    shares = [np.arange(first, n, threads) for first in range(threads)]
    if threads == 1:
        work(shares[0])
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, shares))

"""Keeps the strokes and the renderings of recent images, which do not depend on what is asked of an image.

Tracing an image on the fine grid and finding its skeleton takes most of the time of a rendering. Both depend on the
image alone, and the rendered image before its intensity is set depends on the image and the radius of the change of
thickness. Many questions are asked of the same image, so the results of recent ones are kept. The images are the same
bit by bit.

Keys are the bytes of the images. Memory is bounded: at most :data:`STROKES` strokes, about 10 KiB each (at most 26 for
28 x 28 px at scale 16), and :data:`SHAPES` renderings, about 2 KiB each. The oldest one in use is dropped first.
"""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from .workspace import Workspace

__all__ = ["Recent", "kept_shapes", "kept_strokes", "load_strokes"]

STROKES, SHAPES = 2_048, 8_192
"""The number of strokes and of renderings that are kept."""


class Recent:
    """Values by key, of which the last used ones are kept; threads may share it.

    Arguments:
        size: The number of values that are kept.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> Any:
        """Returns the value of a key, or None if there is none."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        """Keeps a value, and drops the one that was not used for the longest time if there are too many."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Drops all values."""
        with self._lock:
            self._values.clear()

    def __len__(self) -> int:
        return len(self._values)


kept_strokes, kept_shapes = Recent(STROKES), Recent(SHAPES)


class _Strokes(NamedTuple):
    """The strokes of an image on the fine grid.

    Arguments:
        contrast: Whether there are strokes.
        box: The bounds (top, bottom, left, right) of the strokes.
        packed: The pixels within the bounds, one bit each.
        mean: The mean thickness in px.
    """

    contrast: bool
    box: np.ndarray
    packed: np.ndarray
    mean: float


def load_strokes(space: Workspace, image: np.ndarray) -> float:
    """Sets `contrast`, `binary` and `box` of a workspace to those of an image, as `trace_strokes` does.

    Arguments:
        space: The workspace.
        image: uint8 (H, W).

    Returns:
        The mean thickness in px, as `find_skeleton` returns it; NaN for an image without strokes.
    """
    key = (space.scale, image.shape, image.tobytes())
    found = kept_strokes.get(key)
    if found is None:
        space.trace_strokes(image)
        mean = space.find_skeleton()[1] if space.contrast else np.nan
        top, bottom, left, right = space.box
        inside = space.binary[top:bottom, left:right]
        kept_strokes.put(key, _Strokes(space.contrast, space.box.copy(), np.packbits(inside), mean))
        return mean
    space.contrast, space.box[:] = found.contrast, found.box
    top, bottom, left, right = found.box
    height, width = bottom - top, right - left
    space.binary[:] = 0
    bits = np.unpackbits(found.packed, count=height * width)
    space.binary[top:bottom, left:right] = bits.reshape(height, width)
    return found.mean

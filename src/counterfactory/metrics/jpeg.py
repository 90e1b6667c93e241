"""JPEG compression of images before scoring, as in published evaluation scripts.

Those scripts read answers and factual images from files of quality 75, the default of Pillow. Compression smooths both
and hides small differences. It is off by default, and an option of each metric, so that values can be compared with
published tables.
"""

from io import BytesIO

import numpy as np
from PIL import Image

__all__ = ["QUALITY", "jpeg_round_trip"]

QUALITY = 75


def jpeg_round_trip(images: np.ndarray, quality: int = QUALITY) -> np.ndarray:
    """Returns images after JPEG compression and decompression.

    Arguments:
        images: Uint8 images with shape (N, C, H, W), C 1 or 3; one channel is written as grey.
        quality: The quality, as Pillow defines it.

    Returns:
        Uint8 images of the same shape.
    """
    back = np.empty_like(images)
    for row, image in enumerate(images):
        with BytesIO() as file:
            Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(
                file, format="JPEG", quality=quality
            )
            decoded = np.asarray(Image.open(file))
        back[row] = decoded[None] if decoded.ndim == 2 else decoded.transpose(2, 0, 1)
    return back

"""A trip through JPEG: what published evaluation scripts do to images before they look at them.

They read answers and originals from files written at quality 75, the default of Pillow, which softens both and hides
small differences. It is off by default here, and an option of each metric so that tables can be compared.
"""

from io import BytesIO

import numpy as np
from PIL import Image

__all__ = ["QUALITY", "jpeg_round_trip"]

QUALITY = 75


def jpeg_round_trip(images: np.ndarray, quality: int = QUALITY) -> np.ndarray:
    """Returns images as they come back from a JPEG file.

    Arguments:
        images: Uint8 images with shape (N, C, H, W), C 1 or 3; one channel is written as grey.
        quality: Pillow's quality.

    Returns:
        Uint8 images of the same shape.
    """
    back = np.empty_like(images)
    for row, image in enumerate(images):
        with BytesIO() as file:
            Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(
                file, format="JPEG", quality=quality
            )
            read = np.asarray(Image.open(file))
        back[row] = read[None] if read.ndim == 2 else read.transpose(2, 0, 1)
    return back

"""Augmentation of training images: shifts by whole pixels, which change no parent."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["shift_images"]


def shift_images(images: Tensor, pixels: int, generator: torch.Generator, fill: float = 0.0) -> Tensor:
    """Shifts each image by a random whole number of pixels in each direction, uniform in [-`pixels`, `pixels`].

    Pixels shifted out of the image are lost.

    Arguments:
        images: Images with shape (B, C, H, W), of any type.
        pixels: The largest shift in px; 0 changes neither the images nor the generator.
        generator: The generator of the shifts, on the device of the images.
        fill: The value of pixels that enter at the border: black, which is 0 for bytes and -1 for [-1, 1].

    Returns:
        Images of the same shape and type.
    """
    if pixels == 0:
        return images
    count, channels, height, width = images.shape
    padded = F.pad(images, (pixels,) * 4, value=fill)  # (B, C, H + 2S, W + 2S)
    corner = torch.randint(2 * pixels + 1, (2, count, 1), generator=generator, device=images.device)
    rows = (corner[0] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (corner[1] + torch.arange(width, device=images.device))[:, None, None, :]
    image = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[image, channel, rows, columns]

"""Augmentation of training images by changes that keep the parents: shifts by whole pixels, and mirror images."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["mirror_images", "shift_images"]


def mirror_images(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors each image left to right with probability 1/2.

    Arguments:
        images: Images with shape (B, C, H, W), of any type.
        generator: The generator of the choices, on the device of the images.

    Returns:
        Images of the same shape and type.
    """
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


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

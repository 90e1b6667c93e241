"""Augmentation of training images: moves by whole pixels, which change no parent."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["shift_images"]


def shift_images(images: Tensor, pixels: int, generator: torch.Generator, fill: float = 0.0) -> Tensor:
    """Moves each image by a whole number of pixels each way, drawn uniformly from -`pixels` to `pixels`.

    What leaves is lost.

    Arguments:
        images: Images with shape (B, C, H, W), of any type.
        pixels: The largest shift in px; 0 leaves the images and the generator alone.
        generator: Where the shifts are drawn from; on the device of the images.
        fill: What enters at the rim: the black of the images, 0 as bytes and -1 in [-1, 1].

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

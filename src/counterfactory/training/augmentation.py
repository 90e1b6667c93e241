"""Augmentation of training images by changes that keep the parents: mirror images, shifts and erased squares.

Erasing a square of each image (DeVries and Taylor, 2017, arXiv:1708.04552; Zhong et al., 2017, arXiv:1708.04896) makes
a network use several regions of an image, which delays overfitting if there are few training images.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Augmentation", "erase_squares", "mirror_images", "shift_images"]


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of a training: mirror images, then shifts, then erased squares.

    Arguments:
        shift: The largest shift in px; 0: none.
        mirror: Whether images are mirrored left to right with probability 1/2.
        erase: The side of the erased squares in px; 0: none.
    """

    shift: int = 0
    mirror: bool = False
    erase: int = 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Returns images of the same shape and type, (B, C, H, W)."""
        if self.mirror:
            images = mirror_images(images, generator)
        images = shift_images(images, self.shift, generator)
        return erase_squares(images, self.erase, generator)


def erase_squares(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Replaces one square of each image by the mean of each of its channels.

    The centres are uniform over the pixels, so that a part of a square can lie outside of its image.

    Arguments:
        images: Images with shape (B, C, H, W), of any type.
        side: The side of the squares in px; 0 changes neither the images nor the generator.
        generator: The generator of the centres, on the device of the images.

    Returns:
        Images of the same shape and type.
    """
    if side == 0:
        return images
    count, _, *size = images.shape
    erased = torch.ones(count, 1, 1, 1, dtype=torch.bool, device=images.device)
    for axis, length in enumerate(size):
        shape = [1, 1, 1, 1]
        shape[2 + axis] = length
        centre = torch.randint(length, (count, 1, 1, 1), generator=generator, device=images.device)
        offset = torch.arange(length, device=images.device).reshape(shape) - centre
        erased = erased & (offset >= -(side // 2)) & (offset < side - side // 2)
    mean = images.float().mean((2, 3), keepdim=True).to(images.dtype)
    return torch.where(erased, mean, images)


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

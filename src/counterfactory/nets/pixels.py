"""Conversion between stored images (uint8) and network inputs (float32 in [-1, 1])."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..core.device import INFERENCE_BATCH

__all__ = ["pixel_batches", "to_bytes", "to_pixels"]


def to_pixels(images: np.ndarray | Tensor) -> Tensor:
    """Maps uint8 images (B, C, H, W) to float32 in [-1, 1]."""
    tensor = torch.as_tensor(np.array(images) if isinstance(images, np.memmap) else images)
    return tensor.float().div(127.5).sub(1.0)


def to_bytes(x: Tensor, down: bool = False) -> Tensor:
    """Maps images (B, C, H, W) in [-1, 1] to the nearest uint8; values outside the range are clamped.

    Arguments:
        x: The images.
        down: Whether grey levels are truncated, as in the code of DiME, instead of rounded.
    """
    levels = x.add(1.0).mul(127.5)
    return (levels if down else levels.round()).clamp(0, 255).to(torch.uint8)


def pixel_batches(images: np.ndarray, device: str, size: int = INFERENCE_BATCH) -> Iterator[Tensor]:
    """Yields uint8 images (N, C, H, W) as float32 (B, C, H, W) in [-1, 1] on a device, `size` images at a time."""
    for start in range(0, len(images), size):
        yield to_pixels(torch.from_numpy(np.array(images[start : start + size])).to(device))

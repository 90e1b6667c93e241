"""Images as they are stored, bytes, and as networks see them, in [-1, 1]."""

import numpy as np
import torch
from torch import Tensor

__all__ = ["to_bytes", "to_pixels"]


def to_pixels(images: np.ndarray | Tensor) -> Tensor:
    """Maps uint8 images (B, C, H, W) to float32 in [-1, 1]."""
    tensor = torch.as_tensor(np.array(images) if isinstance(images, np.memmap) else images)
    return tensor.float().div(127.5).sub(1.0)


def to_bytes(x: Tensor) -> Tensor:
    """Maps images (B, C, H, W) in [-1, 1] to the nearest uint8; what lies outside is clamped."""
    return x.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)

r"""Descriptors of an image that need no training: histograms of oriented gradients and a coarse image.

The gradient of the square root of the grey levels has a magnitude m and a direction :math:`\theta` at each pixel. The
histogram of cell c counts the magnitudes in it by direction, with :math:`B = 8` directions and linear interpolation
between neighbours, and is divided by the mean energy of the 3 x 3 cells around it (Dalal and Triggs, 2005,
doi:10.1109/CVPR.2005.177):

.. math:: h_{cb} = \sum_{x \in c} m_x \max\Big(0, 1 - \big|\tfrac{B \theta_x}{2 \pi} - b\big|\Big), \qquad
   \tilde h_{cb} = h_{cb} \Big/ \sqrt{\tfrac19 \sum_{c' \sim c} \sum_{b'} h_{c'b'}^2}

Cells have 1/8 and 1/4 of the image's side and overlap by half. The coarse image is the standardised image, averaged
over squares of 1/16 of the side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["describe"]

DIRECTIONS = 8
FINE, COARSE, COLOUR = 1.0, 0.9, 0.3  # weights of the three parts; 64 px, CelebA


def describe(images: Tensor) -> Tensor:
    """Returns the descriptors of images, (B, D); D depends on the shape of an image only.

    Arguments:
        images: Images in [-1, 1] with shape (B, C, H, W).
    """
    cell = max(2, min(images.shape[2:]) // 8)
    standard = images - images.mean((1, 2, 3), keepdim=True)
    standard = standard / standard.std((1, 2, 3), keepdim=True).clamp(min=1e-3)
    grey = (127.5 * (images.mean(1, keepdim=True) + 1.0)).clamp(min=0.0).sqrt()
    energy = _energy(grey)
    parts = [
        FINE * _histograms(energy, cell, cell // 2),
        COARSE * _histograms(energy, 2 * cell, cell),
        COLOUR * F.avg_pool2d(standard, max(1, cell // 2)),
    ]
    return torch.cat([part.flatten(1) for part in parts], 1)


def _energy(grey: Tensor) -> Tensor:
    """Returns the gradient magnitude of each direction, (B, 8, H, W), of images (B, 1, H, W); 0 at the border."""
    right = F.pad(grey[..., :, 2:] - grey[..., :, :-2], (1, 1, 0, 0))
    down = F.pad(grey[..., 2:, :] - grey[..., :-2, :], (0, 0, 1, 1))
    turns = torch.atan2(down, right) / (2.0 * torch.pi) * DIRECTIONS % DIRECTIONS
    bins = torch.arange(DIRECTIONS, device=grey.device).reshape(1, -1, 1, 1)
    away = (turns - bins).abs()
    away = torch.minimum(away, DIRECTIONS - away)
    return torch.hypot(right, down) * (1.0 - away).clamp(min=0.0)


def _histograms(energy: Tensor, cell: int, step: int) -> Tensor:
    """Returns the normalized histograms, (B, 8, H', W')."""
    histograms = F.avg_pool2d(energy, cell, step)
    around = F.avg_pool2d(histograms.square(), 3, 1, 1, count_include_pad=False).sum(1, keepdim=True)
    return histograms / (around.sqrt() + 1e-3)

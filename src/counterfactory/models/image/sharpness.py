r"""Fits the amount of sharpening of an image mechanism to the training images.

The steepness of an image is the mean squared difference between neighbouring pixels,

.. math:: S(x) = \operatorname{mean}\, (x_{i+1,j} - x_{i,j})^2 + \operatorname{mean}\, (x_{i,j+1} - x_{i,j})^2 .

The amount a of sharpening (:mod:`counterfactory.nets.sharpening`) is chosen such that reconstructions, predicted from
abducted latents and factual parents, have the same mean steepness as the images,

.. math:: \mathbb{E}\, S(m_a(z, \mathrm{pa})) = \mathbb{E}\, S(x), \qquad z \sim q(z \mid x, \mathrm{pa}),

It is found by bisection, because S increases with a. The fit uses images and parents of the train split, and neither a
predictor of attributes nor counterfactuals.
"""

from typing import Any

import torch
from torch import Tensor

from ...core.noise import derive_seed
from ...nets.pixels import to_pixels
from ...nets.sharpening import sharpened

__all__ = ["fit_sharpness", "steepness"]

IMAGES, MOST, HALVINGS = 2_000, 8.0, 20
"""The number of training images used, the largest amount, and the number of bisection steps."""


def steepness(x: Tensor) -> Tensor:
    """Returns the mean squared difference between neighbouring pixels of (B, C, H, W), rows plus columns."""
    return x.diff(dim=-1).square().mean() + x.diff(dim=-2).square().mean()


@torch.no_grad()
def fit_sharpness(mechanism: Any, images: Tensor, parents: Tensor, seed: int) -> None:
    """Sets the sharpness of a trained image mechanism in place; does nothing if its head does not sharpen.

    Arguments:
        mechanism: The image mechanism, in evaluation mode.
        images: Training images, uint8 with shape :math:`(N, C, H, W)`; the first 2,000 are used.
        parents: Their encoded parents, with shape :math:`(N, P)`.
        seed: The seed of the abducted latents.
    """
    head = mechanism.head
    if not head.sharpen:
        return
    device = head.sharpness.device
    x, parents = to_pixels(images[:IMAGES]).to(device), parents[:IMAGES].to(device)
    generator = torch.Generator().manual_seed(derive_seed(seed, "sharpness"))
    noise = [torch.randn(len(x), *shape, generator=generator).to(device) for shape in mechanism.noise_shapes]
    latents = [latent.z for latent in mechanism.abduct(x, parents, noise)]
    head.sharpness.zero_()
    # Sharpening is homogeneous, so it commutes with the gain of the exposure.
    brightness = mechanism.predict(latents, parents)[0] + 1.0
    wanted, low, high = steepness(x), 0.0, MOST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = steepness(sharpened(brightness, middle).clamp(0.0, 2.0))
        low, high = (middle, high) if found < wanted else (low, middle)
    head.sharpness.fill_(low)

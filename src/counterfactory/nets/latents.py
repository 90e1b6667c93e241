r"""Latent variables of the image mechanisms and the divergence between diagonal Gaussians."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Gaussian", "Latent", "draw", "draw_noise", "gaussian_kl", "mix"]

Gaussian = tuple[Tensor, Tensor]
"""A diagonal Gaussian: its location and its log standard deviation."""


@dataclass
class Latent:
    """One stochastic layer after a forward pass.

    Arguments:
        z: The sample.
        prior: The prior.
        posterior: The posterior, a :data:`Gaussian`; None where no image was encoded.
    """

    z: Tensor
    prior: Gaussian
    posterior: Any = None


def draw(gaussian: Gaussian, noise: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Returns the sample :math:`\mu + t \sigma \epsilon`.

    Arguments:
        gaussian: Location :math:`\mu` and log standard deviation :math:`\log \sigma`.
        noise: Standard normal noise :math:`\epsilon`.
        temperature: The factor t on the standard deviation.
    """
    scale = gaussian[1].exp() if temperature == 1.0 else temperature * gaussian[1].exp()
    return gaussian[0] + scale * noise


def draw_noise(shapes: Sequence[Sequence[int]], x: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Returns standard normal noise ``(B, *shape)`` for each shape, with the device, type and batch size B of `x`."""
    return [
        torch.randn(len(x), *shape, generator=generator, device=x.device, dtype=x.dtype) for shape in shapes
    ]


def gaussian_kl(q: Gaussian, p: Gaussian) -> Tensor:
    r"""Returns :math:`\mathrm{KL}(q \,\|\, p)` elementwise, in nats."""
    return p[1] - q[1] - 0.5 + 0.5 * ((2 * (q[1] - p[1])).exp() + (q[0] - p[0]).square() * (-2 * p[1]).exp())


def mix(latent: Latent, prior: Gaussian, weight: float, linear: bool = False) -> Tensor:
    r"""Returns a counterfactual mediator: the abducted noise under a mixture of posterior and prior.

    .. math:: z^* = a \mu_q + (1 - a) \mu_{p^*} + \sqrt{a^2 \sigma_q^2 + (1 - a)^2 \sigma_{p^*}^2}\; U,
              \qquad U = (z - \mu_q) / \sigma_q

    (causal-gen, De Sousa Ribeiro et al., 2023, arXiv:2306.15764, section 3.2.) The code of its simple VAE weights the
    variances by a and 1 - a, which are not squared.

    Arguments:
        latent: The factual latent, with its posterior.
        prior: The prior :math:`p^*` under the counterfactual parents.
        weight: The weight :math:`a` of the factual posterior, in [0, 1].
        linear: Whether the variances are weighted as in the code of causal-gen's simple VAE.
    """
    location, log_scale = latent.posterior
    noise = (latent.z - location) * torch.exp(-log_scale)
    own, other = (weight, 1 - weight) if linear else (weight**2, (1 - weight) ** 2)
    variance = own * torch.exp(2 * log_scale) + other * torch.exp(2 * prior[1])
    return weight * location + (1 - weight) * prior[0] + variance.sqrt() * noise

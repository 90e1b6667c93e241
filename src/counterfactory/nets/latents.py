r"""Latent variables of the image mechanisms, and the divergence between their Gaussians."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Gaussian", "Latent", "draw", "gaussian_kl", "mix"]

Gaussian = tuple[Tensor, Tensor]
"""A diagonal Gaussian: its location and its log standard deviation."""


@dataclass
class Latent:
    """One stochastic layer after a pass: the sample, its prior, and its posterior where there was an image."""

    z: Tensor
    prior: Gaussian
    posterior: Gaussian | None = None


def draw(gaussian: Gaussian, noise: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Returns the sample :math:`\mu + t \sigma \epsilon`, given standard normal noise and a temperature t."""
    scale = gaussian[1].exp() if temperature == 1.0 else temperature * gaussian[1].exp()
    return gaussian[0] + scale * noise


def gaussian_kl(q: Gaussian, p: Gaussian) -> Tensor:
    """Returns KL(q || p) elementwise, in nats."""
    return p[1] - q[1] - 0.5 + 0.5 * ((2 * (q[1] - p[1])).exp() + (q[0] - p[0]).square() * (-2 * p[1]).exp())


def mix(latent: Latent, prior: Gaussian, weight: float) -> Tensor:
    r"""Returns a counterfactual mediator, the abducted noise placed in a mixture of posterior and prior.

    .. math:: z^* = a \mu_q + (1 - a) \mu_{p^*} + \sqrt{a^2 \sigma_q^2 + (1 - a)^2 \sigma_{p^*}^2}\; U,
              \qquad U = (z - \mu_q) / \sigma_q

    (causal-gen, De Sousa Ribeiro et al., 2023, arXiv:2306.15764, section 3.2.)

    Arguments:
        latent: The factual latent, with its posterior.
        prior: The prior :math:`p^*` under the counterfactual parents.
        weight: The weight :math:`a` of the factual posterior, in [0, 1].
    """
    location, log_scale = latent.posterior
    noise = (latent.z - location) * torch.exp(-log_scale)
    variance = weight**2 * torch.exp(2 * log_scale) + (1 - weight) ** 2 * torch.exp(2 * prior[1])
    return weight * location + (1 - weight) * prior[0] + variance.sqrt() * noise

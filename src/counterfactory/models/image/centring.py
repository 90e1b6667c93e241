r"""Removes the linear dependence of the latents on the parents from an image mechanism.

In a structural causal model the exogenous noise of the image is independent of its parents. A trained encoder,
however, writes what the parents determine into the latents too: the decoder then reads it there, and an intervention
on the parents changes little. This module takes the linear part of that dependence out of the posterior. The location
of layer l, in units of the prior, is

.. math:: m_l = \frac{\mu_{q,l} - \mu_l}{\sigma_l}, \qquad
          \tilde m_l = m_l - B_l\,(\mathrm{pa} - \overline{\mathrm{pa}}), \qquad
          B_l = \Sigma_{m_l, \mathrm{pa}}\, (\Sigma_{\mathrm{pa}} + \rho I)^{-1}

and the posterior has the location :math:`\mu_l + \sigma_l \tilde m_l` instead. Its regression on the parents is zero:
the noises of the classes of a parent have equal means, so that the decoder has to read the class from the parents. This
is the oracle variant of linear concept erasure (Belrose et al., 2023, arXiv:2306.03819), applied during the training
instead of after it. The posterior that results is an ordinary one, so the ELBO remains a lower bound.

The moments :math:`\Sigma` are exponential averages over the batches of the training. They need no predictor and no
counterfactual. Nonlinear dependence remains, and may increase, because the shift itself depends on the parents;
:mod:`counterfactory.models.image.independence` penalizes it, and :mod:`counterfactory.models.image.transport` moves it
after the training.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from ...nets.latents import Gaussian

__all__ = ["Centring", "check_centred"]

RATE = 0.01
"""The weight of a batch in the averages: their window is the last 100 batches."""

RIDGE = 1e-3
"""The term :math:`\\rho` added to the variances of the encoded parents, which are 1-hot or in [-1, 1]. It bounds the
shift of classes with few images."""


def check_centred(centred: bool, prior: str) -> None:
    """Raises `ValueError` if latents are to be centred whose prior is not exogenous."""
    if centred and prior != "exogenous":
        raise ValueError("centred is true, which requires prior: exogenous")


class Centring(nn.Module):
    """Centres the posterior of each layer, given the parents.

    Arguments:
        parents: The width P of the encoded parents.
        shapes: The shape of the latents of one image for each layer; layer l has :math:`D_l` values.
    """

    weight: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, parents: int, shapes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        # Averages of 1, pa and pa pa^T, and for each layer of m and pa m^T. The first one corrects the start from 0.
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("first", torch.zeros(parents))
        self.register_buffer("second", torch.zeros(parents, parents))
        for layer, shape in enumerate(shapes):
            self.register_buffer(f"location{layer}", torch.zeros(prod(shape)))
            self.register_buffer(f"cross{layer}", torch.zeros(parents, prod(shape)))
            self.register_buffer(f"slope{layer}", torch.zeros(parents, prod(shape)))

    def forward(self, layer: int, posterior: Gaussian, prior: Gaussian, parents: Tensor) -> Gaussian:
        """Returns the centred posterior of a layer. In training mode the moments are updated first.

        Arguments:
            layer: The number of the layer.
            posterior: The posterior that the encoder predicts, with shapes :math:`(B, *)`.
            prior: The prior of the layer, with the same shapes.
            parents: The encoded factual parents, with shape :math:`(B, P)`.
        """
        with torch.autocast(parents.device.type, enabled=False):
            pa, scale = parents.float(), torch.exp(prior[1].float())
            m = ((posterior[0].float() - prior[0].float()) / scale).flatten(1)
            if self.training and torch.is_grad_enabled():
                self.update(layer, m.detach(), pa)
            mean = self.first / self.weight.clamp(min=RATE)
            shift = (pa - mean) @ getattr(self, f"slope{layer}")
            location = posterior[0] - scale * shift.view_as(scale)
        return location.to(posterior[0].dtype), posterior[1]

    @torch.no_grad()
    def update(self, layer: int, m: Tensor, parents: Tensor) -> None:
        """Updates the moments by a batch of locations (B, D_l) and encoded parents (B, P), and the regression."""
        # A step whose loss is not finite is skipped by the training; its batch must not end up in the averages.
        m = torch.nan_to_num(m, nan=0.0, posinf=0.0, neginf=0.0)
        location, cross = getattr(self, f"location{layer}"), getattr(self, f"cross{layer}")
        if layer == 0:
            self.weight.lerp_(torch.ones_like(self.weight), RATE)
            self.first.lerp_(parents.mean(0), RATE)
            self.second.lerp_(parents.T @ parents / len(parents), RATE)
        location.lerp_(m.mean(0), RATE)
        cross.lerp_(parents.T @ m / len(m), RATE)
        mean = self.first / self.weight
        covariance = self.second / self.weight - torch.outer(mean, mean)
        ridge = RIDGE * torch.eye(len(mean), device=mean.device)
        slope = torch.linalg.solve(covariance + ridge, (cross - torch.outer(mean, location)) / self.weight)
        getattr(self, f"slope{layer}").copy_(slope)

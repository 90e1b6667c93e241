r"""Discretised Gaussian likelihood of an 8-bit image, and abduction of its pixel noise.

The probability of a pixel :math:`x` on the grid :math:`\{-1, -1 + 2/255, \ldots, 1\}` is that of its bin,

.. math:: P(x) = \Phi\Big(\frac{x + 1/255 - m}{s}\Big) - \Phi\Big(\frac{x - 1/255 - m}{s}\Big),

where the first and the last bin extend to infinity (Ho et al., 2020, arXiv:2006.11239, section 3.3; used by
causal-gen, De Sousa Ribeiro et al., 2023, arXiv:2306.15764). :math:`\Phi` is approximated by
:math:`\tfrac12 (1 + \tanh(\sqrt{2/\pi}\,(u + 0.044715 u^3)))`. It is computed as a logistic function of twice the
argument, which is accurate in both tails in float32.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "LEAST_PROBABILITY",
    "LOG_SCALE_FLOOR",
    "capped_gaussian_nll",
    "discretised_gaussian_nll",
    "standardise",
    "unstandardise",
]

LOG_SCALE_FLOOR = -9.0
"""The smallest log standard deviation of a pixel (causal-gen)."""

LEAST_PROBABILITY = 1e-12
"""The smallest probability of a pixel in the likelihood of causal-gen."""

_HALF_BIN = 1.0 / 255.0
_SLOPE = 2.0 * math.sqrt(2.0 / math.pi)


def _logit_cdf(u: Tensor) -> Tensor:
    """Returns the logit of the approximated normal CDF at `u`."""
    return _SLOPE * u * (1.0 + 0.044715 * u.square())


def discretised_gaussian_nll(x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    r"""Returns :math:`-\log P(x)`, in nats, elementwise.

    With :math:`P = \sigma(b) - \sigma(a)` and :math:`b > a` the logits at the bin's two edges,
    :math:`\log P = \log(1 - e^{a - b}) - \mathrm{softplus}(a) - \mathrm{softplus}(-b)`. This form neither cancels nor
    underflows, so the probability needs no lower bound.

    Arguments:
        x: Pixels in [-1, 1] on the 8-bit grid, with shape :math:`(B, C, H, W)`.
        location: The location :math:`m`, with the same shape.
        log_scale: The log standard deviation :math:`\log s`, with the same shape.
    """
    inverse = torch.exp(-log_scale)
    centred = x - location
    upper = _logit_cdf((centred + _HALF_BIN) * inverse)
    lower = _logit_cdf((centred - _HALF_BIN) * inverse)
    inside = (
        F.softplus(lower) + F.softplus(-upper) - torch.log(-torch.expm1((lower - upper).clamp(max=-1e-7)))
    )
    tails = torch.where(x < -0.999, F.softplus(-upper), F.softplus(lower))
    return torch.where(x.abs() > 0.999, tails, inside)


def capped_gaussian_nll(x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    r"""Returns :math:`-\log \max(P(x), 10^{-12})`, in nats, elementwise: at most 27.63, without gradient beyond.

    This is the likelihood of causal-gen. The probability is a difference of two numbers near 0 or 1. In float32 it
    comes in steps of about 3e-8, so that values are coarse from about 12 nats, and 27.63 beyond about 17 nats;
    :func:`discretised_gaussian_nll` is accurate there, and has no bound.

    Arguments:
        x: Pixels in [-1, 1] on the 8-bit grid, with shape :math:`(B, C, H, W)`.
        location: The location :math:`m`, with the same shape.
        log_scale: The log standard deviation :math:`\log s`, with the same shape.
    """
    inverse = torch.exp(-log_scale)
    centred = x - location
    upper, lower = (
        0.5 * (1.0 + torch.tanh(0.5 * _logit_cdf(inverse * (centred + half))))
        for half in (_HALF_BIN, -_HALF_BIN)
    )
    probability = torch.where(x > 0.999, 1.0 - lower, upper - lower)
    return -torch.where(x < -0.999, upper, probability).clamp(min=LEAST_PROBABILITY).log()


def standardise(x: Tensor, location: Tensor, log_scale: Tensor, clipped: bool = False) -> Tensor:
    r"""Abducts the pixel noise: returns :math:`\epsilon = (x - m) / s` for pixels inside the range.

    A pixel at an end of the range implies only that :math:`m + s \epsilon` lies at or beyond that end. Of all noises
    consistent with it, the most probable one is returned: :math:`\min(0, (x - m) / s)` for black and
    :math:`\max(0, (x - m) / s)` for white. causal-gen clips the location to [-1, 1] instead, before the noise is
    abducted and again in the prediction, and returns :math:`(x - m) / s`, which is at most 0 at black pixels. The two
    noises differ where the location lies outside the range.

    Arguments:
        x: Pixels in [-1, 1] with shape :math:`(B, C, H, W)`.
        location: The location :math:`m`, with the same shape.
        log_scale: The log standard deviation :math:`\log s`, with the same shape.
        clipped: Whether the noise is that of causal-gen.
    """
    if clipped:
        return (x - location.clamp(-1.0, 1.0)) / torch.exp(log_scale).clamp(min=1e-12)
    noise = (x - location) * torch.exp(-log_scale)
    noise = torch.where(x < -0.999, noise.clamp(max=0.0), noise)
    return torch.where(x > 0.999, noise.clamp(min=0.0), noise)


def unstandardise(noise: Tensor, location: Tensor, log_scale: Tensor, clipped: bool = False) -> Tensor:
    r"""Returns :math:`m + s\,\epsilon`, clipped to [-1, 1]: the prediction from the pixel noise.

    Inverts :func:`standardise` for the same location, scale and `clipped`. Shapes are :math:`(B, C, H, W)`. With
    `clipped`, the location is clipped first, as in causal-gen.
    """
    location = location.clamp(-1.0, 1.0) if clipped else location
    return (location + torch.exp(log_scale) * noise).clamp(-1.0, 1.0)

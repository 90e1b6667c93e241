r"""Guidance: shifts a denoiser's prediction by a gradient, or extrapolates between two predictions of a network.

*Gradient guidance* by a loss :math:`\ell`, for example that of a classifier, shifts the mean of the reverse step,

.. math:: \mu \leftarrow \mu - \sigma^2\, \nabla \ell

(Sohl-Dickstein et al., 2015, arXiv:1503.03585; Dhariwal and Nichol, 2021, arXiv:2105.05233, algorithm 1). The caller
chooses the image at which the gradient is evaluated.

*Classifier-free guidance* requires a network that was trained both with a condition c and with a null condition
:math:`\varnothing`:

.. math:: \hat\epsilon = w\, \hat\epsilon(x_i, c) + (1 - w)\, \hat\epsilon(x_i, \varnothing)

(Ho and Salimans, 2022, arXiv:2207.12598, where w is called 1 + w).
"""

import torch
from torch import Tensor

from .denoiser import Network, Prediction

__all__ = ["classifier_free", "guide"]


def guide(prediction: Prediction, gradient: Tensor) -> Prediction:
    """Subtracts the gradient, times the variance, from the mean of the reverse step.

    Arguments:
        prediction: The denoiser's prediction; `x0` and `eps` stay unchanged.
        gradient: The gradient of the loss to minimise, with shape (B, C, H, W).
    """
    return prediction._replace(mean=prediction.mean - prediction.variance * gradient)


def classifier_free(
    network: Network, weight: float, null: Tensor | None = None, learned: bool = True
) -> Network:
    """Returns a network whose predicted noise is guided by its condition; its variance is the conditional one.

    Arguments:
        network: A network with a condition (B, F).
        weight: The weight w: 0 ignores the condition, 1 is the network itself, values above 1 amplify the effect of the
            condition. Unless it is 1, each call evaluates the network on twice as many images.
        null: The null condition with shape (F,); None for all zeros.
        learned: Whether the second half of the network's output channels is its variance.
    """
    if weight == 1.0:
        return network

    def guided(x_t: Tensor, t: Tensor, *conditions: Tensor) -> Tensor:
        (condition,) = conditions
        nothing = torch.zeros_like(condition) if null is None else null.to(condition).expand_as(condition)
        both = network(x_t.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([condition, nothing]))
        conditional, unconditional = both.chunk(2)
        if not learned:
            return torch.lerp(unconditional, conditional, weight)
        eps, v = conditional.chunk(2, dim=1)
        return torch.cat([torch.lerp(unconditional.chunk(2, dim=1)[0], eps, weight), v], dim=1)

    return guided

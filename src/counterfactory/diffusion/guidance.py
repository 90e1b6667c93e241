r"""Guidance: a denoiser's prediction moved by a gradient, or a network's by what it says without its condition.

*By a gradient* of some loss :math:`\ell`, such as a classifier's: the step back is shifted,

.. math:: \mu \leftarrow \mu - \sigma^2\, \nabla \ell

(Sohl-Dickstein et al., 2015, arXiv:1503.03585; Dhariwal and Nichol, 2021, arXiv:2105.05233, algorithm 1), or, where
steps have no variance as in DDIM, the predicted noise,
:math:`\hat\epsilon \leftarrow \hat\epsilon + \sqrt{1 - \bar\alpha_i}\, \nabla \ell` (algorithm 2). Where the gradient
is taken is the caller's matter.

*Free of a classifier*, for a network told a condition c that it also knows without, as :math:`\varnothing`:

.. math:: \hat\epsilon = w\, \hat\epsilon(x_i, c) + (1 - w)\, \hat\epsilon(x_i, \varnothing)

(Ho and Salimans, 2022, arXiv:2207.12598, with w = 1 + their weight).
"""

import torch
from torch import Tensor

from .denoiser import Network, Prediction, predict
from .schedule import Schedule

__all__ = ["classifier_free", "guide", "guide_noise"]


def guide(prediction: Prediction, gradient: Tensor) -> Prediction:
    """Shifts the mean of the step back by minus its variance times a loss's gradient.

    Arguments:
        prediction: What the denoiser says; `x0` and `eps` stay its own.
        gradient: The gradient of the loss to descend, (B, C, H, W).
    """
    return prediction._replace(mean=prediction.mean - prediction.variance * gradient)


def guide_noise(
    schedule: Schedule,
    x_t: Tensor,
    prediction: Prediction,
    index: Tensor | int,
    gradient: Tensor,
    clip: bool = True,
) -> Prediction:
    """Shifts the predicted noise along a loss's gradient, and the rest of the prediction with it: guidance for DDIM.

    Arguments:
        schedule: The schedule.
        x_t: The noisy images, (B, C, H, W).
        prediction: What the denoiser says of them.
        index: Their steps, (B,), or one for all.
        gradient: The gradient of the loss to descend, (B, C, H, W).
        clip: Whether the clean image is clipped to [-1, 1] again.
    """
    eps = prediction.eps + schedule.noise(index, x_t) * gradient
    return predict(schedule, x_t, index, eps, prediction.log_variance, clip)


def classifier_free(
    network: Network, weight: float, null: Tensor | None = None, learned: bool = True
) -> Network:
    """Returns a network whose predicted noise is guided by its condition; its variance is the conditional one.

    Arguments:
        network: A network told a condition (B, F).
        weight: The weight w: 0 ignores the condition, 1 is the network itself, more exaggerates the condition.
            Unless it is 1, each call runs the network on twice as many images.
        null: What stands for no condition, (F,); None: all zero.
        learned: Whether the second half of the network's channels is its variance.
    """
    if weight == 1.0:
        return network

    def guided(x_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        nothing = torch.zeros_like(condition) if null is None else null.to(condition).expand_as(condition)
        both = network(x_t.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([condition, nothing]))
        told, untold = both.chunk(2)
        if not learned:
            return torch.lerp(untold, told, weight)
        eps, v = told.chunk(2, dim=1)
        return torch.cat([torch.lerp(untold.chunk(2, dim=1)[0], eps, weight), v], dim=1)

    return guided

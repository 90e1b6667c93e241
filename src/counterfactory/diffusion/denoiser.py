r"""Denoiser: computes the clean image and the distribution of the reverse step from predicted noise.

With :math:`\hat\epsilon` the noise that the network predicts for a noisy image :math:`x_i`,

.. math:: \hat x_0 = \frac{x_i - \sqrt{1 - \bar\alpha_i}\, \hat\epsilon}{\sqrt{\bar\alpha_i}}, \qquad
          p(x_{i-1} \mid x_i) = \mathcal{N}\big(\tilde\mu_i(\hat x_0, x_i),\ \sigma_i^2\big)

where :math:`\tilde\mu_i` is the mean of the posterior in :mod:`counterfactory.diffusion.schedule` (Ho et al., 2020,
arXiv:2006.11239). The variance is either fixed to :math:`\beta_i` or :math:`\tilde\beta_i`, or learned: the second half
:math:`v \in [-1, 1]` of the network's output channels interpolates between the two (Nichol and Dhariwal, 2021,
arXiv:2102.09672, section 3.1):

.. math:: \log \sigma_i^2 = \tfrac{v + 1}{2} \log \beta_i + \tfrac{1 - v}{2} \log \tilde\beta_i.

A network is any callable `network(x_t, t, *condition)`, where t is the time step of the training schedule. A denoiser
passes its further arguments on to the network as the condition.
"""

from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from .schedule import Schedule

__all__ = ["Denoiser", "Network", "Prediction", "denoiser", "predict"]


class Prediction(NamedTuple):
    """A denoiser's prediction for noisy images; all tensors have shape (B, C, H, W).

    Arguments:
        x0: The clean image, in [-1, 1] if clipped.
        mean: The mean of the reverse step.
        log_variance: The log variance of the reverse step.
        eps: The noise consistent with `x0`: the network's output unless `x0` was clipped.
    """

    x0: Tensor
    mean: Tensor
    log_variance: Tensor
    eps: Tensor

    @property
    def variance(self) -> Tensor:
        """The variance of the reverse step, (B, C, H, W)."""
        return self.log_variance.exp()


class Network(Protocol):
    """Predicts noise (B, C, H, W), or noise and the interpolation weight of the variance (B, 2 C, H, W)."""

    def __call__(self, x_t: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        """Arguments: noisy images (B, C, H, W), time steps of the training schedule (B,), conditions."""


class Denoiser(Protocol):
    """Maps noisy images and their steps to a :class:`Prediction`."""

    def __call__(self, x_t: Tensor, index: Tensor | int, *condition: Tensor) -> Prediction:
        """Arguments: noisy images (B, C, H, W), steps of the schedule (B,) or one for all, conditions."""


def predict(
    schedule: Schedule, x_t: Tensor, index: Tensor | int, eps: Tensor, log_variance: Tensor, clip: bool
) -> Prediction:
    """Returns the prediction for given noise.

    Arguments:
        schedule: The schedule.
        x_t: Noisy images with shape (B, C, H, W).
        index: Their steps in the schedule, with shape (B,), or one step for all images.
        eps: The predicted noise with shape (B, C, H, W).
        log_variance: The log variance of the reverse step, broadcastable to (B, C, H, W).
        clip: Whether the clean image is clipped to [-1, 1].
    """
    signal, noise = schedule.signal(index, x_t), schedule.noise(index, x_t)
    x0 = (x_t - noise * eps) / signal
    if clip:
        x0 = x0.clamp(-1.0, 1.0)
        eps = (x_t - signal * x0) / noise
    mean = schedule.take(schedule.posterior_weight_clean, index, x_t) * x0
    mean = mean + schedule.take(schedule.posterior_weight_noisy, index, x_t) * x_t
    return Prediction(x0, mean, log_variance.expand_as(x_t), eps)


def denoiser(
    network: Network,
    schedule: Schedule,
    clip: bool = True,
    learned: bool = True,
    fixed: Literal["small", "large"] = "small",
) -> Denoiser:
    r"""Returns the denoiser of a network under a (possibly respaced) schedule.

    Arguments:
        network: Predicts the noise and, with learned variance, in further C channels its interpolation weight.
        schedule: The schedule, on the network's device.
        clip: Whether the predicted clean image is clipped to [-1, 1] and the noise recomputed from it.
        learned: Whether the network predicts the variance.
        fixed: The fixed variance: `small` is :math:`\tilde\beta_i`, exact for a known image; `large` is
            :math:`\beta_i`, exact for white noise; its first step uses the small variance of the second step.

    Raises:
        ValueError: When the denoiser is called, if the number of output channels does not match `learned`.
    """
    small, large = schedule.posterior_log_variance, schedule.betas.log()
    # For the fixed variance only: the learned variance is defined with the first step's own beta.
    constant = small if fixed == "small" else torch.cat([small[:1], large[1:]])

    def denoise(x_t: Tensor, index: Tensor | int, *condition: Tensor) -> Prediction:
        timesteps = schedule.timesteps[index].expand(len(x_t))
        output = network(x_t, timesteps, *condition)
        channels = x_t.shape[1]
        if output.shape[1] != (2 if learned else 1) * channels:
            raise ValueError(
                f"a network of {output.shape[1]} outputs for {channels} channels does not fit learned={learned}"
            )
        if learned:
            eps, v = output.split(channels, dim=1)
            share = (v + 1.0) / 2.0
            log_variance = share * schedule.take(large, index, x_t)
            log_variance = log_variance + (1.0 - share) * schedule.take(small, index, x_t)
        else:
            eps, log_variance = output, schedule.take(constant, index, x_t)
        return predict(schedule, x_t, index, eps, log_variance, clip)

    return denoise

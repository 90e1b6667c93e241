r"""Steps of a diffusion: into noise, back by chance (DDPM), and along the deterministic path both ways (DDIM).

Into noise: :math:`x_i = \sqrt{\bar\alpha_i}\, x_0 + \sqrt{1 - \bar\alpha_i}\, \epsilon`. Back by chance, ancestral
sampling: :math:`x_{i-1} = \mu + \sigma \epsilon`, without noise in the last step (Ho et al., 2020, arXiv:2006.11239).
From any step i to any other j along the path that keeps the predicted noise,

.. math:: x_j = \sqrt{\bar\alpha_j}\, \hat x_0 + \sqrt{1 - \bar\alpha_j - \sigma^2}\, \hat\epsilon + \sigma \epsilon,
          \qquad \hat x_0 = \frac{x_i - \sqrt{1 - \bar\alpha_i}\, \hat\epsilon}{\sqrt{\bar\alpha_i}}, \qquad
          \sigma = \eta \sqrt{\frac{1 - \bar\alpha_j}{1 - \bar\alpha_i}} \sqrt{1 - \frac{\bar\alpha_i}{\bar\alpha_j}}

(Song et al., 2021, arXiv:2010.02502, equation 12). Index -1 is the clean image. With :math:`\eta = 0` steps to more
noise *invert* those to less, up to an error that falls with the number of steps, since the noise predicted at the near
end stands for the one at the far end. *Corrections* predict it at the far end instead, which a fixed-point iteration
finds: as many as it needs, and decoding returns the image itself (Pan et al., 2023, arXiv:2309.04907).

Nothing here draws noise: whoever calls hands it in, one stream an image.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from .denoiser import Denoiser, Prediction
from .schedule import Schedule

__all__ = ["Guide", "Noise", "ancestral", "ddim_decode", "ddim_invert", "ddim_step", "ddpm_step", "q_sample"]

Guide = Callable[[Tensor, Prediction, int], Prediction]
"""`guide(x_t, prediction, index)` returns the prediction to step by (see :mod:`counterfactory.diffusion.guidance`)."""

Noise = Callable[[int], Tensor]
"""`noise(index)` returns standard normal noise (B, C, H, W) for the step that leaves `index`."""


def q_sample(schedule: Schedule, x0: Tensor, index: Tensor | int, noise: Tensor) -> Tensor:
    """Returns noisy images.

    Arguments:
        schedule: The schedule.
        x0: Clean images in [-1, 1] with shape (B, C, H, W).
        index: How noisy: steps of the schedule, (B,), or one for all; -1 leaves the image clean.
        noise: Standard normal noise, (B, C, H, W).
    """
    return schedule.signal(index, x0) * x0 + schedule.noise(index, x0) * noise


def ddpm_step(prediction: Prediction, noise: Tensor, index: Tensor | int) -> Tensor:
    """Returns the images one step less noisy; the step from index 0 takes the mean.

    Arguments:
        prediction: What the denoiser, or a guide after it, says of the noisy images.
        noise: Standard normal noise, (B, C, H, W).
        index: Their steps, (B,), or one for all.
    """
    if isinstance(index, int):
        return prediction.mean + (0.5 * prediction.log_variance).exp() * noise if index else prediction.mean
    inside = (index != 0).reshape(-1, *[1] * (noise.dim() - 1))
    return prediction.mean + inside * (0.5 * prediction.log_variance).exp() * noise


def ddim_step(
    schedule: Schedule,
    x_t: Tensor,
    prediction: Prediction,
    index: Tensor | int,
    to_index: Tensor | int,
    eta: float = 0.0,
    noise: Tensor | None = None,
) -> Tensor:
    """Returns the images at another step, less or more noisy.

    Arguments:
        schedule: The schedule.
        x_t: Noisy images, (B, C, H, W).
        prediction: What the denoiser says of them; its noise is used.
        index: Their steps, (B,), or one for all; -1 if they are clean.
        to_index: The steps to go to, likewise.
        eta: How much of the noise is fresh: 0 none (DDIM), 1 as in ancestral sampling. Only for steps back.
        noise: Standard normal noise, (B, C, H, W), needed unless `eta` is 0.

    Raises:
        ValueError: If noise is needed and not given.
    """
    signal, spread = schedule.signal(index, x_t), schedule.noise(index, x_t)
    signal_to, spread_to = schedule.signal(to_index, x_t), schedule.noise(to_index, x_t)
    x0 = (x_t - spread * prediction.eps) / signal
    if eta == 0.0:
        return signal_to * x0 + spread_to * prediction.eps
    if noise is None:
        raise ValueError("a step with eta above 0 needs noise")
    sigma = eta * spread_to / spread * (1.0 - (signal / signal_to).square()).sqrt()
    return signal_to * x0 + (spread_to.square() - sigma.square()).sqrt() * prediction.eps + sigma * noise


def ancestral(
    denoise: Denoiser,
    x_t: Tensor,
    index: int,
    noise: Noise,
    condition: Sequence[Tensor] = (),
    guide: Guide | None = None,
) -> Tensor:
    """Returns clean images drawn by walking back from a step by chance, in `index` + 1 calls.

    Arguments:
        denoise: The denoiser.
        x_t: Noisy images, (B, C, H, W).
        index: Their step.
        noise: Where each step's noise comes from; it is not asked for the last step's.
        condition: What else the denoiser is told.
        guide: Changes each prediction before its step.
    """
    for step in range(index, -1, -1):
        prediction = denoise(x_t, step, *condition)
        if guide is not None:
            prediction = guide(x_t, prediction, step)
        x_t = ddpm_step(prediction, noise(step), step) if step else prediction.mean
    return x_t


def ddim_decode(
    denoise: Denoiser, schedule: Schedule, x_t: Tensor, index: int, condition: Sequence[Tensor] = ()
) -> Tensor:
    """Returns the clean images at the end of the deterministic path, in `index` + 1 calls.

    Arguments:
        denoise: The denoiser, under `schedule`.
        schedule: The schedule.
        x_t: Noisy images, (B, C, H, W).
        index: Their step.
        condition: What else the denoiser is told.
    """
    for step in range(index, -1, -1):
        x_t = ddim_step(schedule, x_t, denoise(x_t, step, *condition), step, step - 1)
    return x_t


def ddim_invert(
    denoise: Denoiser,
    schedule: Schedule,
    x0: Tensor,
    index: int,
    condition: Sequence[Tensor] = (),
    corrections: int = 0,
) -> Tensor:
    """Returns the noisy images from which :func:`ddim_decode` comes back to the clean ones.

    Makes (`index` + 1) x (1 + `corrections`) calls. What was clipped cannot be inverted: the denoiser should not clip.

    Arguments:
        denoise: The denoiser, under `schedule`.
        schedule: The schedule.
        x0: Clean images in [-1, 1], (B, C, H, W).
        index: The step to go to.
        condition: What else the denoiser is told: what is true of these images.
        corrections: Fixed-point iterations in each step; 0: the noise predicted at the near end is taken.
    """
    x_t = x0
    for step in range(index + 1):
        # The network knows no clean images: of these it predicts as at the first step.
        prediction = denoise(x_t, max(step - 1, 0), *condition)
        x_to = ddim_step(schedule, x_t, prediction, step - 1, step)
        for _ in range(corrections):
            x_to = ddim_step(schedule, x_t, denoise(x_to, step, *condition), step - 1, step)
        x_t = x_to
    return x_t

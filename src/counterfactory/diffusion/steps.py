r"""Steps of a diffusion: adding noise, DDPM reverse steps, and DDIM steps in both directions.

The noisy image is :math:`x_i = \sqrt{\bar\alpha_i}\, x_0 + \sqrt{1 - \bar\alpha_i}\, \epsilon`. The DDPM reverse step
draws :math:`x_{i-1} = \mu + \sigma \epsilon`, without noise in the last step (Ho et al., 2020, arXiv:2006.11239). The
deterministic DDIM step leads from any step i to any other step j with the predicted noise kept,

.. math:: x_j = \sqrt{\bar\alpha_j}\, \hat x_0 + \sqrt{1 - \bar\alpha_j}\, \hat\epsilon, \qquad
          \hat x_0 = \frac{x_i - \sqrt{1 - \bar\alpha_i}\, \hat\epsilon}{\sqrt{\bar\alpha_i}}

(Song et al., 2021, arXiv:2010.02502, equation 12 with :math:`\sigma` = 0). Index -1 is the clean image.

A DDIM step to more noise inverts the corresponding step to less noise only approximately, because it uses the noise
predicted at the less noisy end instead of the noisier one; the error decreases with the number of steps. *Corrections*
solve for the noise predicted at the noisier end by fixed-point iteration. With enough of them, decoding reproduces the
image exactly (Pan et al., 2023, arXiv:2309.04907).

No function here draws noise: callers pass it, with one random stream for each image.
"""

from collections.abc import Sequence

from torch import Tensor

from .denoiser import Denoiser, Prediction
from .schedule import Schedule

__all__ = ["ddim_decode", "ddim_invert", "ddim_step", "ddpm_step", "q_sample"]


def q_sample(schedule: Schedule, x0: Tensor, index: Tensor | int, noise: Tensor) -> Tensor:
    r"""Returns noisy images :math:`x_i` with shape (B, C, H, W).

    Arguments:
        schedule: The schedule.
        x0: Clean images in [-1, 1] with shape (B, C, H, W).
        index: The steps i of the schedule, with shape (B,), or one step for all images; -1 adds no noise.
        noise: Standard normal noise :math:`\epsilon` with shape (B, C, H, W).
    """
    return schedule.signal(index, x0) * x0 + schedule.noise(index, x0) * noise


def ddpm_step(prediction: Prediction, noise: Tensor, index: Tensor | int) -> Tensor:
    """Returns the images (B, C, H, W) after one DDPM reverse step; the step from index 0 returns the mean.

    Arguments:
        prediction: The (possibly guided) prediction for the noisy images.
        noise: Standard normal noise with shape (B, C, H, W).
        index: The steps of the noisy images, with shape (B,), or one step for all images.
    """
    if isinstance(index, int):
        return prediction.mean + (0.5 * prediction.log_variance).exp() * noise if index else prediction.mean
    inside = (index != 0).reshape(-1, *[1] * (noise.dim() - 1))
    return prediction.mean + inside * (0.5 * prediction.log_variance).exp() * noise


def ddim_step(
    schedule: Schedule, x_t: Tensor, prediction: Prediction, index: Tensor | int, to_index: Tensor | int
) -> Tensor:
    """Returns the images (B, C, H, W) after a deterministic DDIM step to less or more noise.

    Arguments:
        schedule: The schedule.
        x_t: Noisy images with shape (B, C, H, W).
        prediction: The denoiser's prediction, whose noise is used.
        index: The steps of `x_t`, with shape (B,), or one step for all images; -1 for clean images.
        to_index: The steps of the result, in the same form.
    """
    signal, spread = schedule.signal(index, x_t), schedule.noise(index, x_t)
    signal_to, spread_to = schedule.signal(to_index, x_t), schedule.noise(to_index, x_t)
    x0 = (x_t - spread * prediction.eps) / signal
    return signal_to * x0 + spread_to * prediction.eps


def ddim_decode(
    denoise: Denoiser, schedule: Schedule, x_t: Tensor, index: int, condition: Sequence[Tensor] = ()
) -> Tensor:
    """Returns the clean images at the end of the deterministic path, with `index` + 1 network calls.

    Arguments:
        denoise: The denoiser under `schedule`.
        schedule: The schedule.
        x_t: Noisy images with shape (B, C, H, W).
        index: Their step.
        condition: Further arguments of the denoiser.
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
    """Returns the noisy images that :func:`ddim_decode` maps to the given clean images.

    Makes (`index` + 1) x (1 + `corrections`) network calls. The denoiser should not clip, because clipping is not
    invertible.

    Arguments:
        denoise: The denoiser under `schedule`.
        schedule: The schedule.
        x0: Clean images in [-1, 1] with shape (B, C, H, W).
        index: The step of the result.
        condition: Further arguments of the denoiser, for the factual images.
        corrections: Fixed-point iterations in each step; 0 uses the noise predicted at the less noisy end.
    """
    x_t = x0
    for step in range(index + 1):
        # The network was not trained on clean images; for these the prediction of the first step is used.
        prediction = denoise(x_t, max(step - 1, 0), *condition)
        x_to = ddim_step(schedule, x_t, prediction, step - 1, step)
        for _ in range(corrections):
            x_to = ddim_step(schedule, x_t, denoise(x_to, step, *condition), step - 1, step)
        x_t = x_to
    return x_t

"""Ancestral sampling, written out as in Ho et al. (2020, arXiv:2006.11239), algorithm 2: a reference for tests."""

from collections.abc import Callable

from torch import Tensor

from counterfactory.diffusion.denoiser import Denoiser, Prediction
from counterfactory.diffusion.steps import ddpm_step


def ancestral(
    denoise: Denoiser,
    x_t: Tensor,
    index: int,
    noise: Callable[[int], Tensor],
    guide: Callable[[Tensor, Prediction, int], Prediction] | None = None,
) -> Tensor:
    """Returns clean images drawn by DDPM reverse steps from `index` on; `noise(step)` is standard normal noise."""
    for step in range(index, -1, -1):
        prediction = denoise(x_t, step)
        if guide is not None:
            prediction = guide(x_t, prediction, step)
        x_t = ddpm_step(prediction, noise(step), step) if step else prediction.mean
    return x_t

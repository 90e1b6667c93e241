"""The optimal denoiser of independent Gaussian pixels, in closed form."""

import torch
from torch import Tensor

from counterfactory.diffusion.schedule import Schedule

MEAN, SPREAD = 0.3, 0.5


class GaussianDenoiser:
    r"""The expected noise in :math:`x_t` where :math:`x_0 \sim \mathcal{N}(m, s^2)`, (B, C, H, W).

    :math:`x_t \sim \mathcal{N}(\sqrt{\bar\alpha} m, v)` with :math:`v = \bar\alpha s^2 + 1 - \bar\alpha`, and
    :math:`\mathrm{E}[\epsilon \mid x_t] = \sqrt{1 - \bar\alpha}\, (x_t - \sqrt{\bar\alpha} m) / v`.

    It is a network under the training schedule with *all* steps; the condition (B,) is a shift of the mean.
    """

    def __init__(self, schedule: Schedule, mean: float = MEAN, spread: float = SPREAD) -> None:
        self.left, self.mean, self.spread, self.calls = schedule.alphas_bar, mean, spread, []

    def __call__(self, x_t: Tensor, t: Tensor, *shift: Tensor) -> Tensor:
        self.calls.append((t.tolist(), tuple(x_t.shape)))
        left = self.left[t].to(x_t.dtype)[:, None, None, None]
        mean = self.mean + (shift[0].reshape(-1, 1, 1, 1) if shift else 0.0)
        variance = left * self.spread**2 + 1 - left
        return (1 - left).sqrt() * (x_t - left.sqrt() * mean) / variance


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

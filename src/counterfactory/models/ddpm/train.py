r"""Trains a denoising diffusion model of images alone, :math:`p(x)`: what DiME and its relatives walk back with.

.. math:: L = \underbrace{\frac{1}{D} \mathbb{E}_{t, \epsilon}
          \|\epsilon - \hat\epsilon(x_t, t)\|^2}_{L_\mathrm{simple}}
          + \lambda \underbrace{\frac{T}{D} \mathbb{E}_{t, \epsilon}
          \mathrm{KL}\big(q(x_{t-1} \mid x_t, x_0) \,\|\, p(x_{t-1} \mid x_t)\big)}_{L_\mathrm{vlb}}

with the discretised likelihood in place of the divergence at the first step, D pixels, and t uniform (Nichol and
Dhariwal, 2021, arXiv:2102.09672, section 3.1; :math:`\lambda` = 0.001 as published, here of nats). The bound teaches
only the variance: its gradient does not reach the mean. Where the variance is fixed there is no second term. Where the
network predicts velocity, its error is what :math:`L_\mathrm{simple}` means: that of the noise, over
:math:`\sqrt{\bar\alpha_t}` (Salimans and Ho, 2022, arXiv:2202.00512).

The steps t of a batch are stratified: one in each of B equal parts of the schedule (Kingma et al., 2021,
arXiv:2107.00630, appendix I.1), which is as uniform and less noisy. The train split trains and the valid split selects.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.device import choose_device
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import load_dataset, load_split
from ...diffusion.denoiser import denoiser
from ...diffusion.schedule import Schedule
from ...diffusion.steps import q_sample
from ...diffusion.velocity import Velocity
from ...nets.likelihood import discretised_gaussian_nll
from ...nets.pixels import to_pixels
from ...training.distributed import launch
from ...training.loop import fit
from .model import build_ddpm

__all__ = ["DiffusionLoss", "stratified_steps", "train_ddpm"]


def stratified_steps(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Draws steps that are uniform each, and together spread evenly.

    Arguments:
        count: How many, B.
        steps: The number of steps T of the schedule.
        generator: Where they are drawn from.

    Returns:
        Steps from 0 to T - 1, int64 with shape (B,), on the generator's device.
    """
    places = torch.arange(count, device=generator.device)
    u = torch.rand(count, generator=generator, device=generator.device)
    return ((places + u) * (steps / count)).long().clamp(max=steps - 1)


class DiffusionLoss:
    """The training loss, in the form that the training loop takes.

    Arguments:
        schedule: The schedule, with all its steps.
        learned: Whether the network tells the variance.
        vlb_weight: The weight of the variational bound, where it does.
        mirror: Whether training images are mirrored, left to right, half of the time.
    """

    def __init__(
        self, schedule: Schedule, learned: bool = True, vlb_weight: float = 0.001, mirror: bool = False
    ) -> None:
        self.schedule, self.learned = schedule, learned
        self.vlb_weight, self.mirror = vlb_weight, mirror

    def __call__(
        self, model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of images (B, C, H, W) of uint8, and its parts."""
        x0 = to_pixels(batch["images"])
        if self.mirror and model.training:
            turned = torch.rand(len(x0), 1, 1, 1, generator=generator, device=x0.device) < 0.5
            x0 = torch.where(turned, x0.flip(3), x0)
        schedule = self.schedule = self.schedule.to(x0.device)
        index = stratified_steps(len(x0), len(schedule), generator)
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        x_t = q_sample(schedule, x0, index, noise)
        output = model(x_t, schedule.timesteps[index])
        channels = x0.shape[1]
        error = (output[:, :channels] - noise).square()
        if isinstance(model, Velocity):
            error = error / schedule.take(schedule.alphas_bar, index, error)
        simple = error.mean()
        if not self.learned:
            return simple, {"simple": simple.detach()}
        eps, v = output.split(channels, dim=1)
        vlb = len(schedule) * self._bound(x0, x_t, index, torch.cat([eps.detach(), v], dim=1)).mean()
        return simple + self.vlb_weight * vlb, {"simple": simple.detach(), "vlb": vlb.detach()}

    def _bound(self, x0: Tensor, x_t: Tensor, index: Tensor, output: Tensor) -> Tensor:
        """Returns each pixel's term of the variational bound, in nats, (B, C, H, W)."""
        schedule = self.schedule
        told = denoiser(lambda *_: output, schedule, clip=False)(x_t, index)
        mean = schedule.take(schedule.posterior_weight_clean, index, x_t) * x0
        mean = mean + schedule.take(schedule.posterior_weight_noisy, index, x_t) * x_t
        narrower = schedule.take(schedule.posterior_log_variance, index, x_t) - told.log_variance
        divergence = 0.5 * (narrower.exp() - 1.0 - narrower + (mean - told.mean).square() / told.variance)
        first = discretised_gaussian_nll(x0, told.mean, 0.5 * told.log_variance)
        return torch.where((index == 0)[:, None, None, None], first, divergence)


def _images(folder: Path, split: str) -> dict[str, Tensor]:
    return {"images": torch.from_numpy(np.array(load_split(folder, split).images))}


def _train(settings: Any, run: Run, device: str) -> None:
    dataset = load_dataset(run.data)
    network, diffusion = dict(settings.network), dict(settings.diffusion)
    torch.manual_seed(derive_seed(run.seed, "ddpm", "weights"))
    model, schedule = build_ddpm(dataset, network, diffusion)
    loss = DiffusionLoss(schedule, model.learned_variance, diffusion["vlb_weight"], settings.training.mirror)
    fit(
        model,
        loss,
        _images(run.data, "train"),
        _images(run.data, "valid"),
        settings.training,
        run.out,
        run.seed,
        device,
        meta={
            "model": "ddpm",
            "network": network,
            "diffusion": diffusion,
            "parameters": sum(p.numel() for p in model.parameters()),
        },
        label=f"ddpm seed {run.seed}",
    )


def train_ddpm(settings: Any, run: Run) -> None:
    """Trains a denoising diffusion model and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The settings `models.ddpm`: `network`, `diffusion` and `training`.
        run: Folders, seed (weights, order, noise) and device; several GPUs are all used.

    Raises:
        UserError: If the settings do not fit the images, or the data are missing.
    """
    launch(_train, settings, run, device=choose_device(run.device))

r"""Trains a denoising diffusion model of images, :math:`p(x)`, the generative model of DiME and related methods.

.. math:: L = \underbrace{\frac{1}{D} \mathbb{E}_{t, \epsilon}
          \|\epsilon - \hat\epsilon(x_t, t)\|^2}_{L_\mathrm{simple}}
          + \lambda \underbrace{\frac{T}{D} \mathbb{E}_{t, \epsilon}
          \mathrm{KL}\big(q(x_{t-1} \mid x_t, x_0) \,\|\, p(x_{t-1} \mid x_t)\big)}_{L_\mathrm{vlb}}

with D pixels and t uniform; at the first step the divergence is replaced by the discretised likelihood (Nichol and
Dhariwal, 2021, arXiv:2102.09672, section 3.1; :math:`\lambda` = 0.001 there, here in nats). The gradient of the
second term reaches the variance only. With a fixed variance there is no second term. If the network predicts velocity,
:math:`L_\mathrm{simple}` is the mean squared error of the velocity, that is, of the noise divided by
:math:`\sqrt{\bar\alpha_t}` (Salimans and Ho, 2022, arXiv:2202.00512).

The steps t of a batch are stratified: one is drawn in each of B equal parts of the schedule (Kingma et al., 2021,
arXiv:2107.00630, appendix I.1), which reduces the variance of the loss. The train split is used for training and the
valid split for the selection of weights.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...core.device import choose_device
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import load_dataset
from ...diffusion.denoiser import denoiser
from ...diffusion.parameterisation import Velocity
from ...diffusion.schedule import Schedule
from ...diffusion.steps import q_sample
from ...nets.likelihood import discretised_gaussian_nll
from ...nets.pixels import to_pixels
from ...training.augmentation import mirror_images
from ...training.distributed import launch
from ...training.loop import Fit, fit
from ...training.tensors import split_tensors
from .model import build_ddpm

if TYPE_CHECKING:
    from ...config.ddpm import DdpmSettings

__all__ = ["DiffusionLoss", "stratified_steps", "train_ddpm"]


def stratified_steps(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Draws one step in each of `count` equal parts of the schedule; each step is uniform.

    Arguments:
        count: The number B of steps to draw.
        steps: The number T of steps of the schedule.
        generator: The random generator.

    Returns:
        Steps from 0 to T - 1, int64 with shape (B,), on the generator's device.
    """
    places = torch.arange(count, device=generator.device)
    u = torch.rand(count, generator=generator, device=generator.device)
    return ((places + u) * (steps / count)).long().clamp(max=steps - 1)


class DiffusionLoss:
    r"""The loss of a denoising diffusion model; a loss of the training loop.

    Arguments:
        schedule: The training schedule, with all its steps.
        learned: Whether the network predicts the variance.
        vlb_weight: The weight :math:`\lambda` of the variational bound, if the variance is learned.
        mirror: Whether training images are flipped horizontally with probability 1/2.
    """

    def __init__(
        self, schedule: Schedule, learned: bool = True, vlb_weight: float = 0.001, mirror: bool = False
    ) -> None:
        self.schedule, self.learned = schedule, learned
        self.vlb_weight, self.mirror = vlb_weight, mirror

    def __call__(
        self, model: Any, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of images (B, C, H, W), uint8, and its terms."""
        x0 = to_pixels(batch["images"])
        if self.mirror and model.training:
            x0 = mirror_images(x0, generator)
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
        """Returns the term of the variational bound of each pixel in nats, (B, C, H, W)."""
        schedule = self.schedule
        prediction = denoiser(lambda *_: output, schedule, clip=False)(x_t, index)
        mean = schedule.take(schedule.posterior_weight_clean, index, x_t) * x0
        mean = mean + schedule.take(schedule.posterior_weight_noisy, index, x_t) * x_t
        narrower = schedule.take(schedule.posterior_log_variance, index, x_t) - prediction.log_variance
        divergence = 0.5 * (
            narrower.exp() - 1.0 - narrower + (mean - prediction.mean).square() / prediction.variance
        )
        first = discretised_gaussian_nll(x0, prediction.mean, 0.5 * prediction.log_variance)
        return torch.where((index == 0)[:, None, None, None], first, divergence)


def _train(settings: "DdpmSettings", run: Run, device: str) -> None:
    dataset = load_dataset(run.data)
    network, diffusion = dict(settings.network), dict(settings.diffusion)
    torch.manual_seed(derive_seed(run.seed, "ddpm", "weights"))
    model, schedule = build_ddpm(dataset, network, diffusion)
    loss = DiffusionLoss(schedule, model.learned_variance, diffusion["vlb_weight"], settings.training.mirror)
    fit(
        model,
        loss,
        {"images": split_tensors(dataset, run.data, "train")["images"]},
        {"images": split_tensors(dataset, run.data, "valid")["images"]},
        settings.training,
        Fit(
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
        ),
    )


def train_ddpm(settings: "DdpmSettings", run: Run) -> None:
    """Trains a denoising diffusion model and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The settings `models.ddpm`: `network`, `diffusion` and `training`.
        run: Folders, seed (weights, order, noise) and device; several GPUs are all used.

    Raises:
        UserError: If the settings do not fit the images, or the data are missing.
    """
    launch(_train, settings, run, device=choose_device(run.device))

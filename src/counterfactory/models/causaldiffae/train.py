r"""Trains the diffusion autoencoder: codes aligned with labels, and a denoiser told of them.

.. math:: L = \frac{1}{D} \|\epsilon - \hat\epsilon(x_t, t, z)\|^2 + w(\tau) \Big(
          \gamma_z \sum_k \mathrm{KL}\big(q(z_k \mid x, z_{\mathrm{Pa}(k)}) \,\|\, p(z_k \mid y_k)\big)
          + \gamma_u \sum_k \mathrm{KL}\big(q(u_k \mid x) \,\|\, \mathcal{N}(0, I)\big) \Big)

(CausalDiffAE, Komanduri et al., ECAI 2024, arXiv:2404.17735), D pixels, divergences summed over code dimensions, and w
rising linearly from 0 to 1 over the share `ramp` of the steps. The weights :math:`\gamma_z` (`kl_label`) and
:math:`\gamma_u` (`kl_noise`) are both 1 as published: beside a mean over pixels that is a weight of D. Where the
denoiser predicts velocity, the first term is divided by :math:`\bar\alpha_t` (see
:mod:`counterfactory.diffusion.velocity`).

`posterior: consistent` draws :math:`u \sim q(u \mid x)`, sends it through the causal layer, and takes the divergence of
what was drawn from, block after block by the chain rule; each is in closed form. In place of the second sum stands what
it is a bound of, for codes that are their labels' own, :math:`m_k` being the prior's means:

.. math:: -\sum_k \log p\big(m_k \mid m_{\mathrm{Pa}(k)}\big) = \sum_k \sum_w \tfrac12 u_{kw}^2 + s_{kw} + \text{const.}

over effects; a root's code is its noise, which has the label's prior already. That alone teaches the causal layer's
mechanisms (the first sum teaches the encoder what they are), so that they are the regression of an effect's labels on
its causes', and no blur of the encoder's is taken for chance. `posterior: published` sends the mean through the layer,
draws z around it with a thousandth of the variance, and takes the first divergence as if both variances were 1 and the
second over all variables.

`labels: given` tells the denoiser codes that are moved to show the very labels (q(z | x, y) of the paper): what the
encoder misreads then does not blur what the denoiser learns of a code. `labels: read` tells it the encoder's own, as
published.

A share `drop` of the images is told nothing, drawn anew at every step (published: one half), and adds to no divergence:
the denoiser then also knows images without codes, which guidance needs. Of images *without labels*, all but a share
`labelled` of the train split that is drawn once, the denoiser is never told anything; where variables act as exposure,
such an image is developed by what its codes show. Means are over those images that count, and a batch that has none
adds nothing.
"""

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...core.device import choose_device
from ...core.noise import derive_seed, generator
from ...core.run import Run
from ...data.dataset import Dataset, encode_parents, load_dataset, load_split
from ...diffusion.schedule import Schedule
from ...diffusion.steps import q_sample
from ...diffusion.velocity import Velocity
from ...nets.latents import gaussian_kl
from ...nets.pixels import to_pixels
from ...training.distributed import launch
from ...training.loop import TrainingSettings, fit
from ..ddpm.train import stratified_steps
from ..image.exposure import fit_exposure
from .model import build_causaldiffae

__all__ = ["CausalDiffAELoss", "CausalDiffAETraining", "labelled_rows", "train_causaldiffae"]

_PUBLISHED_SPREAD = 0.001  # the share of the variance that the published code draws z with


class CausalDiffAETraining(TrainingSettings, Protocol):
    """What the loss reads of the configuration, section `models.causaldiffae.training`."""

    kl_label: float
    kl_noise: float
    ramp: float
    posterior: str
    labels: str
    drop: float
    labelled: float


class CausalDiffAELoss:
    """The training loss, in the form that the training loop takes; a batch has images, parents (B, P), labelled (B,).

    Arguments:
        schedule: The schedule, with all its steps.
        training: The settings `models.causaldiffae.training`.
    """

    def __init__(self, schedule: Schedule, training: CausalDiffAETraining) -> None:
        self.schedule, self.training = schedule, training

    def weight(self, progress: float) -> float:
        """Returns the weight w of both divergences when a share `progress` of the steps is done."""
        return min(1.0, progress / self.training.ramp) if self.training.ramp > 0 else 1.0

    def __call__(
        self, model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss and its parts: the denoiser's error, and both divergences in nats an image."""
        x0, labelled = to_pixels(batch["images"]), batch["labelled"].bool()
        schedule = self.schedule = self.schedule.to(x0.device)
        # All is drawn whatever is used, so that the noise of one image hangs on nothing else.
        index = stratified_steps(len(x0), len(schedule), generator)
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        mean, log_variance = model.encoder(x0)
        spread = torch.randn(mean.shape, generator=generator, device=x0.device)
        told = torch.rand(len(x0), generator=generator, device=x0.device) >= self.training.drop
        parents = batch["parents"]
        with torch.autocast(x0.device.type, enabled=False):
            codes, kl_label, kl_noise = self.codes(model, mean, log_variance, spread, parents)
            shown = model.prior.encode(model.prior.read(codes.detach()))
            parents = torch.where(labelled[:, None], parents, shown)
            if self.training.labels == "given":
                codes = model.prior.move(codes, parents)
            x0 = model.develop(x0, parents)
        # Unlabelled images align no codes, so that the denoiser must not learn what theirs mean.
        counts = labelled & told
        x_t = q_sample(schedule, x0, index, noise)
        output = model.denoiser(x_t, schedule.timesteps[index], model.condition(codes, counts))
        error = (output - noise).square()
        if isinstance(model.denoiser, Velocity):
            error = error / schedule.take(schedule.alphas_bar, index, error)
        simple = error.mean()
        share = counts.float() / counts.float().sum().clamp(min=1.0)
        label, prior = (share * kl_label).sum(), (share * kl_noise).sum()
        divergence = self.training.kl_label * label + self.training.kl_noise * prior
        scores = {"simple": simple.detach(), "kl_label": label.detach(), "kl_noise": prior.detach()}
        return simple + self.weight(progress) * divergence, scores

    def codes(
        self, model: nn.Module, mean: Tensor, log_variance: Tensor, spread: Tensor, parents: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draws codes, and returns them (B, K, W) and each image's two divergences (B,), in nats; see the module.

        Arguments:
            model: The networks.
            mean: The noises' means, (B, K, W).
            log_variance: Their log variances, likewise.
            spread: Standard normal noise, likewise.
            parents: The encoded parents, (B, P).
        """
        layer, prior = model.layer, model.prior(parents)
        if self.training.posterior == "published":
            clean = layer(mean)
            codes = clean + math.sqrt(_PUBLISHED_SPREAD) * (0.5 * log_variance).exp() * spread
            zero = torch.zeros_like(mean)
            of_noise = gaussian_kl((mean, 0.5 * log_variance), (zero, zero))
            ones = zero if model.prior.kind == "fixed" else prior[1]
            label = gaussian_kl((clean, ones), (prior[0], ones))
            return codes, label.sum((1, 2)), of_noise.sum((1, 2))
        codes = layer(mean + (0.5 * log_variance).exp() * spread, frozen=True)
        shift, log_scale = layer.moments(codes, frozen=True)
        conditional = (shift + log_scale.exp() * mean, log_scale + 0.5 * log_variance)
        label = gaussian_kl(conditional, prior).sum((1, 2))
        shift, log_scale = layer.moments(prior[0])
        noises = (prior[0] - shift) * torch.exp(-log_scale)
        effects = torch.tensor([not root for root in layer.roots], device=mean.device)
        return codes, label, ((0.5 * noises.square() + log_scale).sum(2) * effects).sum(1)


def labelled_rows(count: int, share: float, seed: int) -> Tensor:
    """Returns which of `count` images have a label, bool (N,): a share drawn once, which a larger share contains."""
    labelled = torch.zeros(count, dtype=torch.bool)
    labelled[torch.from_numpy(generator(seed, "labelled").permutation(count)[: round(share * count)])] = True
    return labelled


def _tensors(dataset: Dataset, folder: Path, split: str, labelled: float, seed: int) -> dict[str, Tensor]:
    loaded = load_split(folder, split)
    return {
        "images": torch.from_numpy(np.array(loaded.images)),
        "parents": torch.from_numpy(encode_parents(dataset, loaded.attributes)),
        "labelled": labelled_rows(len(loaded.images), labelled, seed).float(),
    }


def _train(settings: Any, run: Run, device: str) -> None:
    data, seed = run.data, run.seed
    dataset, training = load_dataset(data), settings.training
    parts = {name: dict(getattr(settings, name)) for name in ("network", "codes", "diffusion")}
    torch.manual_seed(derive_seed(seed, "causaldiffae", "weights"))
    model, schedule = build_causaldiffae(dataset, **parts)
    train = _tensors(dataset, data, "train", training.labelled, seed)
    if model.columns:
        labelled = train["labelled"].bool()
        fit_exposure(model, train["images"][labelled], train["parents"][labelled])
    fit(
        model,
        CausalDiffAELoss(schedule, training),
        train,
        # Validation has all its labels: fewer would only make its mean less certain.
        _tensors(dataset, data, "valid", 1.0, seed),
        training,
        run.out,
        seed,
        device,
        meta={"model": "causaldiffae", **parts, "parameters": sum(p.numel() for p in model.parameters())},
        label=f"causaldiffae seed {seed}",
    )


def train_causaldiffae(settings: Any, run: Run) -> None:
    """Trains a diffusion autoencoder and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The settings `models.causaldiffae`: `network`, `codes`, `diffusion` and `training`.
        run: Folders, seed (weights, order, noise, labelled images) and device; several GPUs are all used.

    Raises:
        UserError: If the settings do not fit the images, or the data are missing.
    """
    launch(_train, settings, run, device=choose_device(run.device))

r"""Trains CausalDiffAE: an encoder to causal codes that are aligned with labels, and a denoiser conditioned on them.

.. math:: L = \frac{1}{D} \|\epsilon - \hat\epsilon(x_t, t, z)\|^2 + w(\tau) \Big(
          \gamma_z \sum_k \mathrm{KL}\big(q(z_k \mid x, z_{\mathrm{Pa}(k)}) \,\|\, p(z_k \mid y_k)\big)
          + \gamma_u \sum_k \mathrm{KL}\big(q(u_k \mid x) \,\|\, \mathcal{N}(0, I)\big) \Big)

(CausalDiffAE, Komanduri et al., ECAI 2024, arXiv:2404.17735) with D pixels, divergences summed over code dimensions,
and w increasing linearly from 0 to 1 over the share `ramp` of the steps. The published weights :math:`\gamma_z`
(`kl_label`) and :math:`\gamma_u` (`kl_noise`) are 1; relative to a mean over pixels, this is a weight of D. If the
denoiser predicts velocity, the first term is divided by :math:`\bar\alpha_t`
(:mod:`counterfactory.diffusion.parameterisation`).

`posterior: consistent` draws :math:`u \sim q(u \mid x)`, maps it through the causal layer, and computes the divergence
of this distribution block by block by the chain rule, in closed form. The second sum is replaced by the negative log
density it bounds, for codes equal to the means :math:`m_k` of the labels' prior,

.. math:: -\sum_k \log p\big(m_k \mid m_{\mathrm{Pa}(k)}\big) = \sum_k \sum_w \tfrac12 u_{kw}^2 + s_{kw} + \text{const.}

over the effects; the code of a root is its noise and already has the prior of the label. Only this term trains the
mechanisms of the causal layer; the first sum trains the encoder with the mechanisms held fixed. The mechanisms are
therefore the regression of the labels of an effect on those of its causes, unaffected by the uncertainty of the
encoder. `posterior: published` maps the mean through the layer, draws z around it with a thousandth of the variance,
and computes the first divergence as if both variances were 1 and the second over all variables.

`labels: given` moves the codes to the given labels before they condition the denoiser (q(z | x, y) of the paper), so
that errors of the encoder do not blur what the denoiser associates with a code. `labels: read` uses the encoder's own
codes, as the published code does.

A share `drop` of the images, drawn anew in every step (published: one half), has the null condition and contributes to
no divergence; the denoiser is then also trained without codes, as classifier-free guidance requires. Images *without
labels*, all but a share `labelled` of the train split that is drawn once, always have the null condition. If variables
act as exposure, such an image is developed with the labels that its codes show. Means are over the images that count;
a batch without any contributes nothing.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...core.device import choose_device
from ...core.noise import derive_seed, generator
from ...core.run import Run
from ...data.dataset import Dataset, load_dataset
from ...diffusion.parameterisation import Velocity
from ...diffusion.schedule import Schedule
from ...diffusion.steps import q_sample
from ...nets.latents import gaussian_kl
from ...nets.pixels import to_pixels
from ...training.distributed import launch
from ...training.loop import Fit, fit
from ...training.tensors import split_tensors
from ..ddpm.train import stratified_steps
from ..image.exposure import fit_exposure
from .model import build_causaldiffae

if TYPE_CHECKING:
    from ...config.causaldiffae import CausalDiffAESettings, CausalDiffAETraining

__all__ = ["CausalDiffAELoss", "labelled_rows", "train_causaldiffae"]

_PUBLISHED_SPREAD = 0.001
"""Factor on the variance with which the published code draws z."""


class CausalDiffAELoss:
    """The loss of CausalDiffAE; a loss of the training loop.

    Arguments:
        schedule: The training schedule, with all its steps.
        training: The settings `models.causaldiffae.training`.
    """

    def __init__(self, schedule: Schedule, training: "CausalDiffAETraining") -> None:
        self.schedule, self.training = schedule, training

    def weight(self, progress: float) -> float:
        """Returns the weight w of both divergences after a share `progress` of the steps."""
        return min(1.0, progress / self.training.ramp) if self.training.ramp > 0 else 1.0

    def __call__(
        self, model: Any, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss and its terms: the error of the denoiser, and both divergences in nats per image.

        Arguments:
            model: The networks.
            batch: `images` (B, C, H, W), uint8; encoded `parents` (B, P); `labelled` (B,), 1 for images with labels.
            generator: The random generator.
            progress: The share of completed steps.
        """
        x0, labelled = to_pixels(batch["images"]), batch["labelled"].bool()
        schedule = self.schedule = self.schedule.to(x0.device)
        # All noise is drawn in any case, so that it does not depend on the settings.
        index = stratified_steps(len(x0), len(schedule), generator)
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        mean, log_variance = model.encoder(x0)
        spread = torch.randn(mean.shape, generator=generator, device=x0.device)
        conditioned = torch.rand(len(x0), generator=generator, device=x0.device) >= self.training.drop
        parents = batch["parents"]
        with torch.autocast(x0.device.type, enabled=False):
            codes, kl_label, kl_noise = self.codes(model, mean, log_variance, spread, parents)
            shown = model.prior.encode(model.prior.read(codes.detach()))
            parents = torch.where(labelled[:, None], parents, shown)
            if self.training.labels == "given":
                codes = model.prior.move(codes, parents)
            x0 = model.develop(x0, parents)
        # The codes of unlabelled images are not aligned with labels, so the denoiser is not conditioned on them.
        counts = labelled & conditioned
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
        self, model: Any, mean: Tensor, log_variance: Tensor, spread: Tensor, parents: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draws codes; returns them (B, K, W) and the two divergences of each image (B,), in nats; see the module.

        Arguments:
            model: The networks.
            mean: The means of the noises u, with shape (B, K, W).
            log_variance: Their log variances, with the same shape.
            spread: Standard normal noise with the same shape.
            parents: Encoded parents with shape (B, P).
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
    """Returns which of `count` images have a label, bool (N,); a larger share contains a smaller one."""
    labelled = torch.zeros(count, dtype=torch.bool)
    labelled[torch.from_numpy(generator(seed, "labelled").permutation(count)[: round(share * count)])] = True
    return labelled


def _split(dataset: Dataset, folder: Path, split: str, labelled: float, seed: int) -> dict[str, Tensor]:
    """Returns images, encoded parents and labelled rows of a split."""
    tensors = split_tensors(dataset, folder, split)
    return {**tensors, "labelled": labelled_rows(len(tensors["images"]), labelled, seed).float()}


def _train(settings: "CausalDiffAESettings", run: Run, device: str) -> None:
    data, seed = run.data, run.seed
    dataset, training = load_dataset(data), settings.training
    parts = {name: dict(getattr(settings, name)) for name in ("network", "codes", "diffusion")}
    torch.manual_seed(derive_seed(seed, "causaldiffae", "weights"))
    model, schedule = build_causaldiffae(dataset, **parts)
    train = _split(dataset, data, "train", training.labelled, seed)
    if model.columns:
        labelled = train["labelled"].bool()
        fit_exposure(model, train["images"][labelled], train["parents"][labelled])
    fit(
        model,
        CausalDiffAELoss(schedule, training),
        train,
        # Validation uses all labels: fewer would only increase the variance of its mean.
        _split(dataset, data, "valid", 1.0, seed),
        training,
        Fit(
            run.out,
            seed,
            device,
            meta={"model": "causaldiffae", **parts, "parameters": sum(p.numel() for p in model.parameters())},
            label=f"causaldiffae seed {seed}",
        ),
    )


def train_causaldiffae(settings: "CausalDiffAESettings", run: Run) -> None:
    """Trains CausalDiffAE and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The settings `models.causaldiffae`: `network`, `codes`, `diffusion` and `training`.
        run: Folders, seed (weights, order, noise, labelled images) and device; several GPUs are all used.

    Raises:
        UserError: If the settings do not fit the images, or the data are missing.
    """
    launch(_train, settings, run, device=choose_device(run.device))

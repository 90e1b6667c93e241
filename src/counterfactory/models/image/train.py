r"""Trains an image mechanism :math:`p(x \mid \mathrm{pa})`: the simple VAE or the hierarchical VAE.

Minimises the negative ELBO in nats per pixel,

.. math:: \mathcal{L} = \mathrm{NLL} + \beta_\tau\, \mathrm{KL}

(causal-gen, De Sousa Ribeiro et al., 2023, arXiv:2306.15764). The train split is used for training and the valid split
for the selection of weights.

Two schedules over the share :math:`\tau` of completed steps, both off in the published settings, determine what a short
training learns first:

- `beta_start` > `beta`: :math:`\beta_\tau` decreases geometrically from `beta_start` to `beta` until :math:`\tau` =
  `beta_until`. With a large weight on the KL divergence the decoder first learns to use the parents, which cost
  nothing; the latents then add what the parents do not determine. Without this schedule the latents describe the whole
  image first, and an intervention on a parent has no effect.
- `scale_hold`, `scale_release`: the scale of the pixels is fixed while :math:`\tau` < `scale_hold`, and predicted by
  the network from :math:`\tau` = `scale_release` on (:mod:`counterfactory.nets.head`).

`likelihood: capped` bounds the negative log-likelihood of a pixel, as in causal-gen
(:func:`counterfactory.nets.likelihood.capped_gaussian_nll`). With `conditioning_dropout` the categorical parents are
hidden from the prior, or from posterior and decoder, of single images; with `conditioning_dropout_unit: batch`, as in
causal-gen, of whole batches, from the prior or the decoder.

`independence` is the weight of the adversarial penalty on information about the parents in the latents
(:mod:`counterfactory.models.image.independence`).
"""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...core.device import choose_device
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import Dataset, load_dataset
from ...nets.latents import draw_noise
from ...nets.pixels import to_pixels
from ...training.augmentation import mirror_images, shift_images
from ...training.distributed import launch, world_size
from ...training.loop import Fit, fit
from ...training.tensors import split_tensors
from . import native
from .corrections import fit_corrections
from .exposure import fit_exposure
from .hvae import Hvae
from .independence import Adversary, dependence
from .levels import fit_levels
from .model import build_image_mechanism

if TYPE_CHECKING:
    from ...config.models import HvaeSettings, VaeSettings
    from ...config.training import ImageTrainingSettings

__all__ = ["ElboLoss", "train_image_mechanism"]


class ElboLoss:
    """Negative ELBO with augmentation, schedules and conditioning dropout; a loss of the training loop.

    Arguments:
        training: The settings `models.<name>.training`.
        droppable: A mask (P,) of the columns of the encoded parents that conditioning dropout may hide.
        kernels: Whether the C++ kernels compute the ELBO of the batches that they support
            (:mod:`counterfactory.models.image.native`).
    """

    def __init__(self, training: "ImageTrainingSettings", droppable: Tensor, kernels: bool = False) -> None:
        self.training, self.droppable, self.kernels = training, droppable, kernels
        self.capped = training.likelihood == "capped"
        self.by_batch = training.conditioning_dropout_unit == "batch"

    def beta(self, progress: float) -> float:
        """Returns the weight of the KL divergence after a share `progress` of the steps."""
        first, last, until = self.training.beta_start, self.training.beta, self.training.beta_until
        if progress >= until:
            return last
        return last * (first / last) ** (1.0 - progress / until)

    def scale_gate(self, progress: float) -> float:
        """Returns the weight, in [0, 1], of the predicted scale of the pixels against the fixed one."""
        hold, release = self.training.scale_hold, self.training.scale_release
        if progress >= release:
            return 1.0
        return (progress - hold) / (release - hold) if progress > hold else 0.0

    def __call__(
        self, model: Any, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of images (B, C, H, W), uint8, with parents (B, P), and its terms."""
        x, parents = to_pixels(batch["images"]), batch["parents"]
        noise = draw_noise(model.noise_shapes, x, generator)
        prior_parents, decoder_parents = parents, None
        if model.training:
            model.head.scale_gate.fill_(self.scale_gate(progress))
            if self.training.mirror:
                x = mirror_images(x, generator)
            x = shift_images(x, self.training.shift, generator, fill=-1.0)
            if self.training.conditioning_dropout > 0 and self.by_batch:
                # As in causal-gen: one draw for the batch, and the posterior receives all parents.
                u = torch.rand(1, generator=generator, device=x.device)
                p, hidden = self.training.conditioning_dropout, self.droppable.to(x.device)
                prior_parents = torch.where((u < p / 2) & hidden, 0.0, parents)
                decoder_parents = torch.where((u >= p / 2) & (u < p) & hidden, 0.0, parents)
            elif self.training.conditioning_dropout > 0:
                # The categorical parents of an image are hidden from the prior, from the decoder, or from neither.
                u = torch.rand(len(x), 1, generator=generator, device=x.device)
                p, hidden = self.training.conditioning_dropout, self.droppable.to(x.device)
                prior_parents = torch.where((u < p / 2) & hidden, 0.0, parents)
                parents = torch.where((u >= p / 2) & (u < p) & hidden, 0.0, parents)
        nll, kl, latents = self.elbo(model, x, parents, noise, prior_parents, decoder_parents)
        loss, scores = nll + self.beta(progress) * kl, {"nll": nll.detach(), "kl": kl.detach()}
        if model.training and self.training.independence > 0:
            error, information = dependence(model.adversary, latents, batch["parents"])
            loss = loss + (error + self.training.independence * information) / x[0].numel()
            scores["information"] = information.detach()
        return loss, scores

    def elbo(
        self,
        model: Any,
        x: Tensor,
        parents: Tensor,
        noise: list[Tensor],
        prior_parents: Tensor,
        decoder_parents: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Computes :meth:`counterfactory.models.image.hvae.Hvae.elbo`, by the kernels where they are used.

        Only the simple VAE has `decoder_parents`: causal-gen's HVAE computes them and does not use them.
        """
        if self.kernels and not self.capped and native.suits(model, x):
            return native.elbo(model, x, parents, noise, self.training.free_bits, prior_parents)
        own: dict[str, Any] = {"capped": True} if self.capped else {}
        if decoder_parents is not None and not isinstance(model, Hvae):
            own["decoder_parents"] = decoder_parents
        return model.elbo(x, parents, noise, self.training.free_bits, prior_parents, **own)


def droppable_columns(dataset: Dataset) -> Tensor:
    """Returns a mask (P,) of the columns of the encoded parents that belong to categorical variables."""
    return torch.cat([torch.full((v.width,), v.kind == "categorical") for v in dataset.variables])


def _uses_kernels(model: Any, training: "ImageTrainingSettings", device: str) -> bool:
    """Returns whether the kernels may compute the ELBO; the batches are checked one by one."""
    compiled = training.compile == "always" or training.likelihood == "capped"
    return isinstance(model, Hvae) and device == "cpu" and not compiled and native.available()


def _train(settings: "VaeSettings | HvaeSettings", run: Run, device: str) -> None:
    name, training = run.name, settings.training
    dataset = load_dataset(run.data)
    torch.manual_seed(derive_seed(run.seed, name, "weights"))
    network = dict(settings.network)
    model: Any = build_image_mechanism(name, dataset, network)
    train = split_tensors(dataset, run.data, "train")
    parameters = sum(p.numel() for p in model.parameters())
    fit_exposure(model.head, train["images"], train["parents"])
    fit_levels(model, train["images"], train["parents"])
    if training.independence > 0:
        latents = sum(math.prod(shape) for shape in model.noise_shapes)
        model.adversary = Adversary(dataset, train["parents"], latents)

    def finish(chosen: Any) -> None:
        fit_corrections(chosen, dataset, train["images"], train["parents"], run.seed)

    kernels = _uses_kernels(model, training, device)
    batch = torch.empty(training.batch_size // world_size(), *model.shape)
    fit(
        model,
        ElboLoss(training, droppable_columns(dataset), kernels),
        train,
        split_tensors(dataset, run.data, "valid"),
        training,
        Fit(
            run.out,
            run.seed,
            device,
            meta={
                "model": name,
                "network": network,
                "parameters": parameters,
                # Part of the fingerprint of a training: a training resumed elsewhere must use the same arithmetic.
                "kernels": "compiled" if kernels and native.suits(model, batch) else "torch",
            },
            label=f"{name} seed {run.seed}",
            transient="adversary.",
            finish=finish,
        ),
    )


def train_image_mechanism(settings: "VaeSettings | HvaeSettings", run: Run) -> None:
    """Trains the image mechanism `run.name` and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The settings `models.<name>`: `network` and `training`.
        run: Name (`vae` or `hvae`), folders, seed (weights, order, noise) and device; several GPUs are all used.

    Raises:
        UserError: If the settings do not fit the images, or the data are missing.
    """
    launch(_train, settings, run, device=choose_device(run.device))

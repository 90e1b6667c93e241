r"""Trains an image mechanism :math:`p(x \mid \mathrm{pa})`: the simple VAE or the hierarchical VAE.

Minimises the negative ELBO in nats per pixel, :math:`\mathrm{NLL} + \beta_\tau\, \mathrm{KL}` (causal-gen, De
Sousa Ribeiro et al., 2023, arXiv:2306.15764). The train split trains, the valid split selects; neither
judges' nor test images are read.

Two schedules over the share :math:`\tau` of the steps done, both off as published, decide what a short run
learns first:

- `beta_start` > `beta`: :math:`\beta_\tau` falls geometrically from the one to the other while :math:`\tau` <
  `beta_until`. While latents are dear the decoder learns all it can from the parents, which are free; latents
  then add only what the parents do not say. Without this a latent that describes the whole image comes first,
  and an intervention on a parent changes nothing.
- `scale_hold`, `scale_release`: the pixels' scale is fixed while :math:`\tau` < `scale_hold` and its own from
  `scale_release` on (see :mod:`counterfactory.nets.head`).

`independence` is the weight of what the latents know of the parents (see :mod:`counterfactory.models.image.independence`).
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.device import choose_device
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import Dataset, encode_parents, load_dataset, load_split
from ...nets.pixels import to_pixels
from ...training.augmentation import shift_images
from ...training.distributed import launch, world_size
from ...training.loop import fit
from . import native
from .exposure import fit_exposure
from .independence import Adversary, dependence
from .model import build
from .sharpness import fit_sharpness

__all__ = ["train_image_mechanism"]


class ElboLoss:
    """The training loss: negative ELBO with augmentation, schedules and conditioning dropout.

    Arguments:
        training: The settings `models.<name>.training`.
        droppable: Which columns of the encoded parents conditioning dropout hides (those of categorical variables).
    """

    def __init__(self, training: Any, droppable: Tensor) -> None:
        self.training, self.droppable = training, droppable

    def beta(self, progress: float) -> float:
        """Returns the weight of the KL divergence when a share `progress` of the steps is done."""
        first, last, until = self.training.beta_start, self.training.beta, self.training.beta_until
        if progress >= until:
            return last
        return last * (first / last) ** (1.0 - progress / until)

    def freedom(self, progress: float) -> float:
        """Returns how far the pixels' scale is the network's own, in [0, 1]."""
        hold, release = self.training.scale_hold, self.training.scale_release
        if progress >= release:
            return 1.0
        return (progress - hold) / (release - hold) if progress > hold else 0.0

    def __call__(
        self, model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x, parents = to_pixels(batch["images"]), batch["parents"]
        noise = [
            torch.randn(len(x), *shape, generator=generator, device=x.device, dtype=x.dtype)
            for shape in model.noise_shapes
        ]
        prior_parents = parents
        if model.training:
            model.head.scale_gate.fill_(self.freedom(progress))
            x = shift_images(x, self.training.shift, generator, fill=-1.0)
            if self.training.conditioning_dropout > 0:
                # Each image hides its categorical parents from the prior, from the decoder, or from neither.
                u = torch.rand(len(x), 1, generator=generator, device=x.device)
                p, hidden = self.training.conditioning_dropout, self.droppable.to(x.device)
                prior_parents = torch.where((u < p / 2) & hidden, 0.0, parents)
                parents = torch.where((u >= p / 2) & (u < p) & hidden, 0.0, parents)
        nll, kl, latents = model.elbo(x, parents, noise, self.training.free_bits, prior_parents)
        loss, scores = nll + self.beta(progress) * kl, {"nll": nll.detach(), "kl": kl.detach()}
        if model.training and self.training.independence > 0:
            error, known = dependence(model.adversary, latents, batch["parents"])
            loss = loss + (error + self.training.independence * known) / x[0].numel()
            scores["known"] = known.detach()
        return loss, scores


def droppable_columns(dataset: Dataset) -> Tensor:
    """Returns a mask (P,) of the encoded parents' columns that belong to categorical variables."""
    return torch.cat([torch.full((v.width,), v.kind == "categorical") for v in dataset.variables])


def _tensors(dataset: Dataset, folder: Path, split: str) -> dict[str, Tensor]:
    loaded = load_split(folder, split)
    return {
        "images": torch.from_numpy(np.array(loaded.images)),
        "parents": torch.from_numpy(encode_parents(dataset, loaded.attributes)),
    }


def _kernels(model: nn.Module, batch_size: int, device: str) -> str:
    """Returns what computes the bound where PyTorch does not compile it: `compiled` kernels of ours or `torch`."""
    from .hvae import Hvae

    if not isinstance(model, Hvae) or device != "cpu":
        return "torch"
    batch = torch.empty(batch_size // world_size(), *model.shape)
    return "compiled" if native.suits(model, batch) and native.available() else "torch"


def _train(settings: Any, run: Run, device: str) -> None:
    name, data, seed = run.name, run.data, run.seed
    dataset = load_dataset(data)
    torch.manual_seed(derive_seed(seed, name, "weights"))
    network = dict(settings.network)
    model = build(name, dataset, network)
    train = _tensors(dataset, data, "train")
    parameters = sum(p.numel() for p in model.parameters())
    fit_exposure(model.head, train["images"], train["parents"])
    if settings.training.independence > 0:
        latents = sum(math.prod(shape) for shape in model.noise_shapes)
        model.adversary = Adversary(dataset, train["parents"], latents)
    fit(
        model,
        ElboLoss(settings.training, droppable_columns(dataset)),
        train,
        _tensors(dataset, data, "valid"),
        settings.training,
        run.out,
        seed,
        device,
        meta={
            "model": name,
            "network": network,
            "parameters": parameters,
            # Part of what a killed run is known by: one that goes on elsewhere must not mix two arithmetics.
            "kernels": _kernels(model, settings.training.batch_size, device),
        },
        label=f"{name} seed {seed}",
        transient="adversary.",
        finish=lambda chosen: fit_sharpness(chosen, train["images"], train["parents"], seed),
    )


def train_image_mechanism(settings: Any, run: Run) -> None:
    """Trains the image mechanism `run.name` and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The settings `models.<name>`: `network` and `training`.
        run: Name (`vae` or `hvae`), folders, seed (weights, order, noise) and device; several GPUs are all used.
    """
    launch(_train, settings, run, device=choose_device(run.device))

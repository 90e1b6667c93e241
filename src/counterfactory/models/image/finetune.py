r"""Counterfactual fine-tuning: trains an image mechanism to follow interventions, under a constraint on its ELBO.

A mechanism trained by its ELBO may ignore the parents in a counterfactual. It is fine-tuned such that predictors
recognise the counterfactual parents in the counterfactual image, while the likelihood of factual images is kept:

.. math:: \min_\theta \; A(\theta) = -\mathbb{E} \sum_k w_k \log q_k(\mathrm{pa}^*_k \mid x^*_\theta)
          \quad \text{subject to} \quad F(\theta) \le c

with F the negative ELBO in nats per pixel (De Sousa Ribeiro et al., 2023, arXiv:2306.15764, section 3.3; there
:math:`w_k = 1`). The likelihood of a continuous parent is a density and grows without bound as predictions become
exact, while that of a class is at most 1. Unweighted, the objective improves on continuous parents only; categorical
ones therefore have the weight `categorical_weight`. The damped method of multipliers (Platt and Barr, 1987,
"Constrained differential optimization") descends in the weights and ascends in :math:`\lambda \ge 0` on

.. math:: A + \big(\lambda + d\, \mathrm{sg}[F - c]\big)(F - c)

with sg the stop-gradient. The bound c is the NELBO of the pretrained mechanism on the train split, plus `slack`. The
published bound is one constant. `constraint: image` (the default) uses the NELBO of each image, whose mean is the same;
the difference F - c then does not depend on which images a batch contains.

An intervention sets one parent, drawn for every batch (published) or for every image, to the value of another image.
Its effects on other parents follow from the fitted mechanisms of the parents. These mechanisms and the predictors are
frozen. The predictors are trained on the *train* split and are not the judges that score answers. A high agreement with
predictors does not imply a correct counterfactual: fine-tuning is known to exaggerate attributes (Xia et al., MICCAI
2024, arXiv:2403.09422). Scores by predictors should be read together with the distance to the true counterfactual.

F is the NELBO of the trained density, whose location is a mean. The counterfactual image, however, is sharpened as the
pretrained mechanism sharpens its predictions (:mod:`counterfactory.nets.head`), because that is the image that is
returned. The sharpness is fixed during fine-tuning and fitted again afterwards. So are the corrections of answers
(:mod:`counterfactory.models.image.corrections`): the predictors receive the image without them.

Validation uses the same random interventions. Among the weights that satisfy the constraint on the valid split
(:math:`F \le c`, with c the pretrained NELBO of that split under the same noise), those with the least A are kept; if
none does, those with the smallest violation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ...core.checkpoint import load_model
from ...core.device import INFERENCE_BATCH, arithmetic, choose_device
from ...core.files import read_json, write_json
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import Dataset, encode_parents, load_dataset, load_split
from ...nets.head import Head
from ...nets.latents import draw_noise, gaussian_kl
from ...nets.likelihood import discretised_gaussian_nll, standardise, unstandardise
from ...nets.pixels import to_pixels
from ...nets.sharpening import sharpened
from ...scm.fit import load_scm
from ...scm.model import ParentsSCM
from ...training.distributed import launch, rank
from ...training.loop import Fit, fit
from ...training.tensors import split_tensors
from ..judges.model import Judge, load_judge
from .corrections import fit_corrections
from .model import load_image_mechanism

if TYPE_CHECKING:
    from ...config.finetune import FinetuneSettings, FinetuneTraining

__all__ = ["CounterfactualLoss", "finetune", "intervene", "nelbo"]

_VIOLATION = 1e4
"""Weight, in nats, of exceeding c by 1 nat per pixel in the selection of weights; larger than any gain in A."""


class CounterfactualLoss:
    r"""The damped Lagrangian; a loss of the training loop (:func:`counterfactory.training.loop.fit`).

    The model has the parameter `multiplier`, which is :math:`\lambda` in units of `multiplier_rate` / `learning_rate`.
    The step size of AdamW does not depend on the scale of the gradient, so that :math:`\lambda` changes at the rate
    `multiplier_rate`.

    Arguments:
        settings: The settings `models.<name>_ft.training`.
        dataset: The data set.
        scm: The mechanisms of the parents.
        predictors: The frozen predictor of every variable, by name.
        sharpness: The amount of sharpening of counterfactual images. The head of the model itself must not sharpen.
    """

    def __init__(
        self,
        settings: "FinetuneTraining",
        dataset: Dataset,
        scm: ParentsSCM,
        predictors: Mapping[str, Judge],
        sharpness: float = 0.0,
    ) -> None:
        self.settings, self.dataset, self.scm, self.predictors = settings, dataset, scm, predictors
        self.sharpness = sharpness
        self.unit = settings.multiplier_rate / settings.learning_rate

    def __call__(
        self, model: Any, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the Lagrangian and scores to log.

        Arguments:
            model: The image mechanism, with the parameter `multiplier`.
            batch: `images` (B, C, H, W), uint8; encoded `parents` (B, P); `values` (B, K), the parents in physical
                units; `allowed` (B,), the bound c of each image.
            generator: The source of noise and interventions.
            progress: Unused.
        """
        x, parents = to_pixels(batch["images"]), batch["parents"]
        noise = draw_noise(model.noise_shapes, x, generator)
        after = intervene(self.dataset, self.scm, batch["values"], self.settings.intervene, generator)
        cost, z, location, log_scale = nelbo(model, x, parents, noise)
        residual = standardise(x, self.sharpen(location), log_scale)
        location, log_scale = model.predict(z, after)
        counterfactual = unstandardise(residual, self.sharpen(location), log_scale)
        error = -self.agreement(counterfactual, after).mean()
        excess = cost.mean() - batch["allowed"].mean() - self.settings.slack
        scores = {"error": error.detach(), "nelbo": cost.mean().detach(), "excess": excess.detach()}
        if not model.training:
            return error, scores
        with torch.no_grad():
            model.multiplier.clamp_(min=0.0)
        weight = self.unit * model.multiplier
        # Has the value of the multiplier and minus its gradient, so that gradient descent ascends in lambda.
        ascending = 2.0 * weight.detach() - weight
        lagrangian = error + (ascending + self.settings.damping * excess.detach()) * excess
        return lagrangian, {**scores, "multiplier": weight.detach()}

    def sharpen(self, location: Tensor) -> Tensor:
        """Returns the location as an answer contains it, that is sharpened, with shape :math:`(B, C, H, W)`."""
        if not self.sharpness:
            return location
        # float32 also under autocast, as in the head: a grey level is 1/128 of the range.
        with torch.autocast(location.device.type, enabled=False):
            return sharpened(location.float() + 1.0, self.sharpness) - 1.0

    def agreement(self, images: Tensor, parents: Tensor) -> Tensor:
        r"""Returns :math:`\sum_k w_k \log q_k(\mathrm{pa}_k \mid x)` in nats, with shape :math:`(B,)`.

        Densities of continuous parents are in the units of the networks.

        Arguments:
            images: Images in [-1, 1] with shape :math:`(B, C, H, W)`.
            parents: The encoded target parents, with shape :math:`(B, P)`.
        """
        columns = dict(zip(self.dataset.names, _columns(self.dataset, parents), strict=True))
        total = images.new_zeros(len(images))
        for name, predictor in self.predictors.items():
            context = [columns[other.name] for other in predictor.context]
            distribution = predictor.model(images, torch.cat(context, dim=1) if context else None)
            target = columns[name]
            if predictor.variable.classes:
                total = total + self.settings.categorical_weight * distribution.log_prob(target.argmax(1))
            else:
                total = total + distribution.log_prob(target[:, 0])
        return total


def intervene(
    dataset: Dataset,
    scm: ParentsSCM,
    values: Tensor,
    each: Literal["batch", "image"],
    generator: torch.Generator,
) -> Tensor:
    """Returns encoded counterfactual parents under a random intervention on one parent.

    Arguments:
        dataset: The data set.
        scm: The mechanisms of the parents, on the device of `values`.
        values: The factual parents in physical units, float64 with shape :math:`(B, K)`, in the order of the variables.
        each: Whether one parent is drawn for the `batch` or for every `image`. Its new value is that of another image
            of the batch, by a random permutation.
        generator: The source of the parent, the permutation, and the seeds of the abduction of classes.

    Returns:
        Encoded parents, float32 with shape :math:`(B, P)`.
    """
    count, device = len(values), values.device
    size = () if each == "batch" else (count,)
    chosen = torch.randint(len(dataset.names), size, generator=generator, device=device).expand(count)
    dealt = values[torch.randperm(count, generator=generator, device=device)]
    seeds = torch.randint(2**62, (count,), generator=generator, device=device).tolist()
    factual = dict(zip(dataset.names, values.unbind(1), strict=True))
    do = {
        name: torch.where(chosen == number, dealt[:, number], torch.nan)
        for number, name in enumerate(dataset.names)
    }
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        after = scm.counterfactual(factual, do, seeds)
    encoded = encode_parents(dataset, {name: value.cpu().numpy() for name, value in after.items()})
    return torch.from_numpy(encoded).to(device)


def nelbo(
    model: Any, x: Tensor, parents: Tensor, noise: list[Tensor]
) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
    """Returns the negative ELBO of each image, and what its counterfactual is computed from.

    Arguments:
        model: An image mechanism.
        x: Images in [-1, 1] with shape :math:`(B, C, H, W)`.
        parents: Their encoded parents, with shape :math:`(B, P)`.
        noise: Standard normal noise ``(B, *shape)`` for each of `model.noise_shapes`.

    Returns:
        The NELBO in nats per pixel, :math:`(B,)`; the latents drawn; location and log scale of the pixels.
    """
    latents, location, log_scale = model.reconstruct(x, parents, noise)
    z = [latent.z for latent in latents]
    nll = discretised_gaussian_nll(x, location, log_scale).flatten(1).mean(1)
    kl = sum(gaussian_kl(latent.posterior, latent.prior).flatten(1).sum(1) for latent in latents)
    return nll + kl / x[0].numel(), z, location, log_scale


def finetune(settings: "FinetuneSettings", run: Run) -> None:
    """Fine-tunes a trained image mechanism and writes it to `run.out`; resumes a killed training.

    Reads the trained mechanism from `run.models/<base>/seed<k>`, the mechanisms of the parents from
    `run.models/scm/seed<k>` and the predictors from `run.models/predictors/<variable>`. `model.json` also contains
    `nelbo`, the mean NELBO of the train and valid splits in nats per pixel, and `sharpness`, both before and after.

    Arguments:
        settings: The settings `models.<base>_ft`: `training`.
        run: Name (`<base>_ft`), folders, seed k (order, noise) and device; several GPUs are all used.

    Raises:
        UserError: If a model is missing, damaged, or belongs to another data set, or the training fails.
    """
    launch(_finetune, settings.training, run, device=choose_device(run.device))


def _finetune(settings: "FinetuneTraining", run: Run, device: str) -> None:
    data, out, seed = run.data, run.out, run.seed
    start = run.models / run.name.removesuffix("_ft") / f"seed{seed}"
    dataset = load_dataset(data)
    model = load_image_mechanism(start, dataset, device, run.name.removesuffix("_ft"))
    _, origin = load_model(start)
    scm = load_scm(run.models / "scm" / f"seed{seed}", dataset).to(device)
    judges = {
        name: load_judge(run.models / "predictors" / name, device, f"predictor of {name}")
        for name in dataset.names
    }
    splits = {split: _split(dataset, data, split, device) for split in ("train", "valid")}
    dtype = arithmetic(settings.precision, device)
    sharpness = _remove_sharpness(model.head)
    # The batch size of validation in the training loop, so that the noise is the same.
    batches = {"train": INFERENCE_BATCH, "valid": settings.batch_size}

    def nelbos() -> dict[str, Tensor]:
        return {
            split: _nelbos(model, tensors, dtype, seed, split, batches[split])
            for split, tensors in splits.items()
        }

    before = nelbos()
    for split, tensors in splits.items():
        own = before[split]
        tensors["allowed"] = own if settings.constraint == "image" else own.mean().expand_as(own).clone()
    means = {split: float(values.double().mean()) for split, values in before.items()}
    model.multiplier = nn.Parameter(torch.zeros((), device=device))
    train = splits["train"]

    def finish(chosen: Any) -> None:
        fit_corrections(chosen, dataset, train["images"], train["parents"], seed)

    fit(
        model,
        CounterfactualLoss(settings, dataset, scm, judges, sharpness),
        splits["train"],
        splits["valid"],
        settings,
        Fit(
            out,
            seed,
            device,
            meta={
                **{key: origin[key] for key in ("model", "network", "parameters")},
                "finetuned": {"seed": origin.get("seed"), "settings": origin.get("settings")},
                "nelbo": {"before": means},
                "sharpness": {"before": sharpness},
            },
            label=f"{origin['model']}_ft seed {seed}",
            transient="multiplier",
            select=lambda found: found["error"] + _VIOLATION * max(0.0, found["excess"]),
            finish=finish,
        ),
    )
    refitted = _remove_sharpness(model.head)
    after = {split: float(values.double().mean()) for split, values in nelbos().items()}
    if rank() == 0:
        meta = read_json(out / "model.json")
        found = {
            "nelbo": {"before": means, "after": after},
            "sharpness": {"before": sharpness, "after": refitted},
        }
        write_json(out / "model.json", {**meta, **found})


def _remove_sharpness(head: Head) -> float:
    """Sets the sharpness of the head to 0 and returns its previous value; 0 for a head that does not sharpen."""
    if not head.sharpen:
        return 0.0
    sharpness = float(head.sharpness)
    head.sharpness.zero_()
    return sharpness


def _split(dataset: Dataset, folder: Path, split: str, device: str) -> dict[str, Tensor]:
    """Returns images, encoded parents, and parents in physical units (N, K) of a split, on a device."""
    table = load_split(folder, split).attributes
    values = np.stack([table[name].to_numpy(np.float64) for name in dataset.names], axis=1)
    tensors = {**split_tensors(dataset, folder, split), "values": torch.from_numpy(values)}
    return {name: tensor.to(device) for name, tensor in tensors.items()}


@torch.no_grad()
def _nelbos(
    model: Any, tensors: dict[str, Tensor], dtype: torch.dtype, seed: int, split: str, size: int
) -> Tensor:
    """Returns the NELBO of each image (N,) in evaluation mode, with the same noise in every call."""
    model.eval()
    found = []
    for begin in range(0, len(tensors["images"]), size):
        x = to_pixels(tensors["images"][begin : begin + size])
        generator = torch.Generator(x.device).manual_seed(derive_seed(seed, split, begin))
        noise = draw_noise(model.noise_shapes, x, generator)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            cost, *_ = nelbo(model, x, tensors["parents"][begin : begin + size], noise)
        found.append(cost.float())
    return torch.cat(found)


def _columns(dataset: Dataset, parents: Tensor) -> list[Tensor]:
    """Splits the encoded parents (B, P) into the columns of each variable."""
    return list(parents.split([variable.width for variable in dataset.variables], dim=1))

r"""Counterfactual fine-tuning: an image mechanism learns to obey interventions, without forgetting images.

A mechanism trained by its ELBO may ignore the parents it is given in a counterfactual. It is tuned so that predictors
read the counterfactual parents in the counterfactual image, as long as factual images stay as likely as they were:

.. math:: \min_\theta \; A(\theta) = -\mathbb{E} \sum_k w_k \log q_k(\mathrm{pa}^*_k \mid x^*_\theta)
          \quad \text{subject to} \quad F(\theta) \le c

with F the negative ELBO in nats per pixel (De Sousa Ribeiro et al., 2023, arXiv:2306.15764, section 3.3; there
:math:`w_k = 1`). The likelihood of a continuous parent is a density, which rewards ever finer agreement without bound,
and a class once read right gives nothing more: unweighted, what is gained is gained on the continuous parents alone. So
categorical ones weigh `categorical_weight`. By the
damped method of multipliers (Platt and Barr, 1987, "Constrained differential optimization") the weights descend and
:math:`\lambda \ge 0` ascends

.. math:: A + \big(\lambda + d\, \mathrm{sg}[F - c]\big)(F - c).

The constraint c is the pretrained mechanism's own NELBO on the train split, plus `slack`. Published is one constant;
`constraint: image` (the default) takes each image's own, of which c is the mean: the difference then no longer
depends on which images a batch happens to hold, and the damping acts on the change alone.

An intervention sets one parent, drawn anew for every batch (published) or for every image, to another image's value of
it; what it causes follows by the parents' fitted mechanisms. These mechanisms and the predictors are frozen. The
predictors are trained on the *train* split: they are not the judges that score, which no method may learn from. A
predictor that pleases is still not the truth: fine-tuning is known to exaggerate attributes (Xia et al., MICCAI 2024,
arXiv:2403.09422), so read its scores by predictors beside its distance to the true counterfactual.

F is of the density that was trained, whose location is a mean; the counterfactual image is sharpened as the pretrained
mechanism sharpens it (:mod:`counterfactory.nets.head`), for that is what is answered and what predictors will see. The
sharpness is fixed while weights move, and fitted anew to the tuned mechanism by the rule that fitted the first.

Validation is on the same random interventions. Of what holds the constraint on the valid split (:math:`F \le c`, with c
the pretrained NELBO of that split under the same noise), the least A is kept; if nothing holds it, the least breach.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...core.checkpoint import load_model
from ...core.device import arithmetic, choose_device
from ...core.files import read_json, write_json
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import Dataset, encode_parents, load_dataset, load_split
from ...nets.head import Head
from ...nets.latents import gaussian_kl
from ...nets.likelihood import discretised_gaussian_nll, standardise, unstandardise
from ...nets.pixels import to_pixels
from ...nets.sharpening import sharpened
from ...scm.fit import load_scm
from ...scm.model import ParentsSCM
from ...training.distributed import launch, rank
from ...training.loop import TrainingSettings, fit
from ..judges.model import Judge, load_judge
from .model import load_image_mechanism
from .sharpness import fit_sharpness

__all__ = ["CounterfactualLoss", "FinetuneSettings", "finetune", "intervene", "nelbo"]

_BATCH = 500  # images at once where nothing is trained
_BREACH = 1e4  # nats that exceeding c by 1 nat per pixel weighs in the choice: more than any gain


class FinetuneSettings(TrainingSettings, Protocol):
    """What fine-tuning reads of the configuration, section `models.<name>_ft.training`."""

    damping: float
    multiplier_rate: float
    intervene: Literal["batch", "image"]
    constraint: Literal["image", "set"]
    slack: float
    categorical_weight: float


class CounterfactualLoss:
    r"""The damped Lagrangian; a training loss of :func:`counterfactory.training.loop.fit`.

    The model in training carries the parameter `multiplier`, which is :math:`\lambda` in units of `multiplier_rate` /
    `learning_rate`: AdamW, whose steps do not depend on the gradient's scale, then moves it at its own rate.

    Arguments:
        settings: The settings of fine-tuning.
        dataset: The data set.
        scm: The parents' mechanisms.
        predictors: The predictor of every variable, frozen.
        sharpness: How much counterfactual images are sharpened; the model's own head does not sharpen.
    """

    def __init__(
        self,
        settings: FinetuneSettings,
        dataset: Dataset,
        scm: ParentsSCM,
        predictors: Mapping[str, Judge],
        sharpness: float = 0.0,
    ) -> None:
        self.settings, self.dataset, self.scm, self.predictors = settings, dataset, scm, predictors
        self.sharpness = sharpness
        self.unit = settings.multiplier_rate / settings.learning_rate

    def __call__(
        self, model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns what to minimise and scores to log; a batch has images, parents, values (B, K), allowed (B,)."""
        x, parents = to_pixels(batch["images"]), batch["parents"]
        noise = _noise(model, x, generator)
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
        # Its value is the multiplier's, its gradient minus the multiplier's: what descends it lets lambda ascend.
        ascending = 2.0 * weight.detach() - weight
        lagrangian = error + (ascending + self.settings.damping * excess.detach()) * excess
        return lagrangian, {**scores, "multiplier": weight.detach()}

    def sharpen(self, location: Tensor) -> Tensor:
        """Returns the location as it is answered, with shape :math:`(B, C, H, W)`."""
        if not self.sharpness:
            return location
        # Full precision, as in the head: a grey level is 1/128 of the range.
        with torch.autocast(location.device.type, enabled=False):
            return sharpened(location.float() + 1.0, self.sharpness) - 1.0

    def agreement(self, images: Tensor, parents: Tensor) -> Tensor:
        r"""Returns :math:`\sum_k w_k \log q_k(\mathrm{pa}_k \mid x)`, in nats of network units, shape :math:`(B,)`.

        Arguments:
            images: Images in [-1, 1] with shape :math:`(B, C, H, W)`.
            parents: The encoded parents that they should show, with shape :math:`(B, P)`.
        """
        columns = dict(zip(self.dataset.names, _columns(self.dataset, parents), strict=True))
        total = images.new_zeros(len(images))
        for name, predictor in self.predictors.items():
            told = [columns[other.name] for other in predictor.context]
            distribution = predictor.model(images, torch.cat(told, dim=1) if told else None)
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
        scm: The parents' mechanisms, on the device of `values`.
        values: The factual parents in physical units, float64 with shape :math:`(B, K)`, K variables in order.
        each: Whether one parent is drawn for the `batch` or for every `image`. Its value is that of another image of
            the batch, by a permutation.
        generator: Where parent, permutation and the seeds of abducted classes are drawn from.

    Returns:
        Float32 parents with shape :math:`(B, P)`.
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
    model: nn.Module, x: Tensor, parents: Tensor, noise: list[Tensor]
) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
    """Returns each image's negative ELBO and what its counterfactual is made of.

    Arguments:
        model: An image mechanism.
        x: Images in [-1, 1] with shape :math:`(B, C, H, W)`.
        parents: Their encoded parents, with shape :math:`(B, P)`.
        noise: Standard normal noise a layer, with shapes `model.noise_shapes`.

    Returns:
        Nats per pixel :math:`(B,)`, the latents drawn, and the pixels' location and log scale.
    """
    latents, location, log_scale = model.reconstruct(x, parents, noise)
    z = [latent.z for latent in latents]
    nll = discretised_gaussian_nll(x, location, log_scale).flatten(1).mean(1)
    kl = sum(gaussian_kl(latent.posterior, latent.prior).flatten(1).sum(1) for latent in latents)
    return nll + kl / x[0].numel(), z, location, log_scale


def finetune(settings: Any, run: Run) -> None:
    """Fine-tunes a trained image mechanism and writes it to `run.out`; resumes a killed training.

    Reads the trained mechanism from `run.models/<base>/seed<k>`, the mechanisms of the parents from
    `run.models/scm/seed<k>` and the predictors from `run.models/predictors/<variable>`.
    `model.json` holds `nelbo`, the mean NELBO in nats per pixel of the splits train and valid before and after, and
    `sharpness` before and after.

    Arguments:
        settings: The settings `models.<base>_ft`: `training`.
        run: Name (`<base>_ft`), folders, seed k (order, noise) and device; several GPUs are all used.

    Raises:
        UserError: If something is missing, damaged or of another data set, or the training fails.
    """
    launch(_finetune, settings.training, run, device=choose_device(run.device))


def _finetune(settings: FinetuneSettings, run: Run, device: str) -> None:
    data, out, seed = run.data, run.out, run.seed
    start = run.models / run.name.removesuffix("_ft") / f"seed{seed}"
    dataset = load_dataset(data)
    model = load_image_mechanism(start, dataset, device)
    _, origin = load_model(start)
    scm = load_scm(run.models / "scm" / f"seed{seed}", dataset).to(device)
    judges = {name: load_judge(run.models / "predictors" / name, device) for name in dataset.names}
    splits = {split: _tensors(dataset, data, split, device) for split in ("train", "valid")}
    dtype = arithmetic(settings.precision, device)
    sharpness = _blunt(model.head)
    batches = {"train": _BATCH, "valid": settings.batch_size}  # as the loop validates: under the same noise

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
    fit(
        model,
        CounterfactualLoss(settings, dataset, scm, judges, sharpness),
        splits["train"],
        splits["valid"],
        settings,
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
        select=lambda found: found["error"] + _BREACH * max(0.0, found["excess"]),
        finish=lambda chosen: fit_sharpness(
            chosen, splits["train"]["images"], splits["train"]["parents"], seed
        ),
    )
    refitted = _blunt(model.head)
    after = {split: float(values.double().mean()) for split, values in nelbos().items()}
    if rank() == 0:
        meta = read_json(out / "model.json")
        found = {
            "nelbo": {"before": means, "after": after},
            "sharpness": {"before": sharpness, "after": refitted},
        }
        write_json(out / "model.json", {**meta, **found})


def _blunt(head: Head) -> float:
    """Returns the head's sharpness, 0 where it has none, and sets it to 0: predictions are then plain means."""
    if not head.sharpen:
        return 0.0
    sharpness = float(head.sharpness)
    head.sharpness.zero_()
    return sharpness


def _tensors(dataset: Dataset, folder: Path, split: str, device: str) -> dict[str, Tensor]:
    """Returns images, encoded parents, and parents in physical units (N, K)."""
    loaded = load_split(folder, split)
    values = np.stack([loaded.attributes[name].to_numpy(np.float64) for name in dataset.names], axis=1)
    tensors = {
        "images": torch.from_numpy(np.array(loaded.images)),
        "parents": torch.from_numpy(encode_parents(dataset, loaded.attributes)),
        "values": torch.from_numpy(values),
    }
    return {name: tensor.to(device) for name, tensor in tensors.items()}


@torch.no_grad()
def _nelbos(
    model: nn.Module, tensors: dict[str, Tensor], dtype: torch.dtype, seed: int, split: str, size: int
) -> Tensor:
    """Returns each image's NELBO (N,) in evaluation mode, always under the same noise."""
    model.eval()
    found = []
    for begin in range(0, len(tensors["images"]), size):
        x = to_pixels(tensors["images"][begin : begin + size])
        generator = torch.Generator(x.device).manual_seed(derive_seed(seed, split, begin))
        noise = _noise(model, x, generator)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            cost, *_ = nelbo(model, x, tensors["parents"][begin : begin + size], noise)
        found.append(cost.float())
    return torch.cat(found)


def _noise(model: nn.Module, x: Tensor, generator: torch.Generator) -> list[Tensor]:
    return [
        torch.randn(len(x), *shape, generator=generator, device=x.device, dtype=x.dtype)
        for shape in model.noise_shapes
    ]


def _columns(dataset: Dataset, parents: Tensor) -> list[Tensor]:
    """Returns the encoded parents (B, P) variable by variable."""
    return list(parents.split([variable.width for variable in dataset.variables], dim=1))

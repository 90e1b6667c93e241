r"""What explainers share: the explained classifier, the loss that guides a diffusion, escalation until it flips.

An explainer answers the suite `flip`. It reads the images alone: the target of a binary attribute is always one minus
what the classifier says of the image as it is, whatever its label; the target of a class is the question's. With the
logit :math:`\ell_a` of the attribute, or the logits :math:`\ell_k` of the classes, the log odds of the target are

.. math:: u = \pm \ell_a \qquad \text{or} \qquad u = \ell_t - \log \sum_{k \ne t} e^{\ell_k},

so that :math:`\sigma(u)` is the target's probability in both cases, and one loss serves both. At a clean image c that
stands for the noisy state z at step i, the loss of the image x and its gradient are

.. math:: L = s\, L_{cls}(c) + \lambda_p \left\| \phi(c) - \phi(x) \right\|_2^2, \qquad
   g = \frac{1}{\sqrt{\bar\alpha_i}} \nabla_c L + \lambda_1 \mathrm{sign}(z - x) + \lambda_2 \frac{z - x}{\|z - x\|}

with :math:`L_{cls} = -u` (`use_logits`) or :math:`-\log \sigma(u)`, and the norm over channels (DiME, Jeanneret et al.,
2022, arXiv:2203.15636). One backward pass gives both terms of L; the features of x are computed once.

An answer is bytes, and it is the bytes that have to flip the classifier. Images that have flipped are left alone; the
others are tried again with the next, larger scale s. All noise of a question comes from the question's seed.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import UserError
from ..core.noise import normal
from ..data.dataset import Dataset, load_dataset
from ..diffusion.denoiser import Denoiser, denoiser
from ..diffusion.schedule import Schedule, respace
from ..models.classifier.model import AttributeClassifier, load_classifier
from ..models.ddpm.model import load_ddpm
from ..nets.pixels import to_bytes, to_pixels
from . import Answer, Batch, Columns
from .perceptual import Features, load_perceptual
from .tiles import place_matters, tiles

__all__ = [
    "COLUMNS",
    "GuidanceSettings",
    "Networks",
    "Rows",
    "escalate",
    "gradient",
    "leads",
    "load_explainer",
    "load_networks",
    "log_odds",
    "margin",
    "noise",
    "odds_at",
    "read_batch",
    "reply",
    "tile_size",
]

COLUMNS = {"answered": bool, "reached": bool, "network_calls": float, "scale": float}
"""What an explainer says of each answer: whether it answered, whether the classifier flipped, how many times the
denoising network was run for it, and the classifier scale at which it flipped (NaN where it never did)."""


class GuidanceSettings(Protocol):
    """What every explainer reads of its section of the configuration, `answers.<method>`."""

    timestep_respacing: int
    start_step: int
    precision: str
    use_logits: bool
    l1_loss: float
    l2_loss: float
    l_perc: float
    l_perc_layer: int
    perceptual: str
    batch_size: int


@dataclass(frozen=True)
class Networks:
    """What an explainer asks.

    Arguments:
        classifier: The explained classifier.
        schedule: The noise schedule, respaced.
        denoise: The denoiser; its estimate of the clean image is clipped to [-1, 1].
        unclipped: The denoiser whose estimate is not.
        features: The perceptual features, or None.
        names: The parents of the data set.
        device: Where all of it runs.
    """

    classifier: AttributeClassifier
    schedule: Schedule
    denoise: Denoiser
    unclipped: Denoiser
    features: Features | None
    names: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class Rows:
    """Some questions, as tensors.

    Arguments:
        x: The images in [-1, 1], with shape (B, C, H, W).
        column: The logit of the attribute, or -1 where a class is asked for, int64 with shape (B,).
        target: The side or class asked for, int64 with shape (B,).
        seeds: The seed of each question, int64 with shape (B,), on the CPU.
        features: The perceptual features of x, (B, F); (B, 0) without any.
    """

    x: Tensor
    column: Tensor
    target: Tensor
    seeds: Tensor
    features: Tensor

    def take(self, rows: Tensor) -> "Rows":
        """Returns the questions `rows`, int64 with shape (R,)."""
        return Rows(*(getattr(self, one.name)[rows] for one in fields(self)))


Explain = Callable[[Batch, Networks, Any, int], tuple[np.ndarray, dict[str, np.ndarray], Columns]]
"""From a batch, the networks, the settings `answers.<method>` and the rows in a tile to the answers."""


def load_explainer(
    method: str, explain: Explain, seed: int, data: Path, models: Path, settings: Any, device: str
) -> Answer:
    """Returns the function that answers the suite `flip`.

    Questions about an attribute of which the classifier says the same of every image are not answered; the function
    says why on stderr, once an attribute.

    Arguments:
        method: The method's name, which is that of its section of `settings`.
        explain: How it answers a batch.
        seed: The training seed.
        data: The data set's folder.
        models: The folder of the data set's trained models.
        settings: The settings `answers`.
        device: Where networks run.

    Raises:
        UserError: If a trained model is missing, or a number of steps does not fit.
    """
    own, dataset = getattr(settings, method), load_dataset(data)
    networks = load_networks(own, seed, dataset, models, device, method)
    size = tile_size(networks, own, dataset.shape)
    unsaid = dict(networks.classifier.constant)

    def answer(batch: Batch) -> tuple[np.ndarray, dict[str, np.ndarray], Columns]:
        for name in np.unique(batch.attribute).tolist():
            if name in unsaid:
                print(f"flip {name}: not answered: the classifier {unsaid.pop(name)}", file=sys.stderr)
        return explain(batch, networks, own, size)

    answer.columns = COLUMNS
    return answer


def load_networks(
    settings: GuidanceSettings, seed: int, dataset: Dataset, models: Path, device: str, method: str
) -> Networks:
    """Loads the classifier, the denoiser with its schedule respaced, and the perceptual features.

    Arguments:
        settings: The settings `answers.<method>`.
        seed: The training seed.
        dataset: The data set.
        models: The folder of the data set's trained models.
        device: Where they run.
        method: The method's name, for messages.

    Raises:
        UserError: If a trained model is missing, or the steps do not fit its schedule.
    """
    classifier = load_classifier(models / "classifier" / f"seed{seed}", device)
    network, schedule = load_ddpm(models / "ddpm" / f"seed{seed}", dataset, device, settings.precision)
    kept = settings.timestep_respacing or len(schedule)
    if kept > len(schedule):
        raise UserError(
            f"answers.{method}.timestep_respacing is {kept}, but models.ddpm was trained with {len(schedule)} steps;"
            " lower it"
        )
    if settings.start_step >= kept:
        raise UserError(
            f"answers.{method}.start_step is {settings.start_step}, but only {kept} steps are kept; lower it"
        )
    schedule = respace(schedule, kept).to(device)
    features = load_perceptual(
        settings.perceptual if settings.l_perc else "none",
        settings.l_perc_layer,
        models,
        classifier,
        device,
    )
    clipped, unclipped = (
        denoiser(network, schedule, clip, learned=network.learned_variance) for clip in (True, False)
    )
    return Networks(classifier, schedule, clipped, unclipped, features, tuple(dataset.names), device)


def log_odds(logits: Tensor, column: Tensor, target: Tensor, attributes: int) -> Tensor:
    """Returns the log odds u of the target.

    Arguments:
        logits: Logits of A binary attributes and K classes, (B, A + K).
        column: The attribute's number, or -1 where a class is asked for, (B,).
        target: The side, 0 or 1, or the class, (B,).
        attributes: The number A.
    """
    return _odds(logits, column, target, attributes, lambda others: others.logsumexp(1))


def margin(logits: Tensor, column: Tensor, target: Tensor, attributes: int) -> Tensor:
    """Returns by how much the target leads: above 0, (B,), where the classifier says it.

    For a class that is its logit minus the largest other one. The arguments are those of :func:`log_odds`.
    """
    return _odds(logits, column, target, attributes, lambda others: others.amax(1))


def _odds(
    logits: Tensor, column: Tensor, target: Tensor, attributes: int, rivals: Callable[[Tensor], Tensor]
) -> Tensor:
    count = logits.shape[1] - attributes
    asked = column < 0
    side = 2.0 * target.clamp(0, 1) - 1.0
    odds = torch.zeros_like(logits[:, 0])
    if attributes:
        binary = side * logits[:, :attributes].gather(1, column.clamp(min=0)[:, None])[:, 0]
        odds = torch.where(asked, odds, binary)
    if count:
        classes = logits[:, attributes:]
        # Of a binary question the class means nothing, and any will do.
        chosen = torch.where(asked, target, 0)[:, None]
        others = classes.scatter(1, chosen, -torch.inf)
        odds = torch.where(asked, classes.gather(1, chosen)[:, 0] - rivals(others), odds)
    return odds


def gradient(
    networks: Networks,
    rows: Rows,
    clean: Tensor,
    noisy: Tensor,
    index: Tensor,
    scale: Tensor | float,
    settings: GuidanceSettings,
    scale_grads: bool = True,
    enough: float = math.inf,
    jitter: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Returns the gradient g by which the mean of a step is shifted, and the log odds u at the clean images.

    Arguments:
        networks: The networks.
        rows: The questions.
        clean: The clean images c, (B, C, H, W).
        noisy: The noisy states z, likewise.
        index: The step i of each, (B,).
        scale: The classifier scale s, one or (B,).
        settings: `use_logits`, `l_perc`, `l1_loss` and `l2_loss`.
        scale_grads: Whether the gradient at the clean image is divided by :math:`\sqrt{\bar\alpha_i}`.
        enough: Log odds of the clean image from which on the classifier no longer pulls.
        jitter: What is added to the clean images before the classifier pulls at them, (K, B, C, H, W); the gradient is
            the mean over K. One that many noisy copies share is less of a trick on the classifier.

    Returns:
        The gradient, (B, C, H, W), and u, (B,). The loss is a sum over the batch: images do not touch each other.
    """
    with torch.enable_grad():
        clean = clean.detach().requires_grad_()
        if jitter is None:
            odds = odds_at(networks, rows, clean)
            pulling = odds
        else:
            with torch.no_grad():
                odds = odds_at(networks, rows, clean)
            pulling = torch.stack([odds_at(networks, rows, clean + one) for one in jitter]).mean(0)
        pulling = torch.where(odds < enough, pulling, pulling.detach())
        loss = scale * (-pulling if settings.use_logits else -F.logsigmoid(pulling))
        if networks.features is not None and settings.l_perc:
            loss = loss + settings.l_perc * (networks.features(clean) - rows.features).square().sum(1)
        found = torch.autograd.grad(loss.sum(), clean)[0]
    if scale_grads:
        found = found / networks.schedule.signal(index, found)
    away = noisy - rows.x
    if settings.l1_loss:
        found = found + settings.l1_loss * away.sign()
    if settings.l2_loss:
        found = found + settings.l2_loss * away / away.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return found, odds.detach()


def odds_at(networks: Networks, rows: Rows, images: Tensor) -> Tensor:
    """Returns the :func:`log_odds` at images in [-1, 1], (B,), with gradients to the images."""
    logits = networks.classifier.logits(images)
    return log_odds(logits, rows.column, rows.target, len(networks.classifier.names))


def noise(rows: Rows, shape: Sequence[int], *names: str | int) -> Tensor:
    """Returns standard normal noise of each question's own stream `names`, float32 (B, *shape)."""
    return torch.from_numpy(normal(rows.seeds.tolist(), shape, *names)).to(rows.x.device)


def tile_size(networks: Networks, settings: GuidanceSettings, shape: Sequence[int]) -> int:
    """Returns how many rows are run at once: `batch_size`, or 1 where a row's place in a batch changes its bytes.

    Arguments:
        networks: The networks.
        settings: `batch_size`, `start_step` and what the gradient reads.
        shape: The shape (C, H, W) of an image.
    """
    size, device = settings.batch_size, networks.device
    if size == 1:
        return 1
    seeds = torch.arange(size)
    x = torch.from_numpy(normal(range(size), shape, "tile")).to(device).clamp(-1.0, 1.0)
    binary, classes = len(networks.classifier.names), networks.classifier.classes
    column = torch.where(
        seeds % 2 == 0, seeds % max(binary, 1), -1 if classes else seeds % max(binary, 1)
    ).to(device)
    target = (seeds % 2).to(device)

    def step(x: Tensor, column: Tensor, target: Tensor, seeds: Tensor) -> tuple[Tensor, ...]:
        rows = Rows(x, column, target, seeds.cpu(), _features(networks, x))
        index = torch.full((size,), settings.start_step - 1, device=device)
        with torch.no_grad():
            prediction = networks.denoise(x, index)
        found, odds = gradient(networks, rows, prediction.x0, x, index, 1.0, settings)
        return prediction.mean, prediction.log_variance, found, odds[:, None]

    return 1 if place_matters(step, x, column, target, seeds.to(device)) else size


def _features(networks: Networks, x: Tensor) -> Tensor:
    if networks.features is None:
        return x.new_zeros(len(x), 0)
    with torch.no_grad():
        return networks.features(x)


def read_batch(batch: Batch, networks: Networks, size: int) -> tuple[Rows, np.ndarray]:
    """Returns the questions as tensors, and which of them can be answered, bool with shape (B,).

    A question cannot be answered where the classifier says the same of every image.

    Raises:
        UserError: If the questions are not of the suite `flip`, or the classifier does not know an attribute.
    """
    if batch.attribute is None:
        raise UserError(
            "questions: explainers answer the suite flip only; leave the others to causal methods"
        )
    classifier = networks.classifier
    known = {name: number for number, name in enumerate(classifier.names)}
    if classifier.categorical:
        known[classifier.categorical.name] = -1
    for name in np.unique(batch.attribute).tolist():
        if name not in known:
            raise UserError(
                f"questions.flip.attributes: {name}: the classifier knows {', '.join(known)} only; train it again"
            )
    column = torch.tensor([known[name] for name in batch.attribute], device=networks.device)
    x = to_pixels(batch.images).to(networks.device)
    rows = Rows(
        x,
        column,
        torch.from_numpy(np.asarray(batch.target, np.int64)).to(networks.device),
        torch.from_numpy(np.asarray(batch.seeds, np.int64)),
        x.new_zeros(len(x), 0),
    )
    logits, features = [], []
    for tile, count in tiles(torch.arange(len(x)), size):
        with torch.no_grad():
            logits.append(classifier.logits(x[tile])[:count])
        features.append(_features(networks, x[tile])[:count])
    said = torch.cat(logits)
    binary = column >= 0
    if known and classifier.names:
        opposite = 1 - (said.gather(1, column.clamp(min=0)[:, None])[:, 0] > 0).long()
        rows = Rows(x, column, torch.where(binary, opposite, rows.target), rows.seeds, torch.cat(features))
    else:
        rows = Rows(x, column, rows.target, rows.seeds, torch.cat(features))
    return rows, ~np.isin(batch.attribute, list(classifier.constant))


def leads(networks: Networks, rows: Rows, images: Tensor) -> Tensor:
    """Returns the :func:`margin` at uint8 images, (B,)."""
    with torch.no_grad():
        logits = networks.classifier.logits(to_pixels(images))
    return margin(logits, rows.column, rows.target, len(networks.classifier.names))


def reply(
    networks: Networks, images: np.ndarray, columns: Columns
) -> tuple[np.ndarray, dict[str, np.ndarray], Columns]:
    """Returns an answer: explainers have no parents of their own."""
    return images, {name: np.full(len(images), np.nan) for name in networks.names}, columns


Attempt = Callable[[Rows, float, int], tuple[Tensor, int]]
"""From a tile of questions, a scale and its number in the list to images in [-1, 1] and the network calls for each."""


def escalate(
    batch: Batch, networks: Networks, attempt: Attempt, scales: Sequence[float], size: int
) -> tuple[np.ndarray, dict[str, np.ndarray], Columns]:
    """Answers a batch: every image at the first scale, those that have not flipped at the next, and so on.

    An image that never flips keeps the result of the last scale.

    Arguments:
        batch: The questions.
        networks: The networks.
        attempt: What is done at one scale.
        scales: The classifier scales, in order.
        size: Rows in a tile, from :func:`tile_size`.
    """
    rows, answered = read_batch(batch, networks, size)
    images = np.array(batch.images)
    columns = {
        "answered": answered,
        "reached": np.zeros(len(batch), dtype=bool),
        "network_calls": np.where(answered, 0.0, np.nan),
        "scale": np.full(len(batch), np.nan),
    }
    for number, scale in enumerate(scales):
        left = np.flatnonzero(answered & ~columns["reached"])
        for tile, count in tiles(torch.from_numpy(left), size):
            part = rows.take(tile)
            result, calls = attempt(part, scale, number)
            shown = to_bytes(result)
            flipped = (leads(networks, part, shown) > 0).cpu().numpy()[:count]
            meant = tile[:count].numpy()
            images[meant] = shown[:count].cpu().numpy()
            columns["reached"][meant] = flipped
            columns["network_calls"][meant] += calls
            columns["scale"][meant[flipped]] = scale
    return reply(networks, images, columns)

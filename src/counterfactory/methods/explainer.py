r"""The common part of the explainers DiME, FastDiME and DiME-X: networks, targets, tiles and escalation of the scale.

An explainer answers the suite `flip` and uses the images only. The target of a binary attribute is the opposite of the
classifier's prediction for the factual image, independent of its label; the target of a class is that of the question.
The loss and its gradient are defined in :mod:`counterfactory.methods.guidance`.

An answer is an image of bytes, and the classifier must predict the target for these bytes. Images that have flipped are
finished; the others are tried again with the next, larger classifier scale s. All noise of a question is drawn from the
question's seed.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.noise import normal
from ..data.dataset import Dataset, load_dataset
from ..diffusion.denoiser import denoiser
from ..diffusion.schedule import respace
from ..models.classifier.model import load_classifier
from ..models.ddpm.model import load_ddpm
from ..nets.pixels import to_bytes, to_pixels
from . import Answer, Batch, Columns
from .guidance import Networks, Rows, State, decisions, gradient, leads
from .perceptual import load_perceptual
from .registry import METHODS
from .tiles import Sizes, place_matters, smaller, tiles

if TYPE_CHECKING:
    from ..config.explainers import ExplainerSettings

__all__ = ["COLUMNS", "escalate", "load_explainer", "load_networks", "read_batch", "reply", "tile_sizes"]

COLUMNS = {"answered": bool, "reached": bool, "network_calls": float, "scale": float}
"""The columns of an explainer: whether it answered, whether the classifier flipped, the number of evaluations of the
denoising network, and the classifier scale at which it flipped (NaN if it did not)."""

Explain = Callable[[Batch, Networks, Any, Sizes], tuple[np.ndarray, dict[str, np.ndarray], Columns]]
"""Maps a batch, the networks, the section `answers.<method>` and the sizes of tiles to the answers."""


def load_explainer(
    method: str,
    explain: Explain,
    seed: int,
    data: Path,
    models: Path,
    settings: Any,
    device: str,
    together: int = 1,
) -> Answer:
    """Returns the function that answers the suite `flip`.

    Questions about an attribute for which the classifier is constant are not answered; the reason is printed to stderr,
    once per attribute.

    Arguments:
        method: The method's name; its line in the registry names its section of `settings`.
        explain: The function that answers a batch.
        seed: The training seed.
        data: The folder of the data set.
        models: The folder of the trained models of the data set.
        settings: The section `answers` of the configuration.
        device: The device of the networks.
        together: The number of tiles that the denoiser receives in one call.

    Raises:
        UserError: If a trained model is missing, or a number of steps does not fit.
    """
    own, dataset = getattr(settings, METHODS[method].section), load_dataset(data)
    networks = load_networks(own, seed, dataset, models, device, method)
    sizes = tile_sizes(networks, own, dataset.shape, together)
    reasons = dict(networks.classifier.constant)

    def answer(batch: Batch) -> tuple[np.ndarray, dict[str, np.ndarray], Columns]:
        names = [] if batch.attribute is None else np.unique(batch.attribute).tolist()
        for name in names:
            if name in reasons:
                print(f"flip {name}: not answered: the classifier {reasons.pop(name)}", file=sys.stderr)
        return explain(batch, networks, own, sizes)

    return Answer(answer, columns=COLUMNS)


def load_networks(
    settings: "ExplainerSettings", seed: int, dataset: Dataset, models: Path, device: str, method: str
) -> Networks:
    """Loads the classifier, the denoiser with its respaced schedule, and the perceptual features.

    Arguments:
        settings: The section `answers.<method>`.
        seed: The training seed.
        dataset: The data set.
        models: The folder of the trained models of the data set.
        device: The device of the networks.
        method: The method's name, for messages.

    Raises:
        UserError: If a trained model is missing, or the steps do not fit its schedule.
    """
    classifier = load_classifier(models / "classifier" / f"seed{seed}", device, "classifier")
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


def tile_sizes(
    networks: Networks, settings: "ExplainerSettings", shape: Sequence[int], together: int = 1
) -> Sizes:
    """Returns the numbers of rows that a tile can have, the largest first.

    The largest is `batch_size`, or 1 if the position in a batch changes a row's output.

    Arguments:
        networks: The networks.
        settings: `batch_size`, `start_step` and the settings of the gradient.
        shape: The shape (C, H, W) of an image.
        together: The number of tiles that the denoiser receives in one call.
    """
    size, device = settings.batch_size, networks.device
    if size == 1:
        return (1,)
    seeds = torch.arange(size)
    x = torch.from_numpy(normal(range(size), shape, "tile")).to(device).clamp(-1.0, 1.0)
    binary, classes = len(networks.classifier.names), len(networks.classifier.classes)
    attribute = seeds % binary if binary else -1 - seeds // 2 % classes
    of_class = -1 - seeds // 2 % classes if classes else attribute
    column = torch.where(seeds % 2 == 0, attribute, of_class).to(device)
    target = (seeds % 2).to(device)

    def step(x: Tensor, column: Tensor, target: Tensor, seeds: Tensor) -> tuple[Tensor, ...]:
        rows = Rows(x, column, target, seeds.cpu(), _features(networks, x))
        index = torch.full((len(x),), settings.start_step - 1, device=device)
        with torch.no_grad():
            prediction = networks.denoise(x, index)
        found, odds = gradient(networks, rows, State(prediction.x0, x, index, 1.0), settings)
        return prediction.mean, prediction.log_variance, found, odds[:, None]

    inputs = (x, column, target, seeds.to(device))
    if place_matters(step, *inputs):
        return (1,)
    return (size, *smaller(step, *inputs, together=together))


def _features(networks: Networks, x: Tensor) -> Tensor:
    if networks.features is None:
        return x.new_zeros(len(x), 0)
    with torch.no_grad():
        return networks.features(x)


def read_batch(batch: Batch, networks: Networks, sizes: Sizes) -> tuple[Rows, np.ndarray]:
    """Returns the questions as tensors, and which of them can be answered, bool with shape (B,).

    A question cannot be answered if the classifier predicts the same value of its attribute for every image.

    Raises:
        UserError: If the questions are not of the suite `flip`, or the classifier does not predict an attribute.
    """
    if batch.attribute is None:
        raise UserError(
            "questions: explainers answer the suite flip only; use a causal method for other suites"
        )
    classifier = networks.classifier
    known = {name: number for number, name in enumerate(classifier.names)}
    known |= {variable.name: -1 - number for number, variable in enumerate(classifier.categorical)}
    for name in np.unique(batch.attribute).tolist():
        if name not in known:
            raise UserError(
                f"questions.flip.attributes: {name}: the classifier predicts {', '.join(known)} only; train it again"
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
    for tile, count in tiles(torch.arange(len(x)), sizes):
        with torch.no_grad():
            logits.append(classifier.logits(x[tile])[:count])
        features.append(_features(networks, x[tile])[:count])
    decided = decisions(torch.cat(logits), column, len(classifier.names), classifier.classes)
    target = torch.where(column >= 0, 1 - decided, rows.target)
    rows = Rows(x, column, target, rows.seeds, torch.cat(features))
    return rows, ~np.isin(batch.attribute, list(classifier.constant))


def reply(
    networks: Networks, images: np.ndarray, columns: Columns
) -> tuple[np.ndarray, dict[str, np.ndarray], Columns]:
    """Returns an answer. Explainers have no parents of their own; these are NaN."""
    return images, {name: np.full(len(images), np.nan) for name in networks.names}, columns


Attempt = Callable[[Rows, float, int], tuple[Tensor, int]]
"""Maps a tile of questions, a scale and its index in the list to images in [-1, 1] and the network calls per image."""


def escalate(
    batch: Batch,
    networks: Networks,
    attempt: Attempt,
    scales: Sequence[float],
    sizes: Sizes,
    rounding: str = "nearest",
) -> tuple[np.ndarray, dict[str, np.ndarray], Columns]:
    """Answers a batch with increasing classifier scales.

    Every image is tried at the first scale, those that have not flipped at the next one, and so on. An image that never
    flips keeps the result of the last scale.

    Arguments:
        batch: The questions.
        networks: The networks.
        attempt: The walk at one scale.
        scales: The classifier scales, in order.
        sizes: The numbers of rows that a tile can have, from :func:`tile_sizes`.
        rounding: `nearest`, or `down`: grey levels are truncated, as in the code of DiME.
    """
    rows, answered = read_batch(batch, networks, sizes)
    images = np.array(batch.images)
    columns = {
        "answered": answered,
        "reached": np.zeros(len(batch), dtype=bool),
        "network_calls": np.where(answered, 0.0, np.nan),
        "scale": np.full(len(batch), np.nan),
    }
    for number, scale in enumerate(scales):
        left = np.flatnonzero(answered & ~columns["reached"])
        for tile, count in tiles(torch.from_numpy(left), sizes):
            part = rows.take(tile)
            result, calls = attempt(part, scale, number)
            shown = to_bytes(result, rounding == "down")
            flipped = (leads(networks, part, shown) > 0).cpu().numpy()[:count]
            chosen = tile[:count].numpy()
            images[chosen] = shown[:count].cpu().numpy()
            columns["reached"][chosen] = flipped
            columns["network_calls"][chosen] += calls
            columns["scale"][chosen[flipped]] = scale
    return reply(networks, images, columns)

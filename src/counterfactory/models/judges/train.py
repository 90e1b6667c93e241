r"""Judges: held-out predictors that say which parents an answer's image shows.

A judge is the anticausal predictor of one parent (:mod:`counterfactory.models.judges.network`), trained to maximise

.. math:: \mathbb{E}\left[\log q(\mathrm{pa}_k \mid \mathrm{shift}_s(x))\right], \qquad
   s \sim U\{-S, \ldots, S\}^2

on the *judges'* split and on nothing else: no method ever sees that split, and where it was made unconfounded
a judge cannot guess one parent from another (Monteiro et al., 2023, arXiv:2303.01274). A fixed part of the
split is held out and selects the weights; the test split is only measured, and `model.json` reports that
error because it is the floor of every effectiveness score given by this judge.

`context: true` is the published form, :math:`q(\mathrm{pa}_k \mid x, \mathrm{effects\ of\ pa}_k)`: on
Morpho-MNIST the judge of thickness is also told the intensity (De Sousa Ribeiro et al., 2023,
arXiv:2306.15764).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...core.device import choose_device
from ...core.files import read_json, write_json
from ...core.noise import derive_seed
from ...data.dataset import Dataset, Split, Variable, load_dataset, load_split
from ...nets.pixels import to_pixels
from ...training.augmentation import shift_images
from ...training.held_out import hold_out
from ...training.loop import TrainingSettings, fit
from .model import Judge, _encode_context, _point, load_judge
from .network import JudgeNetwork

__all__ = ["JudgeSettings", "train_judge"]


class JudgeSettings(Protocol):
    """What a judge reads of the configuration, section `judges`."""

    width: int
    context: bool
    shift: int
    held_out: float
    seed: int
    training: TrainingSettings


def train_judge(
    settings: JudgeSettings,
    variable: str,
    data: Path | str,
    out: Path | str,
    device: str,
    split: Literal["judges", "train"] = "judges",
) -> None:
    """Trains the judge of one variable and writes its folder.

    Arguments:
        settings: The configuration's section `judges`.
        variable: The parent to predict.
        data: The folder of the data set.
        out: The judge's folder: `model.safetensors`, `model.json`, `log.csv`.
        device: `auto`, `cpu` or `cuda`.
        split: `judges`, or `train` for a predictor that methods may learn from, and that never scores; its initial
            weights are others, too.

    Raises:
        UserError: If the data are missing or the data set has no such variable.
    """
    dataset = load_dataset(data)
    predicted = dataset.variable(variable)
    context = _effects(dataset, predicted) if settings.context else ()
    device = choose_device(device)
    network = {
        "channels": dataset.shape[0],
        "classes": predicted.classes,
        "width": settings.width,
        "context": sum(effect.width for effect in context),
    }
    kind = "judge" if split == "judges" else "predictor"
    seed = derive_seed(settings.seed, kind, variable)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = JudgeNetwork(**network).to(memory_format=torch.channels_last)  # a quarter faster on CPUs

    def loss(
        model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict]:
        images = batch["images"]
        if model.training:
            images = shift_images(images, settings.shift, generator)
        distribution = model(to_pixels(images), batch.get("context"))
        with torch.no_grad():
            right = _scores(_point(distribution, predicted), batch["truth"], predicted).mean()
        return -distribution.log_prob(batch["target"]).mean(), {_score_name(predicted): right}

    drawn = load_split(data, split)
    train, valid = hold_out(len(drawn.images), settings.held_out, settings.seed)
    meta = {
        "kind": kind,
        "network": network,
        "variable": asdict(predicted),
        "context": [asdict(effect) for effect in context],
        "shift": settings.shift,
        "images": {"train": len(train), "valid": len(valid)},
    }
    rows, held_out = (_tensors(drawn, part, predicted, context) for part in (train, valid))
    label = f"{kind} of {variable}"
    fit(model, loss, rows, held_out, settings.training, out, seed, device, meta, label=label)

    # The errors are for the report: by now the weights are chosen, so that the test split chose nothing.
    judge = load_judge(out, device)
    meta = read_json(Path(out) / "model.json")
    errors = {
        "valid": _error(judge, Split(drawn.images[valid], drawn.attributes.iloc[valid])),
        "test": _error(judge, load_split(data, "test")),
    }
    write_json(Path(out) / "model.json", {**meta, "errors": errors})


def _effects(dataset: Dataset, variable: Variable) -> tuple[Variable, ...]:
    return tuple(dataset.variable(effect) for cause, effect in dataset.edges if cause == variable.name)


def _tensors(
    split: Split, rows: np.ndarray, variable: Variable, context: tuple[Variable, ...]
) -> dict[str, Tensor]:
    """Returns the rows as tensors: images, target in network units, truth in physical units, and context."""
    attributes = split.attributes.iloc[rows]
    truth = attributes[variable.name].to_numpy(np.float64)
    if variable.classes:
        target = torch.from_numpy(truth.astype(np.int64))
    else:
        target = torch.from_numpy(_encode_context((variable,), attributes)[:, 0].copy())
    tensors = {
        "images": torch.from_numpy(np.array(split.images[rows])),
        "target": target,
        "truth": torch.from_numpy(truth.astype(np.float32)),
    }
    told = _encode_context(context, attributes)
    return tensors if told is None else {**tensors, "context": torch.from_numpy(told)}


def _score_name(variable: Variable) -> str:
    return "accuracy" if variable.classes else "error"


def _scores(predicted: Any, truth: Any, variable: Variable) -> Any:
    """Returns 1 for a right class and 0 for a wrong one, or the absolute error in physical units."""
    if variable.classes:
        right = predicted == truth
        return right.float() if isinstance(right, Tensor) else right.astype(np.float64)
    return abs(predicted - truth)


def _error(judge: Judge, split: Split) -> dict[str, Any]:
    """Returns the mean error (in the variable's unit) or accuracy on a split, as `model.json` holds it."""
    truth = split.attributes[judge.variable.name].to_numpy(np.float64)
    scores = _scores(judge(split.images, split.attributes), truth, judge.variable)
    unit = judge.variable.unit or ("share" if judge.variable.classes else "")
    return {_score_name(judge.variable): float(scores.mean()), "unit": unit, "n": len(truth)}

r"""Trains a judge or a predictor: a network that predicts one variable from an image.

The network (:mod:`counterfactory.models.judges.network`) maximises the log-likelihood of the variable, with training
images shifted by up to S px:

.. math:: \mathbb{E}\left[\log q(\mathrm{pa}_k \mid \mathrm{shift}_s(x))\right], \qquad
   s \sim U\{-S, \ldots, S\}^2

`mirror` and `erase` change the training images further (:class:`counterfactory.training.augmentation.Augmentation`).

A *judge* is trained on the split `judges`, which no method reads. If that split is unconfounded, a judge cannot infer
one variable from another (Monteiro et al., 2023, arXiv:2303.01274). A *predictor* is the same network trained on the
split `train`; models are fine-tuned with it, and it computes no score.

The log-likelihood of a variable with two classes can be weighted (`positive_weight`, see
:func:`counterfactory.models.binary_scores.positive_weights`), so that a rare class is learned; the weight is written to
`model.json`.

A fixed part of the split selects the weights. The test split is only measured: `model.json` reports this error, which
is the lower bound of every effectiveness score.

With `linear: true` the network and its loss are those of the predictors of Melistas et al. (2024, arXiv:2403.20287):
the squared error of one linear output of a continuous variable.

With `context: true` the effects of the variable are inputs beside the image, :math:`q(\mathrm{pa}_k \mid x,
\mathrm{effects\ of\ pa}_k)`, after De Sousa Ribeiro et al. (2023, arXiv:2306.15764): on Morpho-MNIST the judge of
thickness also conditions on the intensity.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.device import choose_device
from ...core.files import read_json, write_json
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import Dataset, Split, Variable, load_dataset, load_split
from ...nets.pixels import to_pixels
from ...pretrained.predictors import SLOPE, stem
from ...training.augmentation import Augmentation
from ...training.held_out import hold_out
from ...training.loop import Fit, Loss, fit
from ..binary_scores import balanced_accuracy, f1_score, positive_weights
from .model import Judge, encode_context, load_judge, point_prediction
from .network import JudgeNetwork

if TYPE_CHECKING:
    from ...config.judges import JudgesSettings

__all__ = ["KINDS", "error_on", "train_judge"]

KINDS = {"judges": "judge", "predictors": "predictor"}
"""The `kind` in `model.json`, by the name of the model."""

SPLITS = {"judges": "judges", "predictors": "train"}
"""The split that each is trained on."""


def train_judge(settings: "JudgesSettings", run: Run) -> None:
    """Trains the judge or predictor of one variable and writes it to `run.out`; resumes a killed training.

    `model.json` holds `errors`: the mean absolute error (in the variable's unit) or the accuracy on the held-out part
    of the split and on the test split.

    Arguments:
        settings: The section `judges` of the configuration.
        run: The name (`judges/<variable>` or `predictors/<variable>`), folders and device. The seed is that of the
            settings.

    Raises:
        UserError: If the data are missing or the data set has no such variable.
    """
    model_name, _, name = run.name.partition("/")
    kind, device = KINDS[model_name], choose_device(run.device)
    dataset = load_dataset(run.data)
    variable = dataset.variable(name)
    context = _effects(dataset, variable) if settings.context else ()
    network: dict[str, Any] = {
        "channels": dataset.shape[0],
        "classes": variable.classes,
        "width": settings.width,
        "context": sum(effect.width for effect in context),
        **stem(max(dataset.shape[1:])),
    }
    if getattr(settings, "linear", False):
        # A continuous variable has a scale of 1 then: the log-likelihood is half the squared error.
        network |= {"slope": SLOPE, "linear": True}
    seed = derive_seed(settings.seed, kind, name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Channels-last memory is a quarter faster on CPUs.
        model = JudgeNetwork(**network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    split = load_split(run.data, SPLITS[model_name])
    train, valid = hold_out(len(split.images), settings.held_out, settings.seed)
    meta = {
        "kind": kind,
        "network": network,
        "variable": asdict(variable),
        "context": [asdict(effect) for effect in context],
        "shift": settings.shift,
        "mirror": settings.mirror,
        "erase": settings.erase,
        "images": {"train": len(train), "valid": len(valid)},
    }
    tensors, weight = _tensors(split, train, variable, context), 1.0
    if variable.classes == 2 and settings.positive_weight > 1.0:
        weight = float(positive_weights(tensors["truth"].numpy()[:, None], settings.positive_weight)[0])
        meta["positive_weight"] = weight
    fit(
        model,
        _loss(variable, Augmentation(settings.shift, settings.mirror, settings.erase), weight),
        tensors,
        _tensors(split, valid, variable, context),
        settings.training,
        Fit(run.out, seed, device, meta, label=f"{kind} of {name}"),
    )

    # Measured after the selection of weights, which does not use the test split.
    judge = load_judge(run.out, device, f"{kind} of {name}")
    errors = {
        "valid": error_on(judge, Split(split.images[valid], split.attributes.iloc[valid])),
        "test": error_on(judge, load_split(run.data, "test")),
    }
    write_json(run.out / "model.json", {**read_json(run.out / "model.json"), "errors": errors})


def _effects(dataset: Dataset, variable: Variable) -> tuple[Variable, ...]:
    return tuple(dataset.variable(effect) for cause, effect in dataset.edges if cause == variable.name)


def _loss(variable: Variable, augmentation: Augmentation, weight: float = 1.0) -> Loss:
    """Returns the negative log-likelihood of a variable, with its error or accuracy as the score to log.

    Arguments:
        variable: The variable.
        augmentation: The augmentation of the training images.
        weight: The weight of the images of class 1, for a variable with two classes.
    """

    def loss(
        model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        images = batch["images"]
        if model.training:
            images = augmentation(images, generator)
        distribution = model(to_pixels(images), batch.get("context"))
        with torch.no_grad():
            score = _scores(point_prediction(distribution, variable), batch["truth"], variable).mean()
        likelihood = distribution.log_prob(batch["target"])
        if weight != 1.0:
            likelihood = likelihood * torch.where(batch["target"] == 1, weight, 1.0)
        return -likelihood.mean(), {_score_name(variable): score}

    return loss


def _tensors(
    split: Split, rows: np.ndarray, variable: Variable, context: tuple[Variable, ...]
) -> dict[str, Tensor]:
    """Returns rows of a split as tensors: images, target (encoded), truth (physical units) and context."""
    attributes = split.attributes.iloc[rows]
    truth = attributes[variable.name].to_numpy(np.float64)
    if variable.classes:
        target = torch.from_numpy(truth.astype(np.int64))
    else:
        own = encode_context((variable,), attributes)
        assert own is not None  # there is one variable
        target = torch.from_numpy(own[:, 0].copy())
    tensors = {
        "images": torch.from_numpy(np.array(split.images[rows])),
        "target": target,
        "truth": torch.from_numpy(truth.astype(np.float32)),
    }
    encoded = encode_context(context, attributes)
    return tensors if encoded is None else {**tensors, "context": torch.from_numpy(encoded)}


def _score_name(variable: Variable) -> str:
    return "accuracy" if variable.classes else "error"


def _scores(predicted: Any, truth: Any, variable: Variable) -> Any:
    """Returns 1 for a correct and 0 for a wrong class, or the absolute error in physical units."""
    if variable.classes:
        correct = predicted == truth
        return correct.float() if isinstance(correct, Tensor) else correct.astype(np.float64)
    return abs(predicted - truth)


def error_on(judge: Judge, split: Split) -> dict[str, Any]:
    """Returns the mean error (in the variable's unit) or accuracy on a split, as `model.json` holds it.

    For a variable with two classes also F1 and balanced accuracy, None where they are not defined.
    """
    truth = split.attributes[judge.variable.name].to_numpy(np.float64)
    predicted = judge(split.images, split.attributes)
    scores = _scores(predicted, truth, judge.variable)
    unit = judge.variable.unit or ("share" if judge.variable.classes else "")
    found = {_score_name(judge.variable): float(scores.mean()), "unit": unit, "n": len(truth)}
    if judge.variable.classes == 2:
        for name, score in (("f1", f1_score), ("balanced_accuracy", balanced_accuracy)):
            value = score(predicted, truth)
            found[name] = None if np.isnan(value) else value
    return found

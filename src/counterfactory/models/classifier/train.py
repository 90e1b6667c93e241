r"""Trains the classifier and the oracle: one network of all attributes and classes, on two different splits.

Both maximise, over the images of their split shifted by up to S px,

.. math:: \frac1A \sum_a w_a^{y_a} \log p(y_a \mid \mathrm{shift}_s(x)) + \sum_v \log p(k_v \mid \mathrm{shift}_s(x)),
   \qquad s \sim U\{-S, \ldots, S\}^2,

with the binary attributes :math:`y_a` and the classes :math:`k_v` of the categorical variables, as
:func:`counterfactory.data.outputs.outputs_of` lists them. `mirror` and `erase` change the training images further
(:class:`counterfactory.training.augmentation.Augmentation`).

By default all weights are 1. With `positive_weight` above 1, the images with an attribute have together the same weight
as the images without it, unless the weight is clipped
(:func:`counterfactory.models.binary_scores.positive_weights`). The predicted probabilities are then those of a data set
in which both values are equally frequent. The weights are written to `model.json`.

`classifier`
    The network whose decisions explanations flip. It is trained on the split `train`, with all its confounding; the
    split `valid` selects the weights.

`oracle`
    The network that counts the attributes that an explanation changed (MNAC, CD; Jeanneret et al., 2022,
    arXiv:2203.15636). It is trained on the split `judges` only; a held-out part of it selects the weights.

After the weights are chosen, accuracy, AUC, F1, balanced accuracy and base rate of each attribute on the test split are
written to `model.json`. An output can be constant, because its attribute has only one class in the split or because
training failed. Such outputs are listed in `constant`, each with the reason. This is not an error here: they cannot be
flipped, and questions about them remain unanswered with that reason.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.device import choose_device
from ...core.files import read_json, write_json
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.attributes import attribute_labels, chosen, one_sided
from ...data.dataset import Dataset, Split, load_dataset, load_split
from ...data.outputs import Outputs, outputs_of
from ...nets.pixels import to_pixels
from ...training.augmentation import Augmentation
from ...training.held_out import hold_out
from ...training.loop import Fit, Loss, fit
from ..binary_scores import balanced_accuracy, f1_score, positive_weights
from ..identity.roc import area_under_curve
from .model import AttributeClassifier, load_classifier
from .network import ClassifierNetwork

if TYPE_CHECKING:
    from ...config.attributes import ClassifierSettings, OracleSettings

__all__ = ["constant_outputs", "measured_errors", "train_classifier"]


def train_classifier(settings: "ClassifierSettings | OracleSettings", run: Run) -> None:
    """Trains the classifier or the oracle and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The section `models.classifier` or `oracle` of the configuration.
        run: The name (`classifier` or `oracle`), folders, device and attributes. Its seed is that of the classifier;
            the oracle has a seed in its settings.

    Raises:
        UserError: If the data are missing, there is nothing to predict, the quantity of an attribute is unknown, or the
            split is too small.
    """
    dataset, device = load_dataset(run.data), choose_device(run.device)
    outputs = outputs_of(run.attributes or {}, dataset.variables, dataset.labels)
    if not outputs.sizes:
        chosen({})
    attributes = outputs.binary
    seed = derive_seed(cast("OracleSettings", settings).seed if run.name == "oracle" else run.seed, run.name)
    train, valid = _splits(settings, run)
    test = load_split(run.data, "test")
    network = {
        "channels": dataset.shape[0],
        "attributes": len(attributes),
        "classes": sum(variable.classes for variable in outputs.categorical),
        "width": settings.network.width,
        "halvings": settings.network.halvings,
        "features": settings.network.features,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ClassifierNetwork(**network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    meta = {
        "kind": run.name,
        "network": network,
        "attributes": {name: {"of": one.of, "above": one.above} for name, one in attributes.items()},
        "categorical": [asdict(variable) for variable in outputs.categorical],
        "shift": settings.shift,
        "mirror": settings.mirror,
        "erase": settings.erase,
        "images": {"train": len(train.images), "valid": len(valid.images)},
    }
    tensors = {"train": _tensors(dataset, train, outputs), "valid": _tensors(dataset, valid, outputs)}
    weights = None
    if settings.positive_weight > 1.0 and attributes:
        weights = positive_weights(tensors["train"]["labels"].numpy(), settings.positive_weight)
        meta["positive_weights"] = dict(zip(attributes, weights.tolist(), strict=True))
    fit(
        model,
        _loss(
            Augmentation(settings.shift, settings.mirror, settings.erase),
            [variable.classes for variable in outputs.categorical],
            weights,
        ),
        tensors["train"],
        tensors["valid"],
        settings.training,
        Fit(run.out, seed, device, meta, label=run.name),
    )

    # Measured after the selection of weights, which does not use the test split.
    trained = load_classifier(run.out, device, run.name)
    parts = {"valid": valid, "test": test}
    labels = {name: attribute_labels(dataset, part, attributes) for name, part in parts.items()}
    predicted = {name: trained.probabilities(part.images) for name, part in parts.items()}
    errors = {
        name: measured_errors(trained, predicted[name], labels[name], part) for name, part in parts.items()
    }
    one_class = one_sided(dataset, train, attributes, "judges'" if run.name == "oracle" else "train")
    found = {"constant": constant_outputs(trained, list(predicted.values()), one_class), "errors": errors}
    write_json(run.out / "model.json", {**read_json(run.out / "model.json"), **found})


def _splits(settings: "ClassifierSettings | OracleSettings", run: Run) -> tuple[Split, Split]:
    """Returns the rows that train and the rows that select."""
    if run.name != "oracle":
        return load_split(run.data, "train"), load_split(run.data, "valid")
    split, own = load_split(run.data, "judges"), cast("OracleSettings", settings)
    train, valid = hold_out(len(split.images), own.held_out, own.seed)
    return _part(split, train), _part(split, valid)


def _part(split: Split, rows: np.ndarray) -> Split:
    return Split(split.images[rows], split.attributes.iloc[rows].reset_index(drop=True))


def _tensors(dataset: Dataset, split: Split, outputs: Outputs) -> dict[str, Tensor]:
    """Returns the images, the binary labels (N, A) and, if there are any, the classes (N, V)."""
    labels = attribute_labels(dataset, split, outputs.binary)
    tensors = {
        "images": torch.from_numpy(np.array(split.images)),
        "labels": torch.from_numpy(np.array(labels, np.float32)),
    }
    if outputs.categorical:
        classes = [split.attributes[variable.name].to_numpy(np.int64) for variable in outputs.categorical]
        tensors["classes"] = torch.from_numpy(np.stack(classes, 1))
    return tensors


def _loss(augmentation: Augmentation, classes: Sequence[int] = (), weights: np.ndarray | None = None) -> Loss:
    """Returns the negative log-likelihood, with the mean accuracies of attributes and of classes to log.

    Arguments:
        augmentation: The augmentation of the training images.
        classes: The number of classes of each categorical variable.
        weights: The weight of positive images of each attribute, (A,); None: all are 1.
    """
    positive = None if weights is None else torch.from_numpy(weights).float()

    def loss(
        model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = batch["images"], batch["labels"]
        if model.training:
            images = augmentation(images, generator)
        logits = model(to_pixels(images))
        value, scores, start = logits.new_zeros(()), {}, labels.shape[1]
        if start:
            binary = logits[:, :start]
            own = None if positive is None else positive.to(logits.device)
            value = F.binary_cross_entropy_with_logits(binary, labels, pos_weight=own)
            scores["accuracy"] = ((binary > 0) == (labels > 0)).float().mean()
        correct = []
        for number, count in enumerate(classes):
            block, truth = logits[:, start : start + count], batch["classes"][:, number]
            value = value + F.cross_entropy(block, truth)
            correct.append((block.argmax(1) == truth).float().mean())
            start += count
        if correct:
            scores["accuracy_class"] = torch.stack(correct).mean()
        return value, {name: score.detach() for name, score in scores.items()}

    return loss


def measured_errors(
    model: AttributeClassifier, predicted: Mapping[str, np.ndarray], labels: pd.DataFrame, split: Split
) -> dict[str, dict[str, Any]]:
    """Returns the errors of each output: accuracy and number of images, and for an attribute AUC, F1, balanced
    accuracy (None where only one value occurs) and base rate.
    """
    found = {}
    for name in model.names:
        present, positive = labels[name].to_numpy() == 1, predicted[name] > 0.5
        found[name] = {
            "accuracy": float((positive == present).mean()),
            "auc": area_under_curve(predicted[name][present], predicted[name][~present]),
            "f1": _known(f1_score(positive, present)),
            "balanced_accuracy": _known(balanced_accuracy(positive, present)),
            "base_rate": float(present.mean()),
            "n": len(present),
        }
    for variable in model.categorical:
        truth = split.attributes[variable.name].to_numpy()
        correct = predicted[variable.name].argmax(1) == truth
        found[variable.name] = {"accuracy": float(correct.mean()), "n": len(correct)}
    return found


def _known(value: float) -> float | None:
    """Returns a value, or None in place of NaN, which JSON does not have."""
    return None if math.isnan(value) else value


def constant_outputs(
    model: AttributeClassifier, predicted: list[Mapping[str, np.ndarray]], one_class: Mapping[str, str]
) -> dict[str, str]:
    """Returns the outputs that are the same for all images outside the training data, each with the reason."""
    found = {}
    for name in model.names:
        positive = np.concatenate([one[name] > 0.5 for one in predicted])
        if positive.all() or not positive.any():
            value = "yes" if positive[0] else "no"
            reason = one_class.get(name, "train it longer")
            found[name] = (
                f"predicts {value} for {name} on all {len(positive)} images it was tested on; {reason}"
            )
    for name in (variable.name for variable in model.categorical):
        classes = np.concatenate([one[name].argmax(1) for one in predicted])
        if len(np.unique(classes)) == 1:
            found[name] = (
                f"predicts {name} {classes[0]} on all {len(classes)} images it was tested on; train it longer"
            )
    return found

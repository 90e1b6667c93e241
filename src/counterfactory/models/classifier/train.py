r"""Trains the classifier and the oracle: one network of all binary attributes, on two different splits.

Both maximise, over the images of their split shifted by up to S px,

.. math:: \frac1A \sum_a \log p(y_a \mid \mathrm{shift}_s(x)) + \log p(k \mid \mathrm{shift}_s(x)), \qquad
   s \sim U\{-S, \ldots, S\}^2,

with the binary attributes :math:`y` of the configuration (:mod:`counterfactory.data.attributes`) and the class
:math:`k` of the categorical variable of the data set, if there is one.

`classifier`
    The network whose decisions explanations flip. It is trained on the split `train`, with all its confounding; the
    split `valid` selects the weights.

`oracle`
    The network that counts the attributes that an explanation changed (MNAC, CD; Jeanneret et al., 2022,
    arXiv:2203.15636). It is trained on the split `judges` only; a held-out part of it selects the weights.

After the weights are chosen, accuracy, AUC and base rate of each attribute on the test split are written to
`model.json`. An output can be constant, because its attribute has only one class in the split or because training
failed. Such outputs are listed in `constant`, each with the reason. This is not an error here: they cannot be flipped,
and questions about them remain unanswered with that reason.
"""

from collections.abc import Mapping
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
from ...data.dataset import Dataset, Split, Variable, load_dataset, load_split
from ...data.variable import classified
from ...nets.pixels import to_pixels
from ...training.augmentation import shift_images
from ...training.held_out import hold_out
from ...training.loop import Fit, Loss, fit
from ..identity.roc import area_under_curve
from .model import AttributeClassifier, load_classifier
from .network import ClassifierNetwork

if TYPE_CHECKING:
    from ...config.attributes import AttributeSettings, ClassifierSettings, OracleSettings

__all__ = ["train_classifier"]


def train_classifier(settings: "ClassifierSettings | OracleSettings", run: Run) -> None:
    """Trains the classifier or the oracle and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The section `models.classifier` or `oracle` of the configuration.
        run: The name (`classifier` or `oracle`), folders, device and attributes. Its seed is that of the classifier;
            the oracle has a seed in its settings.

    Raises:
        UserError: If the data are missing, the quantity of an attribute is unknown, or the split is too small.
    """
    dataset, device, attributes = (
        load_dataset(run.data),
        choose_device(run.device),
        chosen(run.attributes or {}),
    )
    categorical = classified(dataset.variables)
    seed = derive_seed(cast("OracleSettings", settings).seed if run.name == "oracle" else run.seed, run.name)
    train, valid = _splits(settings, run)
    test = load_split(run.data, "test")
    network = {
        "channels": dataset.shape[0],
        "attributes": len(attributes),
        "classes": categorical.classes if categorical else 0,
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
        "categorical": asdict(categorical) if categorical else None,
        "shift": settings.shift,
        "images": {"train": len(train.images), "valid": len(valid.images)},
    }
    fit(
        model,
        _loss(settings.shift),
        _tensors(dataset, train, attributes, categorical),
        _tensors(dataset, valid, attributes, categorical),
        settings.training,
        Fit(run.out, seed, device, meta, label=run.name),
    )

    # Measured after the selection of weights, which does not use the test split.
    trained = load_classifier(run.out, device, run.name)
    parts = {"valid": valid, "test": test}
    labels = {name: attribute_labels(dataset, part, attributes) for name, part in parts.items()}
    predicted = {name: trained.probabilities(part.images) for name, part in parts.items()}
    errors = {name: _errors(trained, predicted[name], labels[name], part) for name, part in parts.items()}
    one_class = one_sided(dataset, train, attributes, "judges'" if run.name == "oracle" else "train")
    found = {"constant": _constant(trained, list(predicted.values()), one_class), "errors": errors}
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


def _tensors(
    dataset: Dataset,
    split: Split,
    attributes: "Mapping[str, AttributeSettings]",
    categorical: Variable | None,
) -> dict[str, Tensor]:
    """Returns the images, the binary labels (N, A) and, if there is one, the class (N,)."""
    labels = attribute_labels(dataset, split, attributes)
    tensors = {
        "images": torch.from_numpy(np.array(split.images)),
        "labels": torch.from_numpy(np.array(labels, np.float32)),
    }
    if categorical:
        tensors["class"] = torch.from_numpy(np.array(split.attributes[categorical.name], np.int64))
    return tensors


def _loss(shift: int) -> Loss:
    """Returns the negative log-likelihood, with the mean accuracy of the attributes and that of the class to log."""

    def loss(
        model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = batch["images"], batch["labels"]
        if model.training and shift:
            images = shift_images(images, shift, generator)
        logits = model(to_pixels(images))
        binary, classes = logits[:, : labels.shape[1]], logits[:, labels.shape[1] :]
        value = F.binary_cross_entropy_with_logits(binary, labels)
        scores = {"accuracy": ((binary > 0) == (labels > 0)).float().mean()}
        if "class" in batch:
            value = value + F.cross_entropy(classes, batch["class"])
            scores["accuracy_class"] = (classes.argmax(1) == batch["class"]).float().mean()
        return value, {name: score.detach() for name, score in scores.items()}

    return loss


def _errors(
    model: AttributeClassifier, predicted: Mapping[str, np.ndarray], labels: pd.DataFrame, split: Split
) -> dict[str, dict[str, Any]]:
    """Returns accuracy, AUC (None if an attribute has only one class), base rate and number of images."""
    found = {}
    for name in model.names:
        present = labels[name].to_numpy() == 1
        found[name] = {
            "accuracy": float(((predicted[name] > 0.5) == present).mean()),
            "auc": area_under_curve(predicted[name][present], predicted[name][~present]),
            "base_rate": float(present.mean()),
            "n": len(present),
        }
    if model.categorical:
        truth = split.attributes[model.categorical.name].to_numpy()
        correct = predicted[model.categorical.name].argmax(1) == truth
        found[model.categorical.name] = {"accuracy": float(correct.mean()), "n": len(correct)}
    return found


def _constant(
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
    if model.categorical:
        name = model.categorical.name
        classes = np.concatenate([one[name].argmax(1) for one in predicted])
        if len(np.unique(classes)) == 1:
            found[name] = (
                f"predicts {name} {classes[0]} on all {len(classes)} images it was tested on; train it longer"
            )
    return found

r"""Trains the classifier that explanations explain, and the oracle that judges them: one network, two splits.

Both maximise, over the images of their split moved by up to S px,

.. math:: \frac1A \sum_a \log p(y_a \mid \mathrm{shift}_s(x)) + \log p(k \mid \mathrm{shift}_s(x)), \qquad
   s \sim U\{-S, \ldots, S\}^2,

with the binary attributes :math:`y` of the configuration (:mod:`counterfactory.data.attributes`) and the class
:math:`k` of the data set's categorical variable, if it has one.

`classifier`
    The classifier under observation, trained on the train split like every method, with all its confounding; the valid
    split selects the weights.

`oracle`
    What counts the attributes that an explanation changed (MNAC, CD; Jeanneret et al., 2022, arXiv:2203.15636). It is
    trained on the judges' split and nothing else; a held-out part of it selects the weights.

After the weights are chosen, accuracy, AUC and base rate of each attribute on the test split are written in
`model.json`. A classifier may end up saying the same of every image, because an attribute has one class only in its
split or because training failed: such names stand in `constant`, each with the reason. That is no error here; no
counterfactual of them can be found, and who is asked for one leaves the question unanswered and gives the reason.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.device import choose_device
from ...core.files import read_json, write_json
from ...core.noise import derive_seed
from ...data.attributes import AttributeSettings, attribute_labels, chosen, one_sided
from ...data.dataset import Dataset, Split, Variable, load_dataset, load_split
from ...nets.pixels import to_pixels
from ...training.augmentation import shift_images
from ...training.held_out import hold_out
from ...training.loop import TrainingSettings, fit
from ..identity.roc import area_under_curve
from .model import AttributeClassifier, load_classifier
from .network import ClassifierNetwork

__all__ = ["ClassifierSettings", "NetworkSettings", "OracleSettings", "train_classifier"]


class NetworkSettings(Protocol):
    """The sizes of a convolutional classifier or embedding."""

    width: int
    halvings: int
    features: int


class ClassifierSettings(Protocol):
    """What the classifier reads of the configuration, section `models.classifier`."""

    network: NetworkSettings
    shift: int
    training: TrainingSettings


class OracleSettings(ClassifierSettings, Protocol):
    """What the oracle reads of the configuration, section `oracle`."""

    held_out: float
    seed: int


def train_classifier(
    role: Literal["classifier", "oracle"],
    settings: ClassifierSettings | OracleSettings,
    attributes: Mapping[str, AttributeSettings | None],
    data: Path | str,
    out: Path | str,
    device: str,
    seed: int = 0,
) -> None:
    """Trains the classifier or the oracle and writes its folder.

    Arguments:
        role: `classifier` is trained on the split train and selected on valid; `oracle` on the split judges and on its
            held-out part.
        settings: The configuration's section `models.classifier` or `oracle`.
        attributes: The configuration's section `attributes`.
        data: The folder of the data set.
        out: The folder to write: `model.safetensors`, `model.json`, `log.csv`.
        device: `auto`, `cpu` or `cuda`.
        seed: The training seed of the classifier; the oracle has its own, in its section.

    Raises:
        UserError: If the data are missing, an attribute's quantity is unknown, or the split is too small.
    """
    dataset, device, out = load_dataset(data), choose_device(device), Path(out)
    kept = chosen(attributes)
    categorical = next((variable for variable in dataset.variables if variable.classes), None)
    if role == "oracle":
        split, seed = load_split(data, "judges"), settings.seed
        train, valid = (_part(split, rows) for rows in hold_out(len(split.images), settings.held_out, seed))
    else:
        train, valid = load_split(data, "train"), load_split(data, "valid")
    test = load_split(data, "test")
    network = {
        "channels": dataset.shape[0],
        "attributes": len(kept),
        "classes": categorical.classes if categorical else 0,
        "width": settings.network.width,
        "halvings": settings.network.halvings,
        "features": settings.network.features,
    }
    seed = derive_seed(seed, role)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ClassifierNetwork(**network).to(memory_format=torch.channels_last)
    meta = {
        "kind": role,
        "network": network,
        "attributes": {name: {"of": one.of, "above": one.above} for name, one in kept.items()},
        "categorical": asdict(categorical) if categorical else None,
        "shift": settings.shift,
        "images": {"train": len(train.images), "valid": len(valid.images)},
    }
    rows, held_out = (_tensors(dataset, part, kept, categorical) for part in (train, valid))
    fit(model, _loss(settings.shift), rows, held_out, settings.training, out, seed, device, meta, label=role)

    # For the report: by now the weights are chosen, so that the test split chose nothing.
    trained = load_classifier(out, device)
    parts = {"valid": valid, "test": test}
    labels = {name: attribute_labels(dataset, part, kept) for name, part in parts.items()}
    said = {name: trained.probabilities(part.images) for name, part in parts.items()}
    errors = {name: _errors(trained, said[name], labels[name], part) for name, part in parts.items()}
    lonely = one_sided(dataset, train, kept, "judges'" if role == "oracle" else "train")
    constant = _constant(trained, [said[name] for name in parts], lonely)
    write_json(out / "model.json", {**read_json(out / "model.json"), "constant": constant, "errors": errors})


def _part(split: Split, rows: np.ndarray) -> Split:
    return Split(split.images[rows], split.attributes.iloc[rows].reset_index(drop=True))


def _tensors(
    dataset: Dataset, split: Split, attributes: Mapping[str, AttributeSettings], categorical: Variable | None
) -> dict[str, Tensor]:
    """Returns the images, the binary labels (N, A) and, where there is one, the class (N,)."""
    labels = attribute_labels(dataset, split, attributes)
    tensors = {
        "images": torch.from_numpy(np.array(split.images)),
        "labels": torch.from_numpy(np.array(labels, np.float32)),
    }
    if categorical:
        tensors["class"] = torch.from_numpy(np.array(split.attributes[categorical.name], np.int64))
    return tensors


def _loss(shift: int) -> Any:
    """Returns the loss of the module's docstring, with the mean accuracy of the attributes and that of the class."""

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
    model: AttributeClassifier, said: Mapping[str, np.ndarray], labels: pd.DataFrame, split: Split
) -> dict[str, dict[str, Any]]:
    """Returns accuracy, AUC (None where an attribute has one class only), base rate and number of images."""
    found = {}
    for name in model.names:
        there = labels[name].to_numpy() == 1
        found[name] = {
            "accuracy": float(((said[name] > 0.5) == there).mean()),
            "auc": area_under_curve(said[name][there], said[name][~there]),
            "base_rate": float(there.mean()),
            "n": len(there),
        }
    if model.categorical:
        truth = split.attributes[model.categorical.name].to_numpy()
        right = said[model.categorical.name].argmax(1) == truth
        found[model.categorical.name] = {"accuracy": float(right.mean()), "n": len(right)}
    return found


def _constant(
    model: AttributeClassifier, said: list[Mapping[str, np.ndarray]], lonely: Mapping[str, str]
) -> dict[str, str]:
    """Returns what the network says the same of for all images that it was not trained on, each with the reason."""
    found = {}
    for name in model.names:
        answers = np.concatenate([one[name] > 0.5 for one in said])
        if answers.all() or not answers.any():
            same = f"says {'yes' if answers[0] else 'no'} to {name} for all {len(answers)} images it was tried on"
            found[name] = f"{same}; {lonely.get(name, 'train it longer')}"
    if model.categorical:
        name = model.categorical.name
        answers = np.concatenate([one[name].argmax(1) for one in said])
        if len(np.unique(answers)) == 1:
            found[name] = (
                f"says {name} {answers[0]} of all {len(answers)} images it was tried on; train it longer"
            )
    return found

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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.attributes import AttributeSettings, attribute_labels, chosen, one_sided
from ..data.dataset import Dataset, Split, Variable, load_dataset, load_split
from ..files import read_json, write_json
from ..nets.attribute_cnn import AttributeCNN
from ..nets.pixels import to_pixels
from ..noise import derive_seed
from .augmentation import shift_images
from .checkpoint import load_network
from .held_out import hold_out
from .loop import TrainingSettings, choose_device, fit
from .roc import area_under_curve

__all__ = [
    "AttributeModel",
    "AttributeModelSettings",
    "NetworkSettings",
    "OracleSettings",
    "load_attribute_model",
    "train_attribute_model",
]

BATCH = 500  # images in one forward pass of a trained network


class NetworkSettings(Protocol):
    """The sizes of a convolutional classifier or embedding."""

    width: int
    halvings: int
    features: int


class AttributeModelSettings(Protocol):
    """What the classifier reads of the configuration, section `models.classifier`."""

    network: NetworkSettings
    shift: int
    training: TrainingSettings


class OracleSettings(AttributeModelSettings, Protocol):
    """What the oracle reads of the configuration, section `oracle`."""

    held_out: float
    seed: int


@dataclass(frozen=True)
class AttributeModel:
    """A trained classifier or oracle.

    Arguments:
        network: The network, in evaluation mode, its weights without gradients.
        attributes: Each binary attribute's `of` and `above`, in the order of the logits.
        categorical: The categorical variable whose classes follow; None where the data set has none.
        constant: What it says the same of for every image, each with the reason.
        device: Where it runs.
    """

    network: AttributeCNN
    attributes: Mapping[str, Mapping[str, Any]]
    categorical: Variable | None
    constant: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def names(self) -> tuple[str, ...]:
        """The binary attributes, in the order of the logits."""
        return tuple(self.attributes)

    @property
    def classes(self) -> int:
        """The number K of classes of the categorical variable; 0 where there is none."""
        return self.categorical.classes if self.categorical else 0

    def logits(self, images: Tensor) -> Tensor:
        """Returns the logits (B, A + K) of float images in [-1, 1], (B, C, H, W), with gradients to the images."""
        return self.network(images)

    def features(self, images: Tensor) -> Tensor:
        """Returns the features (B, F) of float images in [-1, 1], with gradients to the images."""
        return self.network.features(images)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the maps of every convolution, finest first, of float images in [-1, 1], with gradients."""
        return self.network.stages(images)

    def probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what is likely of uint8 images (N, C, H, W).

        Returns:
            For each binary attribute its probability, float64 (N,); for the categorical variable those of its classes,
            float64 (N, K).
        """
        logits = self._all(images, self.network)
        count = len(self.names)
        found = dict(zip(self.names, torch.sigmoid(logits[:, :count]).numpy().T, strict=True))
        if self.categorical:
            found[self.categorical.name] = torch.softmax(logits[:, count:], 1).numpy()
        return found

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what uint8 images (N, C, H, W) are said to show.

        Returns:
            For each binary attribute 0 or 1, by the sign of its logit, and for the categorical variable the likeliest
            class; int64 (N,) each.
        """
        logits = self._all(images, self.network)
        count = len(self.names)
        found = dict(zip(self.names, (logits[:, :count] > 0).long().numpy().T, strict=True))
        if self.categorical:
            found[self.categorical.name] = logits[:, count:].argmax(1).numpy()
        return found

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Returns the features of uint8 images (N, C, H, W), float64 (N, F), as Frechet distances take them."""
        return self._all(images, self.network.features).numpy()

    @torch.inference_mode()
    def _all(self, images: np.ndarray, function: Any) -> Tensor:
        parts = [
            function(to_pixels(torch.from_numpy(np.array(images[start : start + BATCH])).to(self.device)))
            for start in range(0, len(images), BATCH)
        ]
        if not parts:  # an empty batch still says how wide it is
            width = (
                self.network.head.out_features if function is self.network else self.network.head.in_features
            )
            return torch.empty((0, width), dtype=torch.float64)
        return torch.cat(parts).cpu().double()


def train_attribute_model(
    role: Literal["classifier", "oracle"],
    settings: AttributeModelSettings | OracleSettings,
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
        model = AttributeCNN(**network).to(memory_format=torch.channels_last)
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
    trained = load_attribute_model(out, device)
    parts = {"valid": valid, "test": test}
    labels = {name: attribute_labels(dataset, part, kept) for name, part in parts.items()}
    said = {name: trained.probabilities(part.images) for name, part in parts.items()}
    errors = {name: _errors(trained, said[name], labels[name], part) for name, part in parts.items()}
    lonely = one_sided(dataset, train, kept, "judges'" if role == "oracle" else "train")
    constant = _constant(trained, [said[name] for name in parts], lonely)
    write_json(out / "model.json", {**read_json(out / "model.json"), "constant": constant, "errors": errors})


def load_attribute_model(folder: Path | str, device: str = "cpu") -> AttributeModel:
    """Loads what :func:`train_attribute_model` wrote in `folder`.

    Arguments:
        folder: The classifier's or the oracle's folder.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: If it is missing or damaged.
    """
    device = choose_device(device)
    network, meta = load_network(folder, AttributeCNN, device)
    categorical = Variable(**meta["categorical"]) if meta["categorical"] else None
    return AttributeModel(network, meta["attributes"], categorical, meta.get("constant", {}), device)


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
        marks = {"accuracy": ((binary > 0) == (labels > 0)).float().mean()}
        if "class" in batch:
            value = value + F.cross_entropy(classes, batch["class"])
            marks["accuracy_class"] = (classes.argmax(1) == batch["class"]).float().mean()
        return value, {name: mark.detach() for name, mark in marks.items()}

    return loss


def _errors(
    model: AttributeModel, said: Mapping[str, np.ndarray], labels: pd.DataFrame, split: Split
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
    model: AttributeModel, said: list[Mapping[str, np.ndarray]], lonely: Mapping[str, str]
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

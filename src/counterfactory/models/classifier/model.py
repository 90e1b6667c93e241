"""Loads a trained classifier or oracle and applies it to images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.checkpoint import load_network
from ...core.device import choose_device
from ...core.errors import reading
from ...data.dataset import Variable
from ...nets.pixels import pixel_batches
from .imported import ImportedClassifier, build_classifier
from .network import ClassifierNetwork

__all__ = ["AttributeClassifier", "load_classifier"]


@dataclass(frozen=True)
class AttributeClassifier:
    """A trained classifier or oracle.

    Arguments:
        network: The network, in evaluation mode, its weights without gradients.
        attributes: `of` and `above` of each binary attribute, in the order of the logits.
        categorical: The variables and labels with more than two classes, whose logits follow in this order.
        constant: The outputs that are the same for every image, each with the reason.
        device: The device of the network.
    """

    network: ClassifierNetwork | ImportedClassifier
    attributes: Mapping[str, Mapping[str, Any]]
    categorical: tuple[Variable, ...] = ()
    constant: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def names(self) -> tuple[str, ...]:
        """The binary attributes, in the order of the logits."""
        return tuple(self.attributes)

    @property
    def classes(self) -> tuple[int, ...]:
        """The number of classes of each categorical output, in the order of the logits; their sum is K."""
        return tuple(variable.classes for variable in self.categorical)

    @property
    def blocks(self) -> dict[str, slice]:
        """The columns of the logits of each output: one for a binary attribute, one per class for a categorical one."""
        found, start = {name: slice(k, k + 1) for k, name in enumerate(self.names)}, len(self.names)
        for variable in self.categorical:
            found[variable.name] = slice(start, start + variable.classes)
            start += variable.classes
        return found

    @property
    def sizes(self) -> dict[str, int]:
        """The number of values of each output: 2 for a binary attribute."""
        return dict.fromkeys(self.names, 2) | {one.name: one.classes for one in self.categorical}

    @property
    def depth(self) -> int:
        """The number of feature maps of :meth:`stages`; of an imported network the largest possible one."""
        trunk = self.network.trunk if isinstance(self.network, ClassifierNetwork) else None
        return len(trunk.layers) if trunk is not None else 10

    def logits(self, images: Tensor) -> Tensor:
        """Returns the logits (B, A + K) of float images in [-1, 1], (B, C, H, W), differentiable."""
        return self.network(images)

    def features(self, images: Tensor) -> Tensor:
        """Returns the features (B, F) of float images in [-1, 1], (B, C, H, W), differentiable."""
        return self.network.features(images)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps of all convolutions, finest first, of float images in [-1, 1], differentiable."""
        return self.network.stages(images)

    def probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the predicted probabilities of uint8 images (N, C, H, W).

        Returns:
            The probability of each binary attribute, float64 (N,), and those of the classes of each categorical output,
            float64 (N, classes).
        """
        logits = self._apply(images, self.network)
        count = len(self.names)
        found = dict(zip(self.names, torch.sigmoid(logits[:, :count]).numpy().T, strict=True))
        for variable in self.categorical:
            found[variable.name] = torch.softmax(logits[:, self.blocks[variable.name]], 1).numpy()
        return found

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the predicted attributes and classes of uint8 images (N, C, H, W).

        Returns:
            For each binary attribute 0 or 1, by the sign of its logit, and for each categorical output the most likely
            class; int64 (N,) each.
        """
        logits = self._apply(images, self.network)
        count = len(self.names)
        found = dict(zip(self.names, (logits[:, :count] > 0).long().numpy().T, strict=True))
        for variable in self.categorical:
            found[variable.name] = logits[:, self.blocks[variable.name]].argmax(1).numpy()
        return found

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Returns the features of uint8 images (N, C, H, W), float64 (N, F), for Frechet distances."""
        return self._apply(images, self.network.features).numpy()

    @torch.inference_mode()
    def _apply(self, images: np.ndarray, function: Callable[[Tensor], Tensor]) -> Tensor:
        parts = [function(batch) for batch in pixel_batches(images, self.device)]
        if not parts:
            head = self.network.head
            width = head.out_features if function is self.network else head.in_features
            return torch.empty((0, width), dtype=torch.float64)
        return torch.cat(parts).cpu().double()


def load_classifier(folder: Path | str, device: str = "cpu", expected: str = "") -> AttributeClassifier:
    """Loads a network that :func:`counterfactory.models.classifier.train.train_classifier` wrote.

    Arguments:
        folder: The folder of the classifier or of the oracle.
        device: `auto`, `cpu` or `cuda`.
        expected: `classifier` or `oracle`; by default either.

    Raises:
        UserError: If it is missing, damaged, or not the expected one.
    """
    device = choose_device(device)
    network, meta = load_network(folder, build_classifier, device, expected)
    with reading(Path(folder) / "model.json", "does not describe a classifier", "delete it and train again"):
        categorical = tuple(Variable(**{**one, "names": tuple(one["names"])}) for one in meta["categorical"])
        attributes, constant = dict(meta["attributes"]), dict(meta.get("constant", {}))
    return AttributeClassifier(network, attributes, categorical, constant, device)

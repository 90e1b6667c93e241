"""TODO models.classifier.model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.checkpoint import load_network
from ...core.device import choose_device
from ...data.dataset import Variable
from ...nets.pixels import to_pixels
from .network import ClassifierNetwork

__all__ = ["AttributeClassifier", "BATCH", "load_classifier"]


BATCH = 500  # images in one forward pass of a trained network


@dataclass(frozen=True)
class AttributeClassifier:
    """A trained classifier or oracle.

    Arguments:
        network: The network, in evaluation mode, its weights without gradients.
        attributes: Each binary attribute's `of` and `above`, in the order of the logits.
        categorical: The categorical variable whose classes follow; None where the data set has none.
        constant: What it says the same of for every image, each with the reason.
        device: Where it runs.
    """

    network: ClassifierNetwork
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


def load_classifier(folder: Path | str, device: str = "cpu") -> AttributeClassifier:
    """Loads what :func:`train_classifier` wrote in `folder`.

    Arguments:
        folder: The classifier's or the oracle's folder.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: If it is missing or damaged.
    """
    device = choose_device(device)
    network, meta = load_network(folder, ClassifierNetwork, device)
    categorical = Variable(**meta["categorical"]) if meta["categorical"] else None
    return AttributeClassifier(network, meta["attributes"], categorical, meta.get("constant", {}), device)

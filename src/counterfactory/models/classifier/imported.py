"""Classifiers whose weights are imported: DiME's classifier and oracle, networks of torchvision, and ONNX graphs.

A published network has logits of its own, in an order of its own. :class:`ImportedClassifier` returns those of the
outputs that the configuration defines, by name. An output that the network does not predict has the logit 0; it is
listed as constant in `model.json`, so that questions about it remain unanswered with that reason.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...pretrained.dime_classifier import DenseNetClassifier
from ...pretrained.dime_oracle import VggFace2Oracle
from ...pretrained.torchvision_import import import_torchvision
from .graph import GraphNetwork
from .network import ClassifierNetwork

__all__ = ["PIXELS", "ImportedClassifier", "build_classifier", "build_imported", "is_known"]

PIXELS = ("[-1, 1]", "[0, 1]", "imagenet")
"""The scales of pixels that a network can expect; `imagenet`: mean and standard deviation of ImageNet's channels."""

_MEANS, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def is_known(architecture: str) -> bool:
    """Returns whether an architecture is a classifier of torchvision."""
    models = import_torchvision().models
    return architecture in models.list_models(module=models)


def build_imported(architecture: str, outputs: int, **arguments: Any) -> nn.Module:
    """Returns the network of an imported classifier, without its weights.

    Arguments:
        architecture: `dime_classifier`, `dime_oracle`, `counterfactory`, `onnx`, or a network of torchvision.
        outputs: The number of its logits.
        arguments: Further arguments of the network.

    Raises:
        ValueError: If there is no such architecture.
    """
    if architecture == "dime_classifier":
        return DenseNetClassifier(outputs)
    if architecture == "dime_oracle":
        return VggFace2Oracle(outputs)
    if architecture == "counterfactory":
        return ClassifierNetwork(attributes=outputs, **arguments)
    if architecture == "onnx":
        return GraphNetwork(**arguments)
    models = import_torchvision().models
    if not is_known(architecture):
        raise ValueError(f"{architecture} is no classifier of torchvision")
    extra = {"init_weights": False} if architecture in ("googlenet", "inception_v3") else {}
    return models.get_model(architecture, num_classes=outputs, **extra)


class ImportedClassifier(nn.Module):
    """A network with the outputs of the configuration.

    Arguments:
        architecture: See :func:`build_imported`.
        outputs: The number of logits of the network.
        columns: The logit of each output of the configuration; None where the network has none.
        pixels: The scale of the pixels that it expects, one of :data:`PIXELS`.
        size: The height and width in px to which images are resized (bilinear); 0: as they are.
        arguments: Further arguments of the network.
    """

    def __init__(
        self,
        architecture: str,
        outputs: int,
        columns: Sequence[int | None],
        pixels: str = PIXELS[0],
        size: int = 0,
        **arguments: Any,
    ) -> None:
        super().__init__()
        self.network = build_imported(architecture, outputs, **arguments)
        self.missing = outputs  # the column of an output that the network does not predict
        self.columns = [self.missing if column is None else column for column in columns]
        self.pixels, self.size = pixels, size

    def prepare(self, images: Tensor) -> Tensor:
        """Returns the input of the network of images in [-1, 1], (B, C, H, W)."""
        if self.pixels != PIXELS[0]:
            images = 0.5 * (images + 1.0)
        if self.pixels == "imagenet":
            shape = (1, -1, 1, 1)
            images = (images - images.new_tensor(_MEANS).view(shape)) / images.new_tensor(_DEVIATIONS).view(
                shape
            )
        if self.size and images.shape[-1] != self.size:
            images = F.interpolate(images, size=(self.size, self.size), mode="bilinear", align_corners=False)
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits of the configuration's outputs, (B, A + K), of images in [-1, 1], (B, C, H, W)."""
        logits = self.network(self.prepare(images)).float()
        return torch.cat([logits, logits.new_zeros(len(logits), 1)], 1)[:, self.columns]

    def features(self, images: Tensor) -> Tensor:
        """Returns the inputs of the last linear layer, (B, F), of images in [-1, 1], (B, C, H, W).

        In a network without a linear layer, they are the means of its last feature maps.
        """
        if isinstance(self.network, DenseNetClassifier | VggFace2Oracle | ClassifierNetwork):
            return self.network.features(self.prepare(images))
        if isinstance(self.network, GraphNetwork):
            inputs = [node["inputs"][0] for node in self.network.nodes if node["op"] in ("Gemm", "MatMul")]
            values = self.network.values(self.prepare(images))
            if inputs and inputs[-1] in values:
                return values[inputs[-1]].flatten(1)
            return self.stages(images)[-1].mean((2, 3))
        found: list[Tensor] = []
        linear = [one for one in self.network.modules() if isinstance(one, nn.Linear)]
        if not linear:
            return self.stages(images)[-1].mean((2, 3))
        hook = linear[-1].register_forward_pre_hook(lambda module, inputs: found.append(inputs[0]))
        try:
            self.network(self.prepare(images))
        finally:
            hook.remove()
        return found[0].flatten(1)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the last feature map of each resolution, finest first, of images in [-1, 1], (B, C, H, W)."""
        found: dict[int, Tensor] = {}
        prepared = self.prepare(images)

        def keep(value: Any) -> None:
            if isinstance(value, Tensor) and value.dim() == 4 and value.shape[-1] > 1:
                found[value.shape[-1]] = value

        if isinstance(self.network, GraphNetwork):
            for value in self.network.values(prepared).values():
                keep(value)
        else:
            hooks = [
                module.register_forward_hook(lambda module, inputs, value: keep(value))
                for module in self.network.modules()
                if not list(module.children())
            ]
            try:
                self.network(prepared)
            finally:
                for hook in hooks:
                    hook.remove()
        return [found[side] for side in sorted(found, reverse=True)]

    @property
    def head(self) -> SimpleNamespace:
        """The widths of the last layer: `in_features` and `out_features`."""
        linear = [one for one in self.network.modules() if isinstance(one, nn.Linear)]
        return SimpleNamespace(
            in_features=linear[-1].in_features if linear else 0, out_features=len(self.columns)
        )


def build_classifier(architecture: str = "", **network: Any) -> ClassifierNetwork | ImportedClassifier:
    """Returns the network of a trained (no `architecture`) or imported classifier, without its weights."""
    if architecture:
        return ImportedClassifier(architecture, **network)
    return ClassifierNetwork(**network)

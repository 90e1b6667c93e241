r"""Perceptual distances that an explanation keeps small: squared Euclidean distances of network features.

.. math:: d(x, y) = \left\| \phi(x) - \phi(y) \right\|_2^2

with :math:`\phi` scaled so that d equals the distance that each choice defines:

- `vgg19`: the mean squared difference of the features of VGG-19, trained on ImageNet, after its first `layer` layers
  (18: up to the ReLU after the fourth convolution of the third block), as in DiME (Jeanneret et al., 2022,
  arXiv:2203.15636).
- `lpips_vgg`, `lpips_alex`: LPIPS (Zhang et al., 2018, arXiv:1801.03924) with that trunk.
- `classifier`: the mean squared difference of the maps of the explained classifier's first `layer` convolutions, each
  map with the same weight. Unlike ImageNet networks it was trained on images of the data set.
- `oracle`: likewise, with the oracle. The oracle also scores explanations, so its scores mean little then.
- `none`: no distance.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..core.errors import UserError
from ..core.names import unknown_name

if TYPE_CHECKING:
    from ..models.classifier.model import AttributeClassifier

__all__ = ["CHOICES", "Features", "load_perceptual"]

CHOICES = ("vgg19", "lpips_vgg", "lpips_alex", "classifier", "oracle", "none")

Features = Callable[[Tensor], Tensor]
r"""Maps images in [-1, 1], (B, C, H, W), to features :math:`\phi`, (B, F), with gradients to the images."""


def load_perceptual(
    name: str,
    layer: int,
    models: Path,
    classifier: "AttributeClassifier",
    device: str = "cpu",
) -> Features | None:
    """Returns the features whose squared distance is the perceptual distance.

    Arguments:
        name: One of :data:`CHOICES`.
        layer: The number of layers of VGG-19, or of convolutions of the classifier or oracle.
        models: The folder of the models of the data set, with those of VGG-19 and LPIPS.
        classifier: The explained classifier.
        device: The device of the network.

    Returns:
        The features, or None for `none`.

    Raises:
        UserError: If there is no such distance, it has fewer layers, or its weights were not imported.
        MissingWeights: If the file of its weights was missing when they were imported.
    """
    if name not in CHOICES:
        raise unknown_name(f"answers: perceptual: {name}", "no such distance", CHOICES)
    if name == "none":
        return None
    if name == "vgg19":
        return _vgg19(models / "vgg19", layer, device)
    if name.startswith("lpips_"):
        return _lpips(models / "lpips" / name.removeprefix("lpips_"), device)
    if name == "oracle":
        from ..models.classifier.model import load_classifier

        return _stages(load_classifier(models / "oracle", device, "oracle"), layer, name)
    return _stages(classifier, layer, name)


def _stages(model: "AttributeClassifier", layer: int, name: str) -> Features:
    count = model.depth
    if not 1 <= layer <= count:
        raise UserError(f"answers: l_perc_layer: the {name} has {count} convolutions, not {layer}")

    def features(x: Tensor) -> Tensor:
        maps = model.stages(x.clamp(-1.0, 1.0))[:layer]
        return torch.cat([one.flatten(1) * (one[0].numel() * len(maps)) ** -0.5 for one in maps], 1)

    return features


def _lpips(folder: Path, device: str) -> Features:
    from ..pretrained.lpips import load_lpips

    model = load_lpips(folder, device)

    def features(x: Tensor) -> Tensor:
        maps = model.net(model.scaling_layer(x.clamp(-1.0, 1.0).expand(-1, 3, -1, -1)))
        parts = []
        for one, head in zip(maps, model.lins, strict=True):  # one: (B, C, H, W)
            # Added before the root, whose gradient is infinite at zero; the package lpips adds it after the root.
            norm = (one.square().sum(1, keepdim=True) + 1e-10).sqrt()
            parts.append((one / norm * (head.model[-1].weight / one[0, 0].numel()).sqrt()).flatten(1))
        return torch.cat(parts, 1)

    return features


def _vgg19(folder: Path, layer: int, device: str) -> Features:
    from ..pretrained.vgg19 import load_vgg19

    trunk = load_vgg19(folder)
    if not 1 <= layer <= len(trunk):
        raise UserError(f"answers: l_perc_layer: vgg19 has {len(trunk)} layers, not {layer}")
    layers = nn.Sequential(*list(trunk)[:layer]).to(device)
    for module in layers:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    mean = torch.tensor([0.485, 0.456, 0.406], device=device)[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225], device=device)[:, None, None]

    def features(x: Tensor) -> Tensor:
        seen = (x.clamp(-1.0, 1.0).expand(-1, 3, -1, -1) + 1.0) / 2.0
        found = layers((seen - mean) / deviation)
        return found.flatten(1) * found[0].numel() ** -0.5

    return features

"""DiME's classifier of 40 attributes of faces: DenseNet-121 (Huang et al., 2017, arXiv:1608.06993) and a linear layer.

It was trained by DiVE (Rodriguez et al., 2021, arXiv:2103.10226) and is explained by DiME (Jeanneret et al., 2022,
arXiv:2203.15636). Its checkpoint holds two state dictionaries, `feat_extract` and `classifier`. Images are in [-1, 1]
and are not normalised further. The logits are in the order of CelebA's attributes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .foreign_state import renamed
from .torchvision_import import import_torchvision

__all__ = ["DenseNetClassifier", "rename_dime_classifier"]


class DenseNetClassifier(nn.Module):
    """DenseNet-121 with a linear layer.

    Arguments:
        outputs: The number of logits.
    """

    def __init__(self, outputs: int = 40) -> None:
        super().__init__()
        with torch.device("meta"):  # without random weights of the layer that is replaced
            network = import_torchvision().models.densenet121()
        self.trunk = network.features.to_empty(device="cpu")
        self.head = nn.Linear(1_024, outputs)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps after each dense block, finest first, of images in [-1, 1], (B, 3, H, W)."""
        maps, h = [], images
        for name, layer in self.trunk.named_children():
            h = layer(h)
            if name.startswith("denseblock"):
                maps.append(h)
        return maps

    def features(self, images: Tensor) -> Tensor:
        """Returns the features before the last layer, (B, 1024), of images in [-1, 1], (B, 3, H, W)."""
        return F.relu(self.trunk(images)).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits (B, outputs) of images in [-1, 1], (B, 3, H, W)."""
        return self.head(self.features(images))


def rename_dime_classifier(
    features: Mapping[str, Tensor], classifier: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Returns published weights by the names of :class:`DenseNetClassifier`.

    Arguments:
        features: The entry `feat_extract` of the checkpoint.
        classifier: The entry `classifier` of the checkpoint.
    """
    trunk = renamed(features, lambda key, _: key.replace("feat_extract.features.", "trunk.", 1))
    return trunk | renamed(classifier, lambda key, _: f"head.{key}")

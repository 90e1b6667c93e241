r"""The convolutional classifier of many binary attributes and one class at once, :math:`p(y_a = 1 \mid x)`.

What explanations explain, and what judges them, is one trunk with a logit for each binary attribute, as the published
classifiers of 40 attributes of faces are (DiVE, Rodriguez et al., 2021, arXiv:2103.10226; DiME, Jeanneret et al., 2022,
arXiv:2203.15636), and here also one for each class of a categorical variable:

.. math:: p(y_a = 1 \mid x) = \sigma(\ell_a(x)), \qquad p(k \mid x) = \mathrm{softmax}(\ell_{A + 1 .. A + K}(x))_k

    conv 4 /2, W | conv 4 /2, 2W | conv 4 /2, 4W | ... | mean over a 4 x 4 grid | linear F | linear A + K

each layer but the last without bias and followed by batch normalisation and a leaky ReLU. The 4 x 4 grid keeps where a
stroke is, which width, height and slant depend on and a mean over all pixels would lose. Maps of the layers
(:meth:`ClassifierNetwork.stages`) serve perceptual distances, the F features Frechet distances.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["GRID", "MOMENTUM", "ClassifierNetwork", "ConvolutionalTrunk"]

SLOPE = 0.1  # of the leaky ReLU below zero
MOMENTUM = 0.05  # of batch normalisation: statistics nearly as slow as the averaged weights they belong to
GRID = 4  # rows and columns of the grid that the last maps are averaged over


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs, momentum=MOMENTUM),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


class ConvolutionalTrunk(nn.Module):
    """Convolutions that halve the image again and again, and double their channels.

    Arguments:
        channels: The image's channels C.
        width: The channels W of the first map, at half the resolution.
        halvings: How many times the resolution is halved; 3 for images of 32 px.
    """

    def __init__(self, channels: int, width: int = 16, halvings: int = 3) -> None:
        super().__init__()
        widths = [channels, *(width * 2**k for k in range(halvings))]
        self.layers = nn.ModuleList(_halving(*pair) for pair in pairwise(widths))
        self.outputs = widths[-1] * GRID**2
        """The number of values that the grid has."""

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the maps after every layer, finest first: the k-th has W 2^k channels and 2^(k + 1) fewer rows."""
        maps = []
        for layer in self.layers:
            images = layer(images)
            maps.append(images)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Returns the last map averaged over a 4 x 4 grid, flattened, (B, `outputs`)."""
        return F.adaptive_avg_pool2d(self.stages(images)[-1], GRID).flatten(1)


class ClassifierNetwork(nn.Module):
    """Classifies binary attributes and one categorical variable.

    Arguments:
        channels: The image's channels C.
        attributes: The number A of binary attributes.
        classes: The number K of classes of the categorical variable; 0 where there is none.
        width: The channels W of the first map.
        halvings: How many times the resolution is halved.
        features: The number F of features before the logits.
    """

    def __init__(
        self,
        channels: int,
        attributes: int,
        classes: int = 0,
        width: int = 16,
        halvings: int = 3,
        features: int = 64,
    ) -> None:
        super().__init__()
        self.trunk = ConvolutionalTrunk(channels, width, halvings)
        self.neck = nn.Sequential(
            nn.Linear(self.trunk.outputs, features, bias=False),
            nn.BatchNorm1d(features, momentum=MOMENTUM),
            nn.LeakyReLU(SLOPE),
        )
        self.head = nn.Linear(features, attributes + classes)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the maps of all convolutions of images in [-1, 1], (B, C, H, W), finest first."""
        return self.trunk.stages(images)

    def features(self, images: Tensor) -> Tensor:
        """Returns what the logits are linear in, (B, F), of images in [-1, 1]."""
        pooled = self.trunk(images)
        # Full precision from here on, also under autocast: logits are compared with 0.
        with torch.autocast(images.device.type, enabled=False):
            return self.neck(pooled.float())

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits of images in [-1, 1], (B, A + K): binary attributes first, then classes."""
        features = self.features(images)
        with torch.autocast(images.device.type, enabled=False):
            return self.head(features)

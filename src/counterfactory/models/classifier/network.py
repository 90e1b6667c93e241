r"""The convolutional classifier of binary attributes and of classes, :math:`p(y_a = 1 \mid x)`.

The classifier and the oracle share this architecture: one trunk with a logit per binary attribute, as in the published
classifiers of 40 attributes of faces (DiVE, Rodriguez et al., 2021, arXiv:2103.10226; DiME, Jeanneret et al., 2022,
arXiv:2203.15636), and a logit per class of each categorical variable v, whose block of logits is :math:`\ell_v`:

.. math:: p(y_a = 1 \mid x) = \sigma(\ell_a(x)), \qquad p(y_v = k \mid x) = \mathrm{softmax}(\ell_v(x))_k

The layers are::

    conv 4 /2, W | conv 4 /2, 2W | conv 4 /2, 4W | ... | mean over a 4 x 4 grid | linear F | linear A + K

Each layer except the last has no bias and is followed by batch normalization and a leaky ReLU. The 4 x 4 grid preserves
the positions of strokes, on which width, height and slant depend; a mean over all pixels would lose them. The feature
maps of the layers (:meth:`ClassifierNetwork.stages`) are used by perceptual distances, the F features by Frechet
distances.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["GRID", "MOMENTUM", "ClassifierNetwork", "ConvolutionalTrunk"]

SLOPE = 0.1  # slope of the leaky ReLU below zero
MOMENTUM = 0.05  # momentum of batch normalization: statistics change nearly as slowly as the averaged weights
GRID = 4  # rows and columns of the grid over which the last feature maps are averaged


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs, momentum=MOMENTUM),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


class ConvolutionalTrunk(nn.Module):
    """Convolutions that each halve the resolution and double the channels.

    Arguments:
        channels: The number C of channels of an image.
        width: The number W of channels of the first feature map, at half the resolution.
        halvings: How many times the resolution is halved; 3 for images of 32 px.
    """

    def __init__(self, channels: int, width: int = 16, halvings: int = 3) -> None:
        super().__init__()
        widths = [channels, *(width * 2**k for k in range(halvings))]
        self.layers = nn.ModuleList(_halving(*pair) for pair in pairwise(widths))
        self.outputs = widths[-1] * GRID**2
        """The number of output values."""

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps of all layers, finest first: the k-th has W 2^k channels."""
        maps = []
        for layer in self.layers:
            images = layer(images)
            maps.append(images)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Returns the last feature map averaged over a 4 x 4 grid, flattened, (B, `outputs`)."""
        return F.adaptive_avg_pool2d(self.stages(images)[-1], GRID).flatten(1)


class ClassifierNetwork(nn.Module):
    """Classifies binary attributes and categorical variables.

    Arguments:
        channels: The number C of channels of an image.
        attributes: The number A of binary attributes.
        classes: The number K of classes of all categorical variables; 0 if there is none.
        width: The number W of channels of the first feature map.
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
        """Returns the feature maps of all convolutions, finest first, of images in [-1, 1], (B, C, H, W)."""
        return self.trunk.stages(images)

    def features(self, images: Tensor) -> Tensor:
        """Returns the features before the last layer, (B, F), of images in [-1, 1], (B, C, H, W)."""
        pooled = self.trunk(images)
        # float32 from here on, also under autocast: logits are compared with 0.
        with torch.autocast(images.device.type, enabled=False):
            return self.neck(pooled.float())

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits (B, A + K) of images in [-1, 1], (B, C, H, W): binary attributes first, then classes."""
        features = self.features(images)
        with torch.autocast(images.device.type, enabled=False):
            return self.head(features)

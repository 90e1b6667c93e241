r"""The network of the identity embedding.

The trunk of :mod:`counterfactory.models.classifier.network` and a linear map to F numbers of norm 1. The similarity of
two images is the cosine :math:`e(x)^\top e(x')`, as for the face networks of published explanations (VGGFace2; Cao et
al., 2018, arXiv:1710.08092).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..classifier.network import MOMENTUM, ConvolutionalTrunk
from .descriptors import describe

__all__ = ["IdentityCNN", "PersonNetwork"]


class IdentityCNN(nn.Module):
    """The embedding of images.

    Arguments:
        channels: The number C of channels of an image.
        width: The number of channels of the first feature map.
        halvings: How many times the resolution is halved.
        features: The dimension F of an embedding.
    """

    def __init__(self, channels: int, width: int = 16, halvings: int = 3, features: int = 64) -> None:
        super().__init__()
        self.features = features
        self.trunk = ConvolutionalTrunk(channels, width, halvings)
        # Normalized without a learned scale: no component outweighs the others by its size alone.
        self.head = nn.Sequential(
            nn.Linear(self.trunk.outputs, features, bias=False),
            nn.BatchNorm1d(features, affine=False, momentum=MOMENTUM),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Returns the embeddings (B, F), of norm 1, of images in [-1, 1] with shape (B, C, H, W)."""
        pooled = self.trunk(images)
        # float32 from here on, also under autocast: thresholds of cosines are close to 1.
        with torch.autocast(images.device.type, enabled=False):
            return F.normalize(self.head(pooled.float()), dim=1)


class PersonNetwork(nn.Module):
    r"""The embedding of persons: that of a convolutional network and a linear discriminant of descriptors.

    .. math:: e(x) = \big(\sqrt{1 - w}\, e_1(x),\ \sqrt{w}\, e_2(x)\big), \qquad
       e(x)^\top e(x') = (1 - w)\, e_1^\top e_1' + w\, e_2^\top e_2'

    Arguments:
        discriminant: The numbers D and F of the projection (:mod:`counterfactory.models.identity.discriminant`).
        sizes: The sizes of the convolutional network, :class:`IdentityCNN`.
    """

    mean: Tensor
    projection: Tensor
    weight: Tensor

    def __init__(self, discriminant: tuple[int, int], **sizes: int) -> None:
        super().__init__()
        inputs, outputs = discriminant
        self.network = IdentityCNN(**sizes)
        self.features = self.network.features + outputs
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("projection", torch.zeros(inputs, outputs))
        self.register_buffer("weight", torch.zeros(()))

    def discriminate(self, images: Tensor) -> Tensor:
        """Returns the embeddings of the discriminant, (B, F), of norm 1, of images in [-1, 1]."""
        with torch.autocast(images.device.type, enabled=False):
            return F.normalize((describe(images.float()) - self.mean) @ self.projection, dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the embeddings, of norm 1, of images in [-1, 1] with shape (B, C, H, W)."""
        learned, found = self.network(images), self.discriminate(images)
        return torch.cat([(1.0 - self.weight).sqrt() * learned, self.weight.sqrt() * found], 1)

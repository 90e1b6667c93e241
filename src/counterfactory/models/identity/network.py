r"""The network that says whether two images are of one and the same hand: an embedding on the unit sphere.

The trunk of :mod:`counterfactory.models.classifier.network`, and a linear map to F numbers of norm 1, so that the similarity
of two images is the cosine :math:`e(x)^\top e(x')`, as with the face networks of published explanations (VGGFace2; Cao
et al., 2018, arXiv:1710.08092).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..classifier.network import MOMENTUM, ConvolutionalTrunk

__all__ = ["IdentityCNN"]


class IdentityCNN(nn.Module):
    """Embeds images.

    Arguments:
        channels: The image's channels C.
        width: The channels of the first map.
        halvings: How many times the resolution is halved.
        features: The number F of an embedding's components.
    """

    def __init__(self, channels: int, width: int = 16, halvings: int = 3, features: int = 64) -> None:
        super().__init__()
        self.features = features
        self.trunk = ConvolutionalTrunk(channels, width, halvings)
        # Normalised without learned scale, so that no component outweighs the others by its size alone.
        self.head = nn.Sequential(
            nn.Linear(self.trunk.outputs, features, bias=False),
            nn.BatchNorm1d(features, affine=False, momentum=MOMENTUM),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Returns the unit embeddings, (B, F), of images in [-1, 1], (B, C, H, W)."""
        pooled = self.trunk(images)
        # Full precision from here on, also under autocast: thresholds of cosines lie close to 1.
        with torch.autocast(images.device.type, enabled=False):
            return F.normalize(self.head(pooled.float()), dim=1)

"""Builds the identity networks by their name in the configuration."""

from typing import Any

from torch import nn

from ..models.identity.network import IdentityCNN
from .mobilefacenet import MobileFaceNet
from .vggface2_resnet import VggFace2ResNet50

__all__ = ["build_identity"]


def build_identity(name: str = "trained", **sizes: Any) -> nn.Module:
    """Returns an embedding without weights.

    Arguments:
        name: `trained` (the network of this package), or a published face embedding: `vggface2_resnet50` or
            `mobilefacenet`.
        sizes: The sizes of the network of this package.

    Returns:
        A network from images in [-1, 1], (B, C, H, W), to unit embeddings (B, F); F is its attribute `features`.
    """
    networks = {"trained": IdentityCNN, "vggface2_resnet50": VggFace2ResNet50, "mobilefacenet": MobileFaceNet}
    return networks[name](**sizes)

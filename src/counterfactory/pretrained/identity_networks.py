"""The networks that may say whether two images are of one identity, by their name in the configuration."""

from typing import Any

from torch import nn

from ..models.identity.network import IdentityCNN
from .mobilefacenet import MobileFaceNet
from .vggface2_resnet import VggFace2ResNet50

__all__ = ["build_identity"]


def build_identity(name: str = "trained", **sizes: Any) -> nn.Module:
    """Returns an embedding without weights.

    Arguments:
        name: `trained`, our own, or a published network of faces: `vggface2_resnet50` or `mobilefacenet`.
        sizes: What our own is built with.

    Returns:
        From images in [-1, 1], (B, C, H, W), to unit embeddings (B, F); F stands in its attribute `features`.
    """
    networks = {"trained": IdentityCNN, "vggface2_resnet50": VggFace2ResNet50, "mobilefacenet": MobileFaceNet}
    return networks[name](**sizes)

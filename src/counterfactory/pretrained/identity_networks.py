"""Builds the published face embeddings by their name in the configuration."""

from collections.abc import Sequence

from torch import nn

from .mobilefacenet import MobileFaceNet
from .vggface2_resnet import VggFace2ResNet50

__all__ = ["build_published_identity"]


def build_published_identity(name: str, landmarks: Sequence[Sequence[float]] | None = None) -> nn.Module:
    """Returns a published face embedding without weights.

    Arguments:
        name: `vggface2_resnet50` or `mobilefacenet`.
        landmarks: Eyes, nose and corners of the mouth in every image, as shares of its side; mobilefacenet aligns
            images by them.

    Returns:
        A network from images in [-1, 1], (B, C, H, W), to unit embeddings (B, F); F is its attribute `features`.
    """
    if name == "mobilefacenet":
        return MobileFaceNet(landmarks)
    return {"vggface2_resnet50": VggFace2ResNet50}[name]()

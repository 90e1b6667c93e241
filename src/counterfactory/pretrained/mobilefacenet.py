r"""Defines MobileFaceNet, a small face embedding trained with ArcFace on WebFace600K.

ArcFace (Deng et al., 2019, arXiv:1801.07698) trains an embedding on the unit sphere with an angular margin. The trunk
is a MobileFaceNet (Chen et al., 2018, arXiv:1804.07573) in the form of the published weights (`w600k_mbf` of
InsightFace): normalizations are folded into the convolutions, all of which have a bias. Faces must be aligned to the
frame of ArcFace of 112 px: by one similarity if the landmarks of the data set are given
(:mod:`counterfactory.pretrained.alignment`), else beforehand; then images are only resized to 112 px (bilinear).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from .alignment import SIZE, align, similarity

__all__ = ["SIZE", "MobileFaceNet"]


def _convolution(
    channels: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Returns a convolution and its PReLU, with one slope per channel."""
    padding = kernel // 2
    return [nn.Conv2d(channels, outputs, kernel, stride, padding, groups=groups), nn.PReLU(outputs)]


class _Bottleneck(nn.Module):
    """Inverted bottleneck with a depthwise convolution; residual where the stride is 1."""

    def __init__(self, channels: int, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = stride == 1
        self.layers = nn.Sequential(
            *_convolution(channels, width, 1),
            *_convolution(width, width, 3, stride, groups=width),
            nn.Conv2d(width, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileFaceNet(nn.Module):
    """Embeds images of faces.

    Arguments:
        landmarks: The five points of :data:`counterfactory.pretrained.alignment.FRAME` in every image, as shares of its
            side; None: images are in the frame of ArcFace already.
    """

    features = 512
    alignment: Tensor | None

    def __init__(self, landmarks: Sequence[Sequence[float]] | None = None) -> None:
        super().__init__()
        matrix = None if landmarks is None else similarity(landmarks)
        self.register_buffer("alignment", matrix, persistent=False)
        stages = []
        for channels, width, outputs, blocks in ((128, 128, 128, 4), (128, 256, 256, 6), (256, 512, 256, 2)):
            stages.append(_Bottleneck(channels, width, outputs, 2))
            # Only the block that halves the resolution is wider than its output.
            stages += [_Bottleneck(outputs, outputs, outputs, 1) for _ in range(blocks)]
        self.trunk = nn.Sequential(
            *_convolution(3, 128, 3, 2),
            *_convolution(128, 128, 3, groups=64),
            *stages,
            *_convolution(256, 512, 1),
            *_convolution(512, 64, 1),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.BatchNorm1d(512))

    def prepare(self, images: Tensor) -> Tensor:
        """Returns the input of the network, (B, 3, 112, 112) in [-1, 1], from images in [-1, 1], (B, 1 or 3, H, W)."""
        rgb = images.expand(-1, 3, -1, -1)
        if self.alignment is not None:
            return align(rgb, self.alignment)
        return F.interpolate(rgb, size=(SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the unit embeddings, (B, 512), of images in [-1, 1], (B, 1 or 3, H, W)."""
        return F.normalize(self.head(self.trunk(self.prepare(images)).contiguous()), dim=1)

r"""Defines the published face embedding ResNet-50, trained on VGGFace2 (Cao et al., 2018, arXiv:1710.08092).

It computes FVA and FS in published explanations of faces (Jeanneret et al., 2022, arXiv:2203.15636): 2,048 features,
the mean over 7 x 7 positions, without the layer of 8,631 identities. As converted from Caffe, the stride of a block is
in its first convolution, and the first pooling has no padding and rounds its size up. An image is resized to 224 px
(bilinear, rounded to integer grey levels, as in Pillow), its channels are ordered blue, green, red, and the means of
the training set are subtracted; it is not scaled.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["IDENTITIES", "MEANS", "SIZE", "VggFace2ResNet50"]

SIZE = 224  # px
MEANS = (91.4953, 103.8827, 131.0912)  # grey levels of blue, green, red
IDENTITIES = 8_631  # of a further layer in the published file, which is not used

_BLOCKS = {"layer1": (64, 3, 1), "layer2": (128, 4, 2), "layer3": (256, 6, 2), "layer4": (512, 3, 2)}
"""Width, number of blocks and stride of each stage. All names are those of the published file."""


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if channels != 4 * width:
            shortcut = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class VggFace2ResNet50(nn.Module):
    """Embeds images of faces."""

    features = 2_048
    means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for name, (width, blocks, stride) in _BLOCKS.items():
            first = _Bottleneck(channels, width, stride)
            channels = 4 * width
            setattr(
                self,
                name,
                nn.Sequential(first, *(_Bottleneck(channels, width, 1) for _ in range(blocks - 1))),
            )
        self.register_buffer("means", torch.tensor(MEANS)[:, None, None], persistent=False)

    def prepare(self, images: Tensor) -> Tensor:
        """Returns the input of the network, grey levels (B, 3, 224, 224), of images in [-1, 1], (B, 1 or 3, H, W)."""
        levels = (images.expand(-1, 3, -1, -1) + 1.0) * 127.5
        for size in ((images.shape[2], SIZE), (SIZE, SIZE)):
            # Pillow rounds (halves up) after the columns, and again after the rows.
            levels = (F.interpolate(levels, size=size, mode="bilinear", antialias=True) + 0.5).floor()
        return levels.flip(1) - self.means

    def forward(self, images: Tensor) -> Tensor:
        """Returns the unit embeddings, (B, 2048), of images in [-1, 1], (B, 1 or 3, H, W)."""
        y = F.relu(self.bn1(self.conv1(self.prepare(images))))
        y = F.max_pool2d(y, 3, 2, ceil_mode=True)
        for name in _BLOCKS:
            y = getattr(self, name)(y)
        return F.normalize(y.mean((2, 3)), dim=1)

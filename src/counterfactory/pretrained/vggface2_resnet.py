r"""The published network that tells faces apart: a ResNet-50 trained on VGGFace2 (Cao et al., 2018, arXiv:1710.08092).

It is the judge of FVA and FS in published explanations of faces (Jeanneret et al., 2022, arXiv:2203.15636): 2,048
features, the mean over 7 x 7 places, without the layer of 8,631 identities. As converted from Caffe, a block strides in
its first convolution, and the first pooling has no border and rounds up. An image is made 224 px large (bilinear, to
whole grey levels, as Pillow does), its channels are put in the order blue, green, red, and the training set's
means are taken off; it is not divided by anything.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["IDENTITIES", "MEANS", "SIZE", "VggFace2ResNet50"]

SIZE = 224  # px
MEANS = (91.4953, 103.8827, 131.0912)  # grey levels of blue, green, red
IDENTITIES = 8_631  # of the layer that the published file has besides, and that nobody asks

_BLOCKS = {"layer1": (64, 3, 1), "layer2": (128, 4, 2), "layer3": (256, 6, 2), "layer4": (512, 3, 2)}
"""Width, blocks and stride of each stage; its names are those of the published file, as all names here are."""


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
        """Returns what the network sees of images in [-1, 1], (B, 1 or 3, H, W): (B, 3, 224, 224), in grey levels."""
        levels = (images.expand(-1, 3, -1, -1) + 1.0) * 127.5
        for size in ((images.shape[2], SIZE), (SIZE, SIZE)):
            # Pillow rounds after the columns, and again after the rows, halves up.
            levels = (F.interpolate(levels, size=size, mode="bilinear", antialias=True) + 0.5).floor()
        return levels.flip(1) - self.means

    def forward(self, images: Tensor) -> Tensor:
        """Returns the unit embeddings, (B, 2048), of images in [-1, 1], (B, 1 or 3, H, W)."""
        y = F.relu(self.bn1(self.conv1(self.prepare(images))))
        y = F.max_pool2d(y, 3, 2, ceil_mode=True)
        for name in _BLOCKS:
            y = getattr(self, name)(y)
        return F.normalize(y.mean((2, 3)), dim=1)

"""DiME's oracle of 40 attributes of faces: ResNet-50 of VGGFace2 with 128 features, and a linear layer.

(VGGFace2: Cao et al., 2018, arXiv:1710.08092; DiVE: Rodriguez et al., 2021, arXiv:2103.10226; DiME: Jeanneret et al.,
2022, arXiv:2203.15636.) As converted from Caffe, the stride of a block is in its first convolution, and the first
pooling has no padding and rounds its size up. The oracle maps images from [-1, 1] to [0, 1], reverses the channels to
blue, green, red, subtracts the means of *red, green, blue* in this order, and resizes to 224 px (bicubic).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .foreign_state import renamed

__all__ = ["VggFace2Oracle", "rename_dime_oracle"]

_MEANS = (131.0912, 103.8827, 91.4953)  # grey levels; of red, green, blue, subtracted from blue, green, red
_SIZE = 224  # px
_BLOCKS = {2: (64, 3, 1), 3: (128, 4, 2), 4: (256, 6, 2), 5: (512, 3, 2)}
"""Width, number of blocks and stride of each stage, by its published number."""


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int, projected: bool) -> None:
        super().__init__()
        self.reduce = _layer(channels, width, 1, stride)
        self.middle = _layer(width, width, 3)
        self.increase = _layer(width, 4 * width, 1)
        self.proj = _layer(channels, 4 * width, 1, stride) if projected else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.increase(F.relu(self.middle(F.relu(self.reduce(x)))))
        return F.relu(h + (x if self.proj is None else self.proj(x)))


class VggFace2Oracle(nn.Module):
    """The network of the oracle.

    Arguments:
        outputs: The number of logits.
    """

    means: Tensor

    def __init__(self, outputs: int = 40) -> None:
        super().__init__()
        self.stem = _layer(3, 64, 7, 2)
        self.blocks = nn.ModuleList()
        channels = 64
        for width, count, stride in _BLOCKS.values():
            for number in range(count):
                self.blocks.append(_Bottleneck(channels, width, 1 if number else stride, not number))
                channels = 4 * width
        self.reduction = nn.Conv2d(channels, 128, 1, bias=False)
        self.head = nn.Linear(128, outputs)
        self.register_buffer("means", torch.tensor(_MEANS)[:, None, None] / 255.0, persistent=False)

    def prepare(self, images: Tensor) -> Tensor:
        """Returns the input of the network, (B, 3, 224, 224), of images in [-1, 1], (B, 3, H, W)."""
        shifted = (0.5 * (images + 1.0)).flip(1) - self.means
        return F.interpolate(shifted, size=(_SIZE, _SIZE), mode="bicubic", align_corners=False)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps after each stage, finest first, of images in [-1, 1], (B, 3, H, W)."""
        h = F.max_pool2d(F.relu(self.stem(self.prepare(images))), 3, 2, ceil_mode=True)
        ends, maps, number = {}, [], 0
        for stage, (_, count, _) in _BLOCKS.items():
            number += count
            ends[number] = stage
        for number, block in enumerate(self.blocks, 1):
            h = block(h)
            if number in ends:
                maps.append(h)
        return maps

    def features(self, images: Tensor) -> Tensor:
        """Returns the features before the last layer, (B, 128), of images in [-1, 1], (B, 3, H, W)."""
        pooled = self.stages(images)[-1].mean((2, 3), keepdim=True)
        return self.reduction(pooled).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits (B, outputs) of images in [-1, 1], (B, 3, H, W)."""
        return self.head(self.features(images))


def rename_dime_oracle(features: Mapping[str, Tensor], classifier: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns published weights by the names of :class:`VggFace2Oracle`.

    Arguments:
        features: The entry `feat_extract` of the checkpoint.
        classifier: The entry `classifier` of the checkpoint.
    """
    layers = {"1x1_reduce": "reduce", "3x3": "middle", "1x1_increase": "increase", "1x1_proj": "proj"}
    names = {"conv1_7x7_s2": "stem.0", "conv1_7x7_s2_bn": "stem.1", "feat_extract": "reduction"}
    number = 0
    for stage, (_, count, _) in _BLOCKS.items():
        for block in range(1, count + 1):
            for theirs, ours in layers.items():
                for suffix, part in (("", 0), ("_bn", 1)):
                    names[f"conv{stage}_{block}_{theirs}{suffix}"] = f"blocks.{number}.{ours}.{part}"
            number += 1
    return renamed(features, names) | renamed(classifier, lambda key, _: f"head.{key}")

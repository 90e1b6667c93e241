"""The convolutional blocks of the hierarchical VAE (VDVAE's, Child, 2021, arXiv:2011.10650, as used by causal-gen)."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Block", "convolution", "fold", "spread", "unfold"]


def fold(x: Tensor, patch: int) -> Tensor:
    """Folds p x p pixels into channels: (B, C, H, W) to (B, C p p, H / p, W / p), in channels-last memory.

    As `torch.nn.functional.pixel_unshuffle`, whose CPU kernel takes a quarter of a small network's time.
    """
    count, channels, height, width = x.shape
    x = x.reshape(count, channels, height // patch, patch, width // patch, patch)
    x = x.permute(0, 2, 4, 1, 3, 5).reshape(count, height // patch, width // patch, channels * patch**2)
    return x.permute(0, 3, 1, 2)


def unfold(x: Tensor, patch: int) -> Tensor:
    """Undoes :func:`fold`."""
    count, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(count, height, width, channels // patch**2, patch, patch)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(count, channels // patch**2, height * patch, width * patch)


def spread(layer: nn.Conv2d, x: Tensor, parents: Tensor) -> Tensor:
    """Applies a 1x1 convolution to (B, C, H, W) pixels joined with (B, P) parents, without joining them."""
    pixels, shared = layer.weight.split([x.shape[1], parents.shape[1]], dim=1)
    return F.conv2d(x, pixels, layer.bias) + F.linear(parents, shared[:, :, 0, 0])[:, :, None, None]


def convolution(channels_in: int, channels_out: int, kernel: int, scale: float = 1.0) -> nn.Conv2d:
    """Returns a size-preserving convolution with a zero bias and its initial weights multiplied by `scale`."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
    nn.init.zeros_(layer.bias)
    layer.weight.data.mul_(scale)
    return layer


class Block(nn.Module):
    r"""A pre-activation block, residual or not.

    `heavy`: GELU-1x1-GELU-kxk-GELU-kxk-GELU-1x1 through a bottleneck. `light`: two kxk convolutions through a
    bottleneck. On CPUs dense light blocks run five times the arithmetic of narrow heavy ones a second.

    Arguments:
        channels_in: Channels of the input.
        bottleneck: Channels in between.
        channels_out: Channels of the output.
        kernel: The kernel k of the inner convolutions.
        kind: `heavy` or `light`.
        residual: Whether the input is added, through a 1x1 projection where the width changes or `down` > 1.
        down: Average-pooling factor after the block.
        scale: Factor on the initial weights of the last convolution.
    """

    def __init__(
        self,
        channels_in: int,
        bottleneck: int,
        channels_out: int,
        kernel: int = 3,
        kind: Literal["heavy", "light"] = "heavy",
        residual: bool = True,
        down: int = 1,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.activation = F.gelu if kind == "heavy" else F.relu
        self.residual, self.down = residual, down
        if kind == "heavy":
            widths = [channels_in, bottleneck, bottleneck, bottleneck, channels_out]
            kernels = [1, kernel, kernel, 1]
        else:
            widths = [channels_in, bottleneck, channels_out]
            kernels = [kernel, kernel]
        self.layers = nn.ModuleList(
            convolution(widths[i], widths[i + 1], kernels[i], scale if i + 1 == len(kernels) else 1.0)
            for i in range(len(kernels))
        )
        changes = residual and (down > 1 or channels_in != channels_out)
        self.projection = convolution(channels_in, channels_out, 1) if changes else None

    def forward(self, *inputs: Tensor, parents: Tensor | None = None) -> Tensor:
        """Maps inputs of shape :math:`(B, C_i, H, W)` to :math:`(B, C', H / d, W / d)`.

        Several inputs, and parents :math:`(B, P)` spread over all pixels, act as their concatenation along channels
        would, without making it: the first convolution is linear, so each part is convolved by its own slice
        of the weights and parents, being constant over pixels, only add a bias an image. (At the border of a
        light block that bias is the one of the interior: parents are not padded with zeros.)
        """
        first = self.layers[0]
        if len(inputs) == 1 and parents is None:
            h = first(self.activation(inputs[0]))
        else:
            widths = [x.shape[1] for x in inputs] + ([] if parents is None else [parents.shape[1]])
            parts = first.weight.split(widths, dim=1)
            h = F.conv2d(self.activation(inputs[0]), parts[0], first.bias, padding=first.padding)
            for x, weight in zip(inputs[1:], parts[1:], strict=False):
                h = h + F.conv2d(self.activation(x), weight, padding=first.padding)
            if parents is not None:
                h = h + F.linear(self.activation(parents), parts[-1].sum((2, 3)))[:, :, None, None]
        for layer in self.layers[1:]:
            h = layer(self.activation(h))
        if self.residual:
            x = inputs[0]
            h = h + (x if self.projection is None else self.projection(x))
        return F.avg_pool2d(h, self.down) if self.down > 1 else h

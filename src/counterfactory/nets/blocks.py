r"""Convolutional building blocks that several networks share.

:class:`Block` is the pre-activation block of VDVAE (Child, 2021, arXiv:2011.10650), as used by causal-gen (De Sousa
Ribeiro et al., 2023, arXiv:2306.15764). The functions change the resolution of feature maps or add spatially constant
inputs.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Block", "convolution", "enlarge", "fold", "spread", "unfold"]


def fold(x: Tensor, patch: int) -> Tensor:
    """Moves p x p pixels into channels, in channels-last memory (space to depth).

    Equals `torch.nn.functional.pixel_unshuffle`, whose CPU kernel takes a quarter of the time of a small network.

    Arguments:
        x: Images with shape (B, C, H, W).
        patch: The side p of a square of pixels.

    Returns:
        Feature maps with shape (B, C p p, H / p, W / p).
    """
    count, channels, height, width = x.shape
    x = x.reshape(count, channels, height // patch, patch, width // patch, patch)
    x = x.permute(0, 2, 4, 1, 3, 5).reshape(count, height // patch, width // patch, channels * patch**2)
    return x.permute(0, 3, 1, 2)


def unfold(x: Tensor, patch: int) -> Tensor:
    """Inverts :func:`fold`: maps (B, C p p, H / p, W / p) to (B, C, H, W)."""
    count, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(count, height, width, channels // patch**2, patch, patch)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(count, channels // patch**2, height * patch, width * patch)


def enlarge(x: Tensor, size: int) -> Tensor:
    """Upsamples feature maps by nearest-neighbour interpolation.

    Equals `torch.nn.functional.interpolate`. In compiled networks that function is replaced by an expanded view,
    because inductor (PyTorch 2.13, CPU) computes a gradient of zero for it when a bfloat16 map is added to a float32
    map. Without compilation it is kept, because the sums of its float32 gradient have another order than those of the
    view.

    Arguments:
        x: Feature maps with shape (B, C, H, W).
        size: The height and width of the result in px.

    Returns:
        Feature maps with shape (B, C, size, size).
    """
    count, channels, height, width = x.shape
    if not torch.compiler.is_compiling() or size % height or size % width:
        return F.interpolate(x, size=size)
    x = x.permute(0, 2, 3, 1)[:, :, None, :, None]
    x = x.expand(count, height, size // height, width, size // width, channels)
    return x.reshape(count, size, size, channels).permute(0, 3, 1, 2)


def spread(layer: nn.Conv2d, x: Tensor, parents: Tensor) -> Tensor:
    """Applies a 1x1 convolution to the concatenation of feature maps and constant maps of the parents.

    The constant maps are not created: their contribution is one bias per image and channel.

    Arguments:
        layer: A 1x1 convolution of C + P input channels.
        x: Feature maps with shape (B, C, H, W).
        parents: Encoded parents with shape (B, P).
    """
    pixels, shared = layer.weight.split([x.shape[1], parents.shape[1]], dim=1)
    return F.conv2d(x, pixels, layer.bias) + F.linear(parents, shared[:, :, 0, 0])[:, :, None, None]


def convolution(channels_in: int, channels_out: int, kernel: int, scale: float = 1.0) -> nn.Conv2d:
    """Returns a size-preserving convolution with a zero bias and its initial weights multiplied by `scale`."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
    nn.init.zeros_(layer.get_parameter("bias"))
    layer.weight.data.mul_(scale)
    return layer


class Block(nn.Module):
    r"""A pre-activation convolutional block, optionally residual.

    `heavy` is GELU, 1x1, GELU, kxk, GELU, kxk, GELU, 1x1 with a bottleneck in between; `light` is two kxk convolutions
    with a bottleneck in between. On CPUs a wide light block reaches five times the arithmetic throughput of a narrow
    heavy one.

    Arguments:
        channels_in: Channels of the input.
        bottleneck: Channels of the inner feature maps.
        channels_out: Channels of the output.
        kernel: The kernel size k of the inner convolutions.
        kind: `heavy` or `light`.
        residual: Whether the input is added to the output. A 1x1 projection is applied to it where the number of
            channels changes or `down` > 1.
        down: Factor of the average pooling after the block; 1 for none.
        scale: Factor on the initial weights of the last convolution.
        border: How the constant maps of the parents continue beyond the border of a `light` block: with the same
            value (`constant`), or with zeros (`zeros`, as in causal-gen's networks of light blocks).
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
        border: Literal["constant", "zeros"] = "constant",
    ) -> None:
        super().__init__()
        self.border = border
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
        """Computes the block's output for one or several inputs.

        Several inputs are treated as their concatenation along channels, followed by constant maps of the parents.
        The concatenation is not created: the first convolution is linear, so each input is convolved with its slice of
        the weights, and the parents contribute one bias per image. At the border of a `light` block that bias is the
        one of the interior, that is, the constant maps are not padded with zeros, unless `border` is `zeros`.

        Arguments:
            inputs: Feature maps with shapes (B, C_i, H, W).
            parents: Encoded parents with shape (B, P), or None.

        Returns:
            Feature maps with shape (B, C', H / d, W / d), where d is `down`.
        """
        first: Any = self.layers[0]
        if len(inputs) == 1 and parents is None:
            h = first(self.activation(inputs[0]))
        else:
            widths = [x.shape[1] for x in inputs] + ([] if parents is None else [parents.shape[1]])
            parts = first.weight.split(widths, dim=1)
            h = F.conv2d(self.activation(inputs[0]), parts[0], first.bias, padding=first.padding)
            for x, weight in zip(inputs[1:], parts[1:], strict=False):
                h = h + F.conv2d(self.activation(x), weight, padding=first.padding)
            if parents is not None and self.border == "zeros":
                maps = self.activation(parents)[:, :, None, None].expand(-1, -1, *inputs[0].shape[2:])
                h = h + F.conv2d(maps, parts[-1], padding=first.padding)
            elif parents is not None:
                h = h + F.linear(self.activation(parents), parts[-1].sum((2, 3)))[:, :, None, None]
        for layer in self.layers[1:]:
            h = layer(self.activation(h))
        if self.residual:
            x = inputs[0]
            h = h + (x if self.projection is None else self.projection(x))
        return F.avg_pool2d(h, self.down) if self.down > 1 else h

"""Layers of the U-Net of a diffusion model: residual blocks, self-attention, resampling and stages."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import convolution

__all__ = ["AttentionBlock", "ConvolutionalResample", "Resample", "ResidualBlock", "Stage"]


def _resample(x: Tensor, way: Literal["down", "up", ""]) -> Tensor:
    if way == "down":
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, scale_factor=2, mode="nearest") if way == "up" else x


class ResidualBlock(nn.Module):
    """Two sequences of normalisation, SiLU and convolution, conditioned on an embedding; may change the resolution.

    Arguments:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        embedding: Width E of the embedding of time step and condition.
        groups: Groups of the normalisations.
        dropout: Dropout probability before the last convolution.
        resample: `down` (mean of 2 x 2 px), `up` (nearest neighbour), or the empty string for no change.
        shift_only: Whether the embedding is added before the second normalisation, instead of scaling and shifting its
            result.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        embedding: int,
        groups: int,
        dropout: float = 0.0,
        resample: Literal["down", "up", ""] = "",
        shift_only: bool = False,
    ) -> None:
        super().__init__()
        self.resample, self.shift_only = resample, shift_only
        self.norm_in = nn.GroupNorm(groups, channels_in)
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.modulation = nn.Linear(embedding, channels_out if shift_only else 2 * channels_out)
        self.norm_out = nn.GroupNorm(groups, channels_out)
        self.dropout = nn.Dropout(dropout)
        self.second = convolution(channels_out, channels_out, 3, scale=0.0)
        changes = channels_in != channels_out
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1) if changes else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps (B, C, H, W) and an activated embedding (B, E) to (B, C', H', W')."""
        h = self.first(_resample(F.silu(self.norm_in(x)), self.resample))
        modulation = self.modulation(embedding)[:, :, None, None].to(h.dtype)
        if self.shift_only:
            h = self.norm_out(h + modulation)
        else:
            scale, offset = modulation.chunk(2, dim=1)
            h = torch.addcmul(offset, self.norm_out(h), 1.0 + scale)
        return self.shortcut(_resample(x, self.resample)) + self.second(self.dropout(F.silu(h)))


class AttentionBlock(nn.Module):
    """Residual self-attention over all pixels of a feature map.

    Arguments:
        channels: Channels of the map; a multiple of `heads`.
        heads: The number of attention heads.
        groups: Groups of the normalisation.
    """

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.project_in = nn.Linear(channels, 3 * channels)
        self.project_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.project_out.weight)
        nn.init.zeros_(self.project_out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        count, channels, height, width = x.shape
        tokens = self.norm(x).permute(0, 2, 3, 1).reshape(count, height * width, channels)
        query, key, value = (
            self.project_in(tokens)
            .reshape(count, height * width, 3, self.heads, channels // self.heads)
            .permute(2, 0, 3, 1, 4)
        )  # each (B, heads, H W, C / heads)
        h = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(tokens.shape)
        return x + self.project_out(h).reshape(count, height, width, channels).permute(0, 3, 1, 2)


class Resample(nn.Module):
    """Halves (mean of 2 x 2 px) or doubles (nearest neighbour) the resolution; has no weights."""

    def __init__(self, way: Literal["down", "up"]) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H / 2, W / 2) or (B, C, 2 H, 2 W)."""
        return _resample(x, self.way)


class ConvolutionalResample(nn.Module):
    """Halves the resolution by a strided convolution, or doubles it (nearest neighbour) before a convolution."""

    def __init__(self, way: Literal["down", "up"], channels: int) -> None:
        super().__init__()
        self.way = way
        self.convolution = nn.Conv2d(channels, channels, 3, stride=2 if way == "down" else 1, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H / 2, W / 2) or (B, C, 2 H, 2 W)."""
        return self.convolution(x if self.way == "down" else _resample(x, "up"))


class Stage(nn.Module):
    """A block, optionally followed by self-attention, with its skip connections.

    Arguments:
        block: A :class:`ResidualBlock`, :class:`Resample` or :class:`ConvolutionalResample`.
        attend: An :class:`AttentionBlock` or None.
        skip_out: Whether the output is stored for the decoder.
        skip_in: Whether the input is concatenated with the map that was stored last.
    """

    def __init__(
        self,
        block: nn.Module,
        attend: nn.Module | None = None,
        skip_out: bool = False,
        skip_in: bool = False,
    ) -> None:
        super().__init__()
        self.block, self.attend = block, attend
        self.skip_out, self.skip_in = skip_out, skip_in

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps (B, C, H, W) and an activated embedding (B, E) to (B, C', H', W')."""
        h = self.block(x, embedding)
        return h if self.attend is None else self.attend(h)

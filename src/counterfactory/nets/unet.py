r"""The U-Net of denoising diffusion: predicts the noise in an image, and how uncertain the step back is.

Residual blocks on an encoder and a decoder joined at every block, self-attention at some resolutions, and the
time (and, if there is one, a condition) acting on every block through scale and shift of a group normalisation:

.. math:: h \leftarrow \big(1 + a(t, c)\big)\, \mathrm{GroupNorm}(h) + b(t, c)

(Dhariwal and Nichol, 2021, arXiv:2105.05233, "ablated diffusion model", after Ho et al., 2020, arXiv:2006.11239.)
The condition's embedding is added to the time's, as in CausalDiffAE (Komanduri et al., 2024, arXiv:2404.17735).
With 128 px, width 128, multipliers 1, 1, 2, 3, 4, two blocks, attention at 32, 16 and 8 px, four heads and learned
variance it has the 105,198,598 weights of DiME's network for faces (Jeanneret et al., 2022, arXiv:2203.15636).

Beyond the published network there is what makes a call cheap on CPUs. `patch` folds p x p pixels into channels at
both ends, so that nothing convolves at full resolution. `skips: level` joins encoder and decoder once a resolution and
resamples without blocks. `groups: 1`: with more, PyTorch's normalisation of channels-last maps costs more than the
convolutions.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import convolution, fold, unfold
from .unet_sizes import check_sizes

__all__ = ["UNet", "timestep_embedding"]


def timestep_embedding(t: Tensor, width: int, longest: float = 10_000.0) -> Tensor:
    r"""Returns :math:`[\cos(t\,\omega_k), \sin(t\,\omega_k)]` with :math:`\omega_k` from 1 down to 1 / `longest`.

    Arguments:
        t: Time steps with shape (B,).
        width: The even number of columns.
        longest: The longest period over :math:`2 \pi`.

    Returns:
        Float32 features with shape (B, `width`). (Vaswani et al., 2017, arXiv:1706.03762, section 3.5.)
    """
    half = width // 2
    frequencies = torch.exp(-math.log(longest) * torch.arange(half, device=t.device) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _resample(x: Tensor, way: Literal["down", "up", ""]) -> Tensor:
    if way == "down":
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, scale_factor=2, mode="nearest") if way == "up" else x


class ResidualBlock(nn.Module):
    """Norm-SiLU-convolution twice, told of the time in between; may halve or double the resolution on its way.

    Arguments:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        embedding: Width of the embedding of time and condition.
        groups: Groups of the normalisations.
        dropout: Share of features dropped before the last convolution.
        resample: `down` (mean of 2 x 2 px), `up` (nearest) or `` (neither).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        embedding: int,
        groups: int,
        dropout: float = 0.0,
        resample: Literal["down", "up", ""] = "",
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm_in = nn.GroupNorm(groups, channels_in)
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels_out)
        self.norm_out = nn.GroupNorm(groups, channels_out)
        self.dropout = nn.Dropout(dropout)
        self.second = convolution(channels_out, channels_out, 3, scale=0.0)
        changes = channels_in != channels_out
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1) if changes else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps (B, C, H, W) and an activated embedding (B, E) to (B, C', H', W')."""
        h = self.first(_resample(F.silu(self.norm_in(x)), self.resample))
        scale, offset = self.modulation(embedding)[:, :, None, None].to(h.dtype).chunk(2, dim=1)
        h = torch.addcmul(offset, self.norm_out(h), 1.0 + scale)
        return self.shortcut(_resample(x, self.resample)) + self.second(self.dropout(F.silu(h)))


class AttentionBlock(nn.Module):
    """Self-attention over all pixels of a feature map, added to it.

    Arguments:
        channels: Channels of the map, a multiple of `heads`.
        heads: Attention heads.
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
    """Halves (mean of 2 x 2 px) or doubles (nearest) the resolution, and learns nothing."""

    def __init__(self, way: Literal["down", "up"]) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H / 2, W / 2) or (B, C, 2 H, 2 W)."""
        return _resample(x, self.way)


class Stage(nn.Module):
    """A block and what follows it, and whether encoder and decoder are joined there.

    Arguments:
        block: A :class:`ResidualBlock` or :class:`Resample`.
        attend: An :class:`AttentionBlock`, or nothing.
        hands: Whether the output is kept for the decoder.
        takes: Whether the input is joined with what was kept last.
    """

    def __init__(
        self, block: nn.Module, attend: nn.Module | None = None, hands: bool = False, takes: bool = False
    ) -> None:
        super().__init__()
        self.block, self.attend = block, attend
        self.hands, self.takes = hands, takes

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps feature maps (B, C, H, W) and an activated embedding (B, E) to feature maps."""
        h = self.block(x, embedding)
        return h if self.attend is None else self.attend(h)


class UNet(nn.Module):
    """A denoising network, called with noisy images and their time steps.

    Arguments:
        shape: The shape (C, H, W) of an image.
        width: Channels at the finest resolution, before multiplying.
        multipliers: Factors on `width`, one a resolution, finest first; each resolution is half the one before.
        blocks: Residual blocks of the encoder at each resolution.
        attention: Resolutions in px (of the feature maps) whose blocks are followed by self-attention.
            Where there is any, the middle block has it too; none: nowhere.
        heads: Attention heads.
        patch: Squares of this many px are folded into channels at both ends.
        groups: Groups of the normalisations; every width must be a multiple.
        skips: `block`: the decoder is handed the output of every block of the encoder, has one block more at each
            resolution, and blocks resample (published); `level`: it is handed the last output of each resolution,
            has as many blocks, and nothing is learned in resampling.
        dropout: Share of features dropped in each block.
        learned_variance: Whether there are C more outputs, which interpolate the step's log variance.
        condition: The width F of the vector the network is told beside the time; 0 for none.

    Raises:
        ValueError: If the sizes do not fit the images or each other.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int] = (),
        heads: int = 4,
        patch: int = 1,
        groups: int = 32,
        skips: Literal["block", "level"] = "block",
        dropout: float = 0.0,
        learned_variance: bool = True,
        condition: int = 0,
    ) -> None:
        super().__init__()
        if shape[1] != shape[2]:
            raise ValueError(f"images are {shape[1]} x {shape[2]} px; the U-Net needs equal sides")
        check_sizes(shape[1], width, multipliers, attention, heads, patch, groups)
        self.shape, self.width, self.patch = tuple(shape), width, patch
        self.learned_variance, self.condition = learned_variance, condition
        self.stem_is_joined = skips == "block"
        embedding = 4 * width
        self.time = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.told = nn.Linear(condition, embedding) if condition else None

        def block(inputs: int, outputs: int, resample: Literal["down", "up", ""] = "") -> ResidualBlock:
            return ResidualBlock(inputs, outputs, embedding, groups, dropout, resample)

        def attend(channels: int, side: int) -> AttentionBlock | None:
            return AttentionBlock(channels, heads, groups) if side in attention else None

        widths = [width * factor for factor in multipliers]
        every = skips == "block"
        side, channels = shape[1] // patch, widths[0]
        self.stem = nn.Conv2d(shape[0] * patch**2, channels, 3, padding=1)
        joined = [channels] if every else []  # the channels of what the encoder hands to the decoder
        self.encoder = nn.ModuleList()
        for level, wide in enumerate(widths):
            for number in range(blocks):
                hands = every or number + 1 == blocks and level + 1 < len(widths)
                self.encoder.append(Stage(block(channels, wide), attend(wide, side), hands=hands))
                channels = wide
                joined += [channels] if hands else []
            if level + 1 < len(widths):
                down = block(channels, channels, "down") if every else Resample("down")
                self.encoder.append(Stage(down, hands=every))
                joined += [channels] if every else []
                side //= 2
        between = AttentionBlock(channels, heads, groups) if attention else None
        self.middle = nn.ModuleList([Stage(block(channels, channels), between), block(channels, channels)])
        self.decoder = nn.ModuleList()
        for level, wide in reversed(list(enumerate(widths))):
            if not every and level + 1 < len(widths):
                self.decoder.append(Stage(Resample("up")))
            for number in range(blocks + 1 if every else blocks):
                takes = every or number == 0 and level + 1 < len(widths)
                inputs = channels + joined.pop() if takes else channels
                self.decoder.append(Stage(block(inputs, wide), attend(wide, side), takes=takes))
                channels = wide
            if every and level:
                self.decoder.append(Stage(block(wide, wide, "up")))
            side *= 2
        self.norm = nn.GroupNorm(groups, channels)
        outputs = shape[0] * patch**2 * (2 if learned_variance else 1)
        self.head = convolution(channels, outputs, 3, scale=0.0)
        self.to(memory_format=torch.channels_last)

    def lower(self, dtype: torch.dtype) -> "UNet":
        """Casts the weights, in place, for calls without gradient: all but the embeddings and the last layer.

        These two cost little, and decide how finely steps are told apart and noise is predicted.
        """
        for part in (self.stem, self.encoder, self.middle, self.decoder, self.norm):
            part.to(dtype)
        return self

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Predicts the noise.

        Arguments:
            x: Noisy images with shape (B, C, H, W).
            t: Time steps, as numbered in training, with shape (B,).
            condition: What the network is told, with shape (B, F); None is the null condition, all zero.

        Returns:
            The noise and, with learned variance, the interpolation in [-1, 1]: (B, C or 2 C, H, W), in the type of `x`.
        """
        embedding = self.time(timestep_embedding(t, self.width))
        if self.told is not None:
            if condition is None:
                condition = embedding.new_zeros(len(x), self.condition)
            embedding = embedding + self.told(condition.to(embedding.dtype))
        elif condition is not None:
            raise ValueError("this network was made without a condition")
        embedding = F.silu(embedding).to(self.stem.weight.dtype)
        h = x.to(self.stem.weight.dtype)
        h = self.stem(fold(h, self.patch) if self.patch > 1 else h)
        joined = [h] if self.stem_is_joined else []
        for stage in self.encoder:
            h = stage(h, embedding)
            if stage.hands:
                joined.append(h)
        for block in self.middle:
            h = block(h, embedding)
        for stage in self.decoder:
            h = stage(torch.cat([h, joined.pop()], dim=1) if stage.takes else h, embedding)
        h = self.head(F.silu(self.norm(h)).to(self.head.weight.dtype)).to(x.dtype)
        if self.patch == 1:
            return h
        # Each half is unfolded by itself, so that the first C channels are the noise.
        parts = h.chunk(2 if self.learned_variance else 1, dim=1)
        return torch.cat([unfold(part, self.patch) for part in parts], dim=1)

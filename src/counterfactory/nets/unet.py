r"""U-Net of a diffusion model: predicts the noise in an image and, optionally, the variance of the reverse step.

An encoder and a decoder of residual blocks with skip connections, self-attention at some resolutions, and a group
normalisation in every block whose scale and shift depend on the time step t and an optional condition c:

.. math:: h \leftarrow \big(1 + a(t, c)\big)\, \mathrm{GroupNorm}(h) + b(t, c)

(Dhariwal and Nichol, 2021, arXiv:2105.05233, "ablated diffusion model", after Ho et al., 2020, arXiv:2006.11239.) The
embedding of the condition is added to that of the time step, as in CausalDiffAE (Komanduri et al., 2024,
arXiv:2404.17735). For images of 128 px, with width 128, multipliers 1, 1, 2, 3, 4, two blocks, attention at 32, 16 and
8 px, four heads and learned variance, it has 105,198,598 weights, as many as DiME's network for faces (Jeanneret et
al., 2022, arXiv:2203.15636).

Three options beyond the published network reduce the cost on CPUs. `patch` folds p x p pixels into channels at the
input and the output, so that no convolution runs at full resolution. `skips: level` uses one skip connection for each
resolution and resamples without residual blocks. `groups: 1` is faster, because with more groups PyTorch's group
normalisation of channels-last maps costs more than the convolutions.
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

    (Vaswani et al., 2017, arXiv:1706.03762, section 3.5.)

    Arguments:
        t: Time steps with shape (B,).
        width: The number of columns; even.
        longest: The longest period, divided by :math:`2 \pi`.

    Returns:
        Float32 features with shape (B, `width`).
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
    """Two sequences of normalisation, SiLU and convolution, conditioned on an embedding; may change the resolution.

    Arguments:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        embedding: Width E of the embedding of time step and condition.
        groups: Groups of the normalisations.
        dropout: Dropout probability before the last convolution.
        resample: `down` (mean of 2 x 2 px), `up` (nearest neighbour), or the empty string for no change.
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


class Stage(nn.Module):
    """A block, optionally followed by self-attention, with its skip connections.

    Arguments:
        block: A :class:`ResidualBlock` or :class:`Resample`.
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


class UNet(nn.Module):
    """A U-Net that predicts noise from noisy images and their time steps.

    Arguments:
        shape: The shape (C, H, W) of an image.
        width: Channels at the finest resolution, before multiplying.
        multipliers: Factors on `width`, one for each resolution, finest first; each resolution is half the previous.
        blocks: Residual blocks of the encoder at each resolution.
        attention: Resolutions of feature maps, in px, whose blocks are followed by self-attention. If any is given,
            the middle block has self-attention too.
        heads: The number of attention heads.
        patch: The side, in px, of the squares that are folded into channels at the input and the output.
        groups: Groups of the normalisations; each number of channels must be a multiple of it.
        skips: `block` (published): every block of the encoder has a skip connection, the decoder has one more block at
            each resolution, and residual blocks resample. `level`: one skip connection for each resolution, as many
            blocks in the decoder as in the encoder, and resampling without weights.
        dropout: Dropout probability in each block.
        learned_variance: Whether the network has C more output channels, which interpolate the log variance of the
            reverse step.
        condition: The width F of the vector that the network is conditioned on; 0 for none.

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
        self.condition_projection = nn.Linear(condition, embedding) if condition else None

        def block(inputs: int, outputs: int, resample: Literal["down", "up", ""] = "") -> ResidualBlock:
            return ResidualBlock(inputs, outputs, embedding, groups, dropout, resample)

        def attend(channels: int, side: int) -> AttentionBlock | None:
            return AttentionBlock(channels, heads, groups) if side in attention else None

        widths = [width * factor for factor in multipliers]
        every = skips == "block"
        side, channels = shape[1] // patch, widths[0]
        self.stem = nn.Conv2d(shape[0] * patch**2, channels, 3, padding=1)
        joined = [channels] if every else []  # channels of the skip connections
        self.encoder = nn.ModuleList()
        for level, wide in enumerate(widths):
            for number in range(blocks):
                skip = every or number + 1 == blocks and level + 1 < len(widths)
                self.encoder.append(Stage(block(channels, wide), attend(wide, side), skip_out=skip))
                channels = wide
                joined += [channels] if skip else []
            if level + 1 < len(widths):
                down = block(channels, channels, "down") if every else Resample("down")
                self.encoder.append(Stage(down, skip_out=every))
                joined += [channels] if every else []
                side //= 2
        between = AttentionBlock(channels, heads, groups) if attention else None
        self.middle = nn.ModuleList([Stage(block(channels, channels), between), block(channels, channels)])
        self.decoder = nn.ModuleList()
        for level, wide in reversed(list(enumerate(widths))):
            if not every and level + 1 < len(widths):
                self.decoder.append(Stage(Resample("up")))
            for number in range(blocks + 1 if every else blocks):
                skip = every or number == 0 and level + 1 < len(widths)
                inputs = channels + joined.pop() if skip else channels
                self.decoder.append(Stage(block(inputs, wide), attend(wide, side), skip_in=skip))
                channels = wide
            if every and level:
                self.decoder.append(Stage(block(wide, wide, "up")))
            side *= 2
        self.norm = nn.GroupNorm(groups, channels)
        outputs = shape[0] * patch**2 * (2 if learned_variance else 1)
        self.head = convolution(channels, outputs, 3, scale=0.0)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def cast(self, dtype: torch.dtype) -> "UNet":
        """Casts all weights but the embeddings and the last layer, in place, for inference.

        The embeddings and the last layer stay in float32: their cost is small, and they limit the precision with which
        time steps are distinguished and noise is predicted.

        Arguments:
            dtype: `torch.bfloat16` or `torch.float32`.
        """
        for part in (self.stem, self.encoder, self.middle, self.decoder, self.norm):
            part.to(dtype)
        return self

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Predicts the noise.

        Arguments:
            x: Noisy images with shape (B, C, H, W).
            t: Time steps, as numbered in training, with shape (B,).
            condition: The condition with shape (B, F); None is the null condition, all zeros.

        Returns:
            The noise with shape (B, C, H, W) or, with learned variance, the noise and the interpolation weight in
            [-1, 1] with shape (B, 2 C, H, W), in the type of `x`.

        Raises:
            ValueError: If a condition is passed to an unconditional network.
        """
        embedding = self.time(timestep_embedding(t, self.width))
        if self.condition_projection is not None:
            if condition is None:
                condition = embedding.new_zeros(len(x), self.condition)
            embedding = embedding + self.condition_projection(condition.to(embedding.dtype))
        elif condition is not None:
            raise ValueError("condition: this network is unconditional; leave it out")
        embedding = F.silu(embedding).to(self.stem.weight.dtype)
        h = x.to(self.stem.weight.dtype)
        h = self.stem(fold(h, self.patch) if self.patch > 1 else h)
        joined = [h] if self.stem_is_joined else []
        for stage in self.encoder:
            h = stage(h, embedding)
            if stage.skip_out:
                joined.append(h)
        for block in self.middle:
            h = block(h, embedding)
        for stage in self.decoder:
            h = stage(torch.cat([h, joined.pop()], dim=1) if stage.skip_in else h, embedding)
        h = self.head(F.silu(self.norm(h)).to(self.head.weight.dtype)).to(x.dtype)
        if self.patch == 1:
            return h
        # Both halves are unfolded separately, so that the first C channels are the noise.
        parts = h.chunk(2 if self.learned_variance else 1, dim=1)
        return torch.cat([unfold(part, self.patch) for part in parts], dim=1)

r"""U-Net of a diffusion model: predicts the noise in an image and, optionally, the variance of the reverse step.

An encoder and a decoder of residual blocks with skip connections, self-attention at some resolutions, and a group
normalisation in every block whose scale and shift depend on the time step t and an optional condition c:

.. math:: h \leftarrow \big(1 + a(t, c)\big)\, \mathrm{GroupNorm}(h) + b(t, c)

(Dhariwal and Nichol, 2021, arXiv:2105.05233, "ablated diffusion model", after Ho et al., 2020, arXiv:2006.11239.) The
embedding of the condition is added to that of the time step, as in CausalDiffAE (Komanduri et al., 2024,
arXiv:2404.17735). For images of 128 px, with width 128, multipliers 1, 1, 2, 3, 4, two blocks, attention at 32, 16 and
8 px, four heads and learned variance, it has 105,198,598 weights, as many as DiME's network for faces (Jeanneret et
al., 2022, arXiv:2203.15636).

`conv_resample`, `shift_only`, `head_channels`, `heads_up` and `classes` are the other variants of guided-diffusion's
network (:mod:`counterfactory.pretrained.guided_diffusion`).

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
from .unet_layers import AttentionBlock, ConvolutionalResample, Resample, ResidualBlock, Stage
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
        conv_resample: Whether convolutions without residual resample (guided-diffusion's `resblock_updown False`); for
            `skips: block` only.
        shift_only: Whether the embedding is added to the features (guided-diffusion's `use_scale_shift_norm False`).
        head_channels: Channels of an attention head; replaces `heads` unless it is 0.
        heads_up: The number of attention heads of the decoder; 0: `heads`.
        classes: The number of rows of a table of class embeddings; 0: none.
        label: The class of images for which :meth:`forward` gets none.
        time_scale: Factor on the time steps (guided-diffusion's `rescale_timesteps`: 1000 / T).

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
        conv_resample: bool = False,
        shift_only: bool = False,
        head_channels: int = 0,
        heads_up: int = 0,
        classes: int = 0,
        label: int = 0,
        time_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if shape[1] != shape[2]:
            raise ValueError(f"images are {shape[1]} x {shape[2]} px; the U-Net needs equal sides")
        for divisor in (head_channels,) if head_channels else (heads, heads_up or heads):
            check_sizes(shape[1], width, multipliers, attention, divisor, patch, groups)
        if classes and not 0 <= label < classes:
            raise ValueError(f"label is {label}; choose one from 0 to {classes - 1}")
        if conv_resample and skips != "block":
            raise ValueError("conv_resample needs skips: block")
        self.label, self.time_scale = label, time_scale
        self.shape, self.width, self.patch = tuple(shape), width, patch
        self.learned_variance, self.condition = learned_variance, condition
        self.stem_is_joined = skips == "block"
        embedding = 4 * width
        self.time = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.condition_projection = nn.Linear(condition, embedding) if condition else None
        self.class_embedding = nn.Embedding(classes, embedding) if classes else None

        def block(inputs: int, outputs: int, resample: Literal["down", "up", ""] = "") -> nn.Module:
            if resample and conv_resample:
                return ConvolutionalResample(resample, outputs)
            return ResidualBlock(inputs, outputs, embedding, groups, dropout, resample, shift_only)

        def attention_block(channels: int, count: int) -> AttentionBlock:
            return AttentionBlock(channels, channels // head_channels if head_channels else count, groups)

        def attend(channels: int, side: int, count: int = heads) -> AttentionBlock | None:
            return attention_block(channels, count) if side in attention else None

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
        between = attention_block(channels, heads) if attention else None
        self.middle = nn.ModuleList([Stage(block(channels, channels), between), block(channels, channels)])
        self.decoder = nn.ModuleList()
        for level, wide in reversed(list(enumerate(widths))):
            if not every and level + 1 < len(widths):
                self.decoder.append(Stage(Resample("up")))
            for number in range(blocks + 1 if every else blocks):
                skip = every or number == 0 and level + 1 < len(widths)
                inputs = channels + joined.pop() if skip else channels
                joint = block(inputs, wide)
                self.decoder.append(Stage(joint, attend(wide, side, heads_up or heads), skip_in=skip))
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
            condition: The condition with shape (B, F), or classes with shape (B,), int64; None is the null condition,
                all zeros, or the class `label`.

        Returns:
            The noise with shape (B, C, H, W) or, with learned variance, the noise and the interpolation weight in
            [-1, 1] with shape (B, 2 C, H, W), in the type of `x`.

        Raises:
            ValueError: If a condition is passed to an unconditional network.
        """
        embedding = self.time(
            timestep_embedding(t if self.time_scale == 1.0 else t * self.time_scale, self.width)
        )
        if self.class_embedding is not None:
            labels = t.new_full(t.shape, self.label, dtype=torch.int64) if condition is None else condition
            embedding = embedding + self.class_embedding(labels)
        elif self.condition_projection is not None:
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

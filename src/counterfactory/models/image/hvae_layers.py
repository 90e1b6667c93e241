"""Layers of the hierarchical VAE: the bottom-up encoder and the stochastic blocks of the top-down decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ...nets.blocks import Block, convolution, spread
from ...nets.latents import Gaussian

__all__ = ["DecoderBlock", "DecoderSizes", "Encoder"]


class Encoder(nn.Module):
    """Bottom-up path: returns the feature maps of every resolution, finest first.

    Arguments:
        channels: Channels of the input.
        resolutions: Sizes of the feature maps in px, finest first.
        widths: Channels at each resolution.
        blocks: The number of blocks at each resolution.
        bottleneck: Factor by which blocks are narrowed inside.
        kind: `heavy` or `light` (:class:`counterfactory.nets.blocks.Block`).
    """

    def __init__(
        self,
        channels: int,
        resolutions: Sequence[int],
        widths: Sequence[int],
        blocks: Sequence[int],
        bottleneck: int,
        kind: Literal["heavy", "light"],
    ) -> None:
        super().__init__()
        self.stem = convolution(channels, widths[0], 7)
        scale = (1.0 / sum(blocks)) ** 0.5
        self.stages = nn.ModuleList()
        for i, (resolution, width, count) in enumerate(zip(resolutions, widths, blocks, strict=True)):
            last = i + 1 == len(resolutions)
            stage = []
            for j in range(count):
                leaves = not last and j + 1 == count
                down = resolution // resolutions[i + 1] if leaves else 1
                out = widths[i + 1] if leaves else width
                # 3x3 also on 1x1 maps, where only the centre weight has an effect, as in the published network.
                stage.append(Block(width, max(1, width // bottleneck), out, 3, kind, down=down, scale=scale))
            self.stages.append(nn.ModuleList(stage))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps (B, C, H, W) to one feature map for each resolution, the last one before it is pooled."""
        h = self.stem(x)
        activations = []
        stage: Any
        for i, stage in enumerate(self.stages):
            last = i + 1 == len(self.stages)
            # The last block of a stage pools; the decoder receives the feature map before it.
            for block in stage if last else stage[:-1]:
                h = block(h)
            activations.append(h)
            if not last:
                h = stage[-1](h)
        return activations


@dataclass(frozen=True)
class DecoderSizes:
    """Sizes of one decoder block.

    Arguments:
        width: Channels of the input.
        out: Channels of the output.
        resolution: Height and width of the feature maps in px.
        latent: Latent channels Z; 0 for a deterministic block.
    """

    width: int
    out: int
    resolution: int
    latent: int


class DecoderBlock(nn.Module):
    """One top-down block: prior, posterior, sample, and the update of both states.

    The main state h leads to the image; the prior state depends on the latents only (and, for a conditional prior, on
    the parents). A block without latents conditions the main state on the parents and refines it.

    Arguments:
        sizes: The sizes of the block.
        parents: The width P of the encoded parents.
        bottleneck: Factor by which the block is narrowed inside.
        kind: `heavy` or `light` (:class:`counterfactory.nets.blocks.Block`).
        conditional: Whether the prior is conditioned on the parents.
        scale: Factor on the initial weights of the last convolution.
        border: Border of the maps of the parents in light blocks (:class:`counterfactory.nets.blocks.Block`).
        q_correction: Whether the prior reads the main state; there is no prior state then.
        stochastic: Whether z is drawn. If not, there is no posterior, and z is the location of the prior.
    """

    def __init__(
        self,
        sizes: DecoderSizes,
        parents: int,
        bottleneck: int,
        kind: Literal["heavy", "light"],
        conditional: bool,
        scale: float,
        border: Literal["constant", "zeros"] = "constant",
        q_correction: bool = False,
        stochastic: bool = True,
    ) -> None:
        super().__init__()
        self.q_correction, self.stochastic = q_correction, stochastic
        width, out, latent = sizes.width, sizes.out, sizes.latent
        inner, kernel = max(1, width // bottleneck), 3 if sizes.resolution > 2 else 1
        self.resolution, self.latent = sizes.resolution, latent
        self.conditional = conditional and latent > 0
        self.body = Block(width, inner, out, kernel, kind, scale=scale)
        self.from_latent = convolution(self.latent + parents, width, 1, scale)
        if not latent:
            return
        context = parents if conditional else 0
        self.prior = Block(
            width + context,
            inner,
            2 * latent + width,
            kernel,
            kind,
            residual=False,
            scale=0.0,
            border=border,
        )
        if stochastic:
            self.posterior = Block(
                2 * width + parents, inner, 2 * latent, kernel, kind, residual=False, border=border
            )
        if not q_correction:
            self.to_prior = convolution(latent + width, out, 1)

    def gaussians(
        self, h: Tensor, state: Tensor, activation: Tensor | None, parents: Tensor, prior_parents: Tensor
    ) -> tuple[Gaussian, Tensor, Gaussian | None]:
        """Returns the prior, its features, and the posterior (None without an encoder activation).

        Arguments:
            h: The main state with shape (B, C, H, W).
            state: The prior state with shape (B, C, H, W).
            activation: The encoder's feature map with shape (B, C, H, W), or None.
            parents: Encoded parents (B, P), input of the posterior.
            prior_parents: Encoded parents (B, P), input of a conditional prior.
        """
        prior_input = h if self.q_correction else state
        p = self.prior(prior_input, parents=prior_parents if self.conditional else None)
        location, log_scale, features = p.split(
            [self.latent, self.latent, p.shape[1] - 2 * self.latent], dim=1
        )
        q = None
        if activation is not None and self.stochastic:
            q = tuple(self.posterior(h, activation, parents=parents).chunk(2, dim=1))
        return (location, log_scale), features, q

    def refine(self, h: Tensor, parents: Tensor) -> Tensor:
        """Returns the next main state of a block without latents."""
        return self.body(
            h
            + F.linear(parents, self.from_latent.weight[:, :, 0, 0], self.from_latent.bias)[:, :, None, None]
        )

    def advance(self, h: Tensor, z: Tensor, features: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the next main state and the next prior state, given the sample z (B, Z, H, W)."""
        h = self.body(h + features + spread(self.from_latent, z, parents))
        if self.q_correction:
            return h, h
        weights = self.to_prior.weight.split([z.shape[1], features.shape[1]], dim=1)
        state = F.conv2d(z, weights[0], self.to_prior.bias) + F.conv2d(features, weights[1])
        return h, state

r"""The hierarchical VAE as an image mechanism :math:`x = f(z_{1:L}, \mathrm{pa}, \epsilon)`.

A bottom-up encoder and a top-down decoder (VDVAE) with L stochastic layers,

.. math:: \mathrm{ELBO} = \mathbb{E}_{q}\big[\log p(x \mid z_{1:L}, \mathrm{pa})\big]
          - \sum_{l} \mathrm{KL}\big(q(z_l \mid z_{<l}, x, \mathrm{pa}) \,\|\, p(z_l \mid z_{<l} [, \mathrm{pa}])\big).

With the *exogenous* prior the chain of :math:`z` never sees the parents, so :math:`z` is exogenous noise and
is kept in a counterfactual; with the *conditional* prior :math:`z` is a mediator between parents and image
(De Sousa Ribeiro et al., ICML 2023, arXiv:2306.15764, sections 3.1-3.2). The published Morpho-MNIST sizes are
five resolutions 32, 16, 8, 4, 1 with 16 to 256 channels, four blocks each, 16 latent channels: 2,041,122
weights (2,047,074 conditional).

Beyond the published network, `patch` folds p x p pixels into channels at both ends, so that nothing convolves
at full resolution; the options of the output stand in :mod:`counterfactory.nets.head`.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...nets.blocks import Block, convolution, fold, spread
from ...nets.head import Head
from ...nets.latents import Gaussian, Latent, draw, gaussian_kl, mix
from ...nets.likelihood import discretised_gaussian_nll
from . import native

__all__ = ["Hvae"]

Sampler = Callable[[int, Gaussian, Gaussian | None], Tensor]


class Encoder(nn.Module):
    """The bottom-up path: activations of every resolution, finest first."""

    def __init__(
        self,
        channels: int,
        resolutions: Sequence[int],
        widths: Sequence[int],
        blocks: Sequence[int],
        bottleneck: int,
        kind: str,
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
                # 3x3 even on 1x1 maps, where the rim never acts: the published sizes count it.
                stage.append(Block(width, max(1, width // bottleneck), out, 3, kind, down=down, scale=scale))
            self.stages.append(nn.ModuleList(stage))

    def forward(self, x: Tensor) -> list[Tensor]:
        h = self.stem(x)
        activations = []
        for i, stage in enumerate(self.stages):
            last = i + 1 == len(self.stages)
            # What a resolution hands to the decoder is its last activation before it is pooled away.
            for block in stage if last else stage[:-1]:
                h = block(h)
            activations.append(h)
            if not last:
                h = stage[-1](h)
        return activations


class DecoderBlock(nn.Module):
    """One top-down block: prior, posterior, sample, and how both change the state.

    A block that is not stochastic only hears the parents and refines.
    """

    def __init__(
        self,
        width: int,
        out: int,
        resolution: int,
        latent: int,
        parents: int,
        bottleneck: int,
        kind: str,
        conditional: bool,
        scale: float,
    ) -> None:
        super().__init__()
        inner, kernel = max(1, width // bottleneck), 3 if resolution > 2 else 1
        self.resolution, self.latent = resolution, latent
        self.conditional = conditional and latent > 0
        self.body = Block(width, inner, out, kernel, kind, scale=scale)
        self.from_latent = convolution(self.latent + parents, width, 1, scale)
        if not latent:
            return
        context = parents if conditional else 0
        self.prior = Block(
            width + context, inner, 2 * latent + width, kernel, kind, residual=False, scale=0.0
        )
        self.posterior = Block(2 * width + parents, inner, 2 * latent, kernel, kind, residual=False)
        self.to_prior = convolution(latent + width, out, 1)

    def gaussians(
        self, h: Tensor, state: Tensor, activation: Tensor | None, parents: Tensor, prior_parents: Tensor
    ) -> tuple[Gaussian, Tensor, Gaussian | None]:
        """Returns the prior, its features, and the posterior where an encoder activation is given."""
        p = self.prior(state, parents=prior_parents if self.conditional else None)
        location, log_scale, features = p.split(
            [self.latent, self.latent, p.shape[1] - 2 * self.latent], dim=1
        )
        q = None
        if activation is not None:
            q = tuple(self.posterior(h, activation, parents=parents).chunk(2, dim=1))
        return (location, log_scale), features, q

    def refine(self, h: Tensor, parents: Tensor) -> Tensor:
        """Returns the next main state of a block without a latent."""
        return self.body(
            h
            + F.linear(parents, self.from_latent.weight[:, :, 0, 0], self.from_latent.bias)[:, :, None, None]
        )

    def advance(self, h: Tensor, z: Tensor, features: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the next main state and the next prior state, given the sample."""
        h = self.body(h + features + spread(self.from_latent, z, parents))
        weights = self.to_prior.weight.split([z.shape[1], features.shape[1]], dim=1)
        state = F.conv2d(z, weights[0], self.to_prior.bias) + F.conv2d(features, weights[1])
        return h, state


def _check_sizes(
    shape: Sequence[int], resolutions: Sequence[int], patch: int, latents: Sequence[int]
) -> None:
    """Raises `ValueError` where feature maps of these sizes do not follow from each other or from the image."""
    if not resolutions[0] * patch == shape[1] == shape[2]:
        raise ValueError(
            f"resolutions[0] x patch is {resolutions[0] * patch}, but images are {shape[1]} x {shape[2]} px"
        )
    for finer, coarser in pairwise(resolutions):
        if coarser >= finer or finer // (finer // coarser) != coarser:
            raise ValueError(f"resolutions: maps of {finer} px cannot be pooled to {coarser} px")
    if not any(latents):
        raise ValueError("latents: no latent is left; give at least one resolution some")


class Hvae(nn.Module):
    """A hierarchical VAE conditioned on the image's parents.

    Arguments:
        shape: The shape (C, H, W) of an image.
        parents: The width P of the encoded parents.
        resolutions: Feature-map sizes, finest first; the first is H / `patch`.
        widths: Channels at each resolution.
        encoder_blocks: Encoder blocks at each resolution.
        decoder_blocks: Decoder blocks, that is stochastic layers, at each resolution.
        latents: Latent channels Z of a layer at each resolution; where 0, blocks only refine.
        bottleneck: Blocks are narrowed inside by this factor.
        block: `heavy` (published for Morpho-MNIST) or `light`.
        prior: `exogenous` or `conditional`.
        patch: Pixels folded into channels along each side; 1 is the published network.
        exposure: Columns of the encoded parents that only scale and shift the whole predicted image.
        log_scale: The pixels' log scale before training.
        sharpen: Whether the predicted image is sharpened (see the head).

    Raises:
        ValueError: If the sizes do not fit each other or the image.
    """

    def __init__(
        self,
        shape: Sequence[int],
        parents: int,
        resolutions: Sequence[int] = (32, 16, 8, 4, 1),
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        encoder_blocks: Sequence[int] = (4, 4, 4, 4, 4),
        decoder_blocks: Sequence[int] = (4, 4, 4, 4, 4),
        latents: Sequence[int] = (16, 16, 16, 16, 16),
        bottleneck: int = 4,
        block: Literal["heavy", "light"] = "heavy",
        prior: Literal["exogenous", "conditional"] = "exogenous",
        patch: int = 1,
        exposure: Sequence[int] = (),
        log_scale: float = 0.0,
        sharpen: bool = False,
    ) -> None:
        super().__init__()
        if {len(resolutions)} != {len(widths), len(encoder_blocks), len(decoder_blocks), len(latents)}:
            raise ValueError(
                "widths, encoder_blocks, decoder_blocks and latents need one entry for each of resolutions"
            )
        _check_sizes(shape, resolutions, patch, latents)
        self.shape, self.patch = tuple(shape), patch
        self.mediated = prior == "conditional"
        channels = shape[0] * patch * patch
        self.encoder = Encoder(channels, resolutions, widths, encoder_blocks, bottleneck, block)
        stages = [
            (resolution, width, latent)
            for resolution, width, count, latent in reversed(
                list(zip(resolutions, widths, decoder_blocks, latents, strict=True))
            )
            for _ in range(count)
        ]
        scale = (1.0 / len(stages)) ** 0.5
        outs = [width for _, width, _ in stages[1:]] + [widths[0]]
        self.decoder = nn.ModuleList(
            DecoderBlock(
                width,
                out,
                r,
                latent,
                parents,
                bottleneck,
                block,
                self.mediated,
                scale,
            )
            for (r, width, latent), out in zip(stages, outs, strict=True)
        )
        # One learned map a resolution: where the top-down path starts, and what each finer resolution adds.
        self.starts = nn.ParameterDict(
            {str(r): nn.Parameter(torch.zeros(1, w, r, r)) for r, w in zip(resolutions, widths, strict=True)}
        )
        self.levels = {resolution: i for i, resolution in enumerate(resolutions)}
        self.head = Head(widths[0], shape[0], patch, exposure, log_scale, sharpen)
        # On CPUs channels-last convolutions of few channels run several times faster.
        self.to(memory_format=torch.channels_last)

    @property
    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """The shape of one image's noise at each stochastic layer."""
        return [(block.latent, block.resolution, block.resolution) for block in self.decoder if block.latent]

    def _encode(self, x: Tensor) -> list[Tensor]:
        return self.encoder(fold(x, self.patch))

    def _descend(
        self,
        parents: Tensor,
        sample: Sampler,
        activations: list[Tensor] | None = None,
        prior_parents: Tensor | None = None,
    ) -> tuple[Tensor, list[Latent]]:
        """Walks the top-down path; `sample(l, prior, posterior)` gives the sample of layer l."""
        # A conditional prior has features too.
        prior_parents = self.head.hide(parents if prior_parents is None else prior_parents)
        seen = self.head.hide(parents)
        first = self.decoder[0].resolution
        h = self.starts[str(first)].expand(len(parents), -1, -1, -1)
        state, latents = h, []
        for block in self.decoder:
            resolution = block.resolution
            if h.shape[-1] < resolution:
                bias = self.starts[str(resolution)]
                h = F.interpolate(h, size=resolution) + bias
                if block.latent:
                    state = F.interpolate(state, size=resolution) + bias
            if not block.latent:
                h = block.refine(h, seen)
                continue
            activation = None if activations is None else activations[self.levels[resolution]]
            prior, features, posterior = block.gaussians(h, state, activation, parents, prior_parents)
            z = sample(len(latents), prior, posterior)
            latents.append(Latent(z, prior, posterior))
            h, state = block.advance(h, z, features, seen)
        return h, latents

    def abduct(
        self, x: Tensor, parents: Tensor, noise: list[Tensor], temperature: float = 1.0
    ) -> list[Latent]:
        """Draws :math:`z_{1:L} \\sim q(z | x, pa)` with the given noise.

        Arguments:
            x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
            parents: Their encoded parents, with shape :math:`(B, P)`.
            noise: Standard normal noise a layer, with shapes `noise_shapes`.
            temperature: Factor on the posterior's standard deviation.
        """

        def sample(number: int, prior: Gaussian, posterior: Gaussian) -> Tensor:
            return draw(posterior, noise[number], temperature)

        return self._descend(parents, sample, self._encode(x))[1]

    def reconstruct(
        self, x: Tensor, parents: Tensor, noise: list[Tensor]
    ) -> tuple[list[Latent], Tensor, Tensor]:
        """Returns what `abduct` does and what `predict` does with it, by one walk down the decoder.

        Arguments:
            x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
            parents: Their encoded parents, with shape :math:`(B, P)`.
            noise: Standard normal noise a layer, with shapes `noise_shapes`.

        Returns:
            The latents, and the pixels' location and log scale, each :math:`(B, C, H, W)`.
        """

        def sample(number: int, prior: Gaussian, posterior: Gaussian) -> Tensor:
            return draw(posterior, noise[number])

        h, latents = self._descend(parents, sample, self._encode(x))
        return latents, *self.head(h, parents)

    def predict(self, z: list[Tensor], parents: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the pixels' location and log scale, each (B, C, H, W), given latents and parents."""
        h, _ = self._descend(parents, lambda number, prior, posterior: z[number])
        return self.head(h, parents)

    def generate(
        self, parents: Tensor, noise: list[Tensor], temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Returns the pixels' location and log scale of new images, :math:`z` drawn from the prior."""

        def sample(number: int, prior: Gaussian, posterior: None) -> Tensor:
            return draw(prior, noise[number], temperature)

        h, _ = self._descend(parents, sample)
        return self.head(h, parents)

    def mediate(self, latents: list[Latent], parents: Tensor, weight: float) -> list[Tensor]:
        r"""Returns the counterfactual mediators :math:`z^*` under counterfactual parents (conditional prior).

        Layer by layer, with :math:`U_l = (z_l - \mu_q) / \sigma_q` the abducted noise and
        :math:`p^*` the prior under the counterfactual parents *given the counterfactual* :math:`z^*_{<l}`,

        .. math:: z^*_l = a \mu_q + (1 - a) \mu_{p^*} + \sqrt{a^2 \sigma_q^2 + (1 - a)^2 \sigma_{p^*}^2}\; U_l

        (causal-gen, section 3.2). With the exogenous prior :math:`z^* = z`.
        """
        if not self.mediated:
            return [latent.z for latent in latents]

        def sample(number: int, prior: Gaussian, posterior: None) -> Tensor:
            latent = latents[number]
            return mix(latent, prior, weight)

        return [latent.z for latent in self._descend(parents, sample)[1]]

    def elbo(
        self,
        x: Tensor,
        parents: Tensor,
        noise: list[Tensor],
        free_bits: float = 0.0,
        prior_parents: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Returns the two parts of the negative ELBO, in nats per pixel and averaged over the batch.

        Arguments:
            x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
            parents: Their encoded parents, with shape :math:`(B, P)`.
            noise: Standard normal noise a layer, with shapes `noise_shapes`.
            free_bits: The least KL, in nats, counted for each layer and channel.
            prior_parents: What a conditional prior sees instead of `parents`.

        Returns:
            The negative log-likelihood, the KL divergence and the latents drawn, a tensor a layer.
        """
        if not torch.compiler.is_compiling() and native.suits(self, x) and native.available():
            return native.elbo(self, x, parents, noise, free_bits, prior_parents)

        def sample(number: int, prior: Gaussian, posterior: Gaussian) -> Tensor:
            return draw(posterior, noise[number])

        h, latents = self._descend(parents, sample, self._encode(x), prior_parents)
        location, log_scale = self.head(h, parents)
        nll = discretised_gaussian_nll(x, location, log_scale).mean()
        # (Z,) a layer: summed over space, averaged over the batch, floored a channel.
        divergences = [gaussian_kl(latent.posterior, latent.prior).sum((2, 3)).mean(0) for latent in latents]
        kl = sum(divergence.clamp(min=free_bits).sum() for divergence in divergences)
        return nll, kl / x[0].numel(), [latent.z for latent in latents]

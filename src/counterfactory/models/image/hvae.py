r"""Hierarchical VAE as an image mechanism :math:`x = f(z_{1:L}, \mathrm{pa}, \epsilon)`.

A bottom-up encoder and a top-down decoder (VDVAE, Child, 2021, arXiv:2011.10650) with L stochastic layers,

.. math:: \mathrm{ELBO} = \mathbb{E}_{q}\big[\log p(x \mid z_{1:L}, \mathrm{pa})\big]
          - \sum_{l} \mathrm{KL}\big(q(z_l \mid z_{<l}, x, \mathrm{pa}) \,\|\, p(z_l \mid z_{<l} [, \mathrm{pa}])\big).

With the *exogenous* prior, :math:`z` does not depend on the parents: it is exogenous noise and is kept in a
counterfactual. With the *conditional* prior, :math:`z` mediates between parents and image (De Sousa Ribeiro et al.,
ICML 2023, arXiv:2306.15764, sections 3.1-3.2). The published Morpho-MNIST network has five resolutions 32, 16, 8, 4, 1
with 16 to 256 channels, four blocks at each, and 16 latent channels: 2,041,122 weights (2,047,074 conditional).

Beyond the published network, `patch` folds p x p pixels into channels at the input and the output, so that no
convolution runs at full resolution. :mod:`counterfactory.nets.head` describes the options of the output layer.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...nets.blocks import enlarge, fold
from ...nets.head import Head
from ...nets.latents import Gaussian, Latent, draw, gaussian_kl, mix
from ...nets.likelihood import capped_gaussian_nll, discretised_gaussian_nll
from .centring import Centring, check_centred
from .hvae_layers import DecoderBlock, DecoderSizes, Encoder

__all__ = ["Hvae"]

Sampler = Callable[[int, Gaussian, Any], Tensor]
"""`sampler(l, prior, posterior)` returns the sample of layer l."""


def _check_sizes(
    shape: Sequence[int], resolutions: Sequence[int], patch: int, latents: Sequence[int]
) -> None:
    """Raises `ValueError` if the resolutions do not fit the image or each other, or there is no latent."""
    if not resolutions[0] * patch == shape[1] == shape[2]:
        raise ValueError(
            f"resolutions[0] x patch is {resolutions[0] * patch}, but images are {shape[1]} x {shape[2]} px"
        )
    for finer, coarser in pairwise(resolutions):
        if coarser >= finer or finer // (finer // coarser) != coarser:
            raise ValueError(f"resolutions: maps of {finer} px cannot be pooled to {coarser} px")
    if not any(latents):
        raise ValueError("latents: all entries are 0; at least one resolution needs latents")


class Hvae(nn.Module):
    """A hierarchical VAE conditioned on the parents of the image.

    Arguments:
        shape: The shape (C, H, W) of an image.
        parents: The width P of the encoded parents.
        resolutions: Sizes of the feature maps in px, finest first; the first is H / `patch`.
        widths: Channels at each resolution.
        encoder_blocks: The number of encoder blocks at each resolution.
        decoder_blocks: The number of decoder blocks (stochastic layers) at each resolution.
        latents: Latent channels Z of a layer at each resolution; with 0 the blocks there are deterministic.
        bottleneck: Factor by which blocks are narrowed inside.
        block: `heavy` (published for Morpho-MNIST) or `light` (:class:`counterfactory.nets.blocks.Block`).
        prior: `exogenous`, p(z), or `conditional`, p(z | pa).
        patch: The side of the squares of pixels that are folded into channels; 1 is the published network.
        exposure: Columns of the encoded parents that act as exposure (:mod:`counterfactory.nets.exposure`).
        log_scale: The initial log scale of the pixels.
        sharpen: Whether the predicted image is sharpened (:mod:`counterfactory.nets.head`).
        border: Border of the maps of the parents in light blocks; `zeros` is causal-gen's.
        q_correction: Whether the prior of a layer reads the main state (causal-gen's flag of this name).
        z_max_res: The finest resolution in px whose latents are drawn; those of finer ones are the locations of their
            priors (causal-gen's flag of this name). 0: no limit.
        centred: Whether the latents lose their linear dependence on the parents
            (:mod:`counterfactory.models.image.centring`).
        prior_log_scale: The largest log standard deviation of the prior; None: no limit. The scale of a latent is
            arbitrary, so that nothing else keeps the scales of unused latents from growing.
        channel_coeffs: Whether the location of green depends on red, and that of blue on both
            (:mod:`counterfactory.nets.head`).

    Raises:
        ValueError: If the sizes do not fit each other or the image, or latents under a conditional prior are to be
            centred.
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
        border: Literal["constant", "zeros"] = "constant",
        q_correction: bool = False,
        z_max_res: int = 0,
        channel_coeffs: bool = False,
        centred: bool = False,
        prior_log_scale: float | None = None,
    ) -> None:
        super().__init__()
        # Set by counterfactory.models.image.model where the configuration asks for it.
        self.transport: nn.Module | None = None
        self.grey_levels: nn.Module | None = None
        self.calibration: nn.Module | None = None
        self.debias = 0.0
        if {len(resolutions)} != {len(widths), len(encoder_blocks), len(decoder_blocks), len(latents)}:
            raise ValueError(
                "widths, encoder_blocks, decoder_blocks and latents need one entry for each of resolutions"
            )
        _check_sizes(shape, resolutions, patch, latents)
        check_centred(centred, prior)
        self.shape, self.patch, self.prior_log_scale = tuple(shape), patch, prior_log_scale
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
                DecoderSizes(width, out, r, latent),
                parents,
                bottleneck,
                block,
                self.mediated,
                scale,
                border,
                q_correction,
                not z_max_res or r <= z_max_res,
            )
            for (r, width, latent), out in zip(stages, outs, strict=True)
        )
        self.centring = Centring(parents, self.noise_shapes) if centred else None
        # One learned map for each resolution: the initial state of the top-down path, and a bias after upsampling.
        self.starts = nn.ParameterDict(
            {str(r): nn.Parameter(torch.zeros(1, w, r, r)) for r, w in zip(resolutions, widths, strict=True)}
        )
        self.levels = {resolution: i for i, resolution in enumerate(resolutions)}
        self.head = Head(widths[0], shape[0], patch, exposure, log_scale, sharpen, channel_coeffs)
        # Convolutions of few channels are several times faster on CPUs in channels-last memory.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """The shape of the noise of one image for each stochastic layer: (Z, H, W)."""
        blocks: Any = self.decoder
        return [
            (block.latent, block.resolution, block.resolution)
            for block in blocks
            if block.latent and block.stochastic
        ]

    def _encode(self, x: Tensor) -> list[Tensor]:
        return self.encoder(fold(x, self.patch))

    def _decode(
        self,
        parents: Tensor,
        sample: Sampler,
        activations: list[Tensor] | None = None,
        prior_parents: Tensor | None = None,
    ) -> tuple[Tensor, list[Latent]]:
        """Evaluates the top-down path; returns the features (B, C, H, W) of the finest resolution, and the latents."""
        # The exposure columns are hidden from the conditional prior too, because its features reach the image.
        prior_parents = self.head.hide(parents if prior_parents is None else prior_parents)
        visible = self.head.hide(parents)
        first = self.decoder[0].resolution
        h = self.starts[str(first)].expand(len(parents), -1, -1, -1)
        state = h
        latents: list[Latent] = []
        block: Any
        for block in self.decoder:
            resolution = block.resolution
            if h.shape[-1] < resolution:
                bias = self.starts[str(resolution)]
                h = enlarge(h, resolution) + bias
                if block.latent:
                    state = enlarge(state, resolution) + bias
            if not block.latent:
                h = block.refine(h, visible)
                continue
            activation = None if activations is None else activations[self.levels[resolution]]
            prior, features, posterior = block.gaussians(h, state, activation, parents, prior_parents)
            if self.prior_log_scale is not None:
                prior = prior[0], prior[1].clamp(max=self.prior_log_scale)
            if posterior is not None and self.centring is not None:
                posterior = self.centring(len(latents), posterior, prior, parents)
            z = prior[0]
            if block.stochastic:
                z = sample(len(latents), prior, posterior)
                latents.append(Latent(z, prior, posterior))
            h, state = block.advance(h, z, features, visible)
        return h, latents

    def abduct(
        self, x: Tensor, parents: Tensor, noise: list[Tensor], temperature: float = 1.0
    ) -> list[Latent]:
        r"""Draws :math:`z_{1:L} \sim q(z \mid x, \mathrm{pa})`.

        Arguments:
            x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
            parents: Their encoded parents, with shape :math:`(B, P)`.
            noise: Standard normal noise ``(B, *shape)`` for each of `noise_shapes`.
            temperature: Factor on the standard deviation of the posterior.

        Returns:
            One latent for each stochastic layer.
        """

        def sample(number: int, prior: Gaussian, posterior: Any) -> Tensor:
            return draw(posterior, noise[number], temperature)

        return self._decode(parents, sample, self._encode(x))[1]

    def reconstruct(
        self, x: Tensor, parents: Tensor, noise: list[Tensor]
    ) -> tuple[list[Latent], Tensor, Tensor]:
        """Computes :meth:`abduct` and :meth:`predict` in one pass of the decoder.

        Arguments:
            x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
            parents: Their encoded parents, with shape :math:`(B, P)`.
            noise: Standard normal noise ``(B, *shape)`` for each of `noise_shapes`.

        Returns:
            The latents, and location and log scale of the pixels, each :math:`(B, C, H, W)`.
        """

        def sample(number: int, prior: Gaussian, posterior: Any) -> Tensor:
            return draw(posterior, noise[number])

        h, latents = self._decode(parents, sample, self._encode(x))
        return latents, *self.head(h, parents)

    def predict(self, z: list[Tensor], parents: Tensor) -> tuple[Tensor, Tensor]:
        """Returns location and log scale of the pixels, each (B, C, H, W), given latents and parents."""
        h, _ = self._decode(parents, lambda number, prior, posterior: z[number])
        return self.head(h, parents)

    def generate(
        self, parents: Tensor, noise: list[Tensor], temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Returns location and log scale of the pixels of new images, with :math:`z` drawn from the prior."""

        def sample(number: int, prior: Gaussian, posterior: Any) -> Tensor:
            return draw(prior, noise[number], temperature)

        h, _ = self._decode(parents, sample)
        return self.head(h, parents)

    def place(self, parents: Tensor, noise: list[Tensor]) -> list[Latent]:
        r"""Returns the latents of given noises of the prior, :math:`z_l = \mu_l(z_{<l}) + \sigma_l(z_{<l})\, u_l`.

        Arguments:
            parents: Encoded parents, with shape :math:`(B, P)`.
            noise: The noises :math:`u_l`, ``(B, *shape)`` for each of `noise_shapes`.

        Returns:
            One latent for each stochastic layer, without a posterior.
        """

        def sample(number: int, prior: Gaussian, posterior: Any) -> Tensor:
            return draw(prior, noise[number])

        return self._decode(parents, sample)[1]

    def mediate(
        self,
        latents: list[Latent],
        parents: Tensor,
        weight: float,
        linear: bool = False,
        prior_noise: list[Tensor] | None = None,
    ) -> list[Tensor]:
        r"""Returns the counterfactual mediators :math:`z^*` under counterfactual parents (conditional prior).

        They are computed layer by layer. With :math:`U_l = (z_l - \mu_q) / \sigma_q` the abducted noise, and
        :math:`p^*` the prior given the counterfactual parents and the counterfactual :math:`z^*_{<l}`,

        .. math:: z^*_l = a \mu_q + (1 - a) \mu_{p^*} + \sqrt{a^2 \sigma_q^2 + (1 - a)^2 \sigma_{p^*}^2}\; U_l

        (causal-gen, section 3.2). With the exogenous prior :math:`z^* = z`. In the code of causal-gen :math:`p^*` is
        given latents of the layers above that are drawn from the prior itself; with `prior_noise` it is so here.

        Arguments:
            latents: The factual latents, with posteriors.
            parents: The encoded counterfactual parents, with shape :math:`(B, P)`.
            weight: The weight :math:`a` of the factual posterior, in [0, 1].
            linear: Ignored: only the code of causal-gen's simple VAE weights the variances by a and 1 - a.
            prior_noise: Standard normal noise ``(B, *shape)`` for each of `noise_shapes`, of the draws from the prior;
                None: the prior is given :math:`z^*_{<l}`.
        """
        if not self.mediated:
            return [latent.z for latent in latents]
        if prior_noise is not None:
            _, drawn = self._decode(parents, lambda number, prior, _: draw(prior, prior_noise[number]))
            return [mix(latent, one.prior, weight) for latent, one in zip(latents, drawn, strict=True)]

        def sample(number: int, prior: Gaussian, posterior: Any) -> Tensor:
            latent = latents[number]
            return mix(latent, prior, weight)

        return [latent.z for latent in self._decode(parents, sample)[1]]

    def elbo(
        self,
        x: Tensor,
        parents: Tensor,
        noise: list[Tensor],
        free_bits: float = 0.0,
        prior_parents: Tensor | None = None,
        capped: bool = False,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Returns the two terms of the negative ELBO, in nats per pixel, averaged over the batch.

        :func:`counterfactory.models.image.native.elbo` computes the same with compiled kernels.

        Arguments:
            x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
            parents: Their encoded parents, with shape :math:`(B, P)`.
            noise: Standard normal noise ``(B, *shape)`` for each of `noise_shapes`.
            free_bits: Lower bound of the KL divergence of each latent channel, in nats.
            prior_parents: Encoded parents for a conditional prior, if they differ from `parents`.
            capped: Whether the likelihood is causal-gen's (:func:`counterfactory.nets.likelihood.capped_gaussian_nll`).

        Returns:
            The negative log-likelihood, the KL divergence, and the latents drawn, one tensor for each layer.
        """

        def sample(number: int, prior: Gaussian, posterior: Any) -> Tensor:
            return draw(posterior, noise[number])

        h, latents = self._decode(parents, sample, self._encode(x), prior_parents)
        location, log_scale = self.head(h, parents, x)
        nll = (capped_gaussian_nll if capped else discretised_gaussian_nll)(x, location, log_scale).mean()
        # (Z,) for each layer: summed over pixels, averaged over the batch, then bounded below for each channel.
        divergences = [gaussian_kl(latent.posterior, latent.prior).sum((2, 3)).mean(0) for latent in latents]
        kl: Any = sum(divergence.clamp(min=free_bits).sum() for divergence in divergences)
        return nll, kl / x[0].numel(), [latent.z for latent in latents]

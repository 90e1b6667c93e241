r"""Simple VAE as an image mechanism, with one latent vector.

.. math:: \mathrm{ELBO} = \mathbb{E}_{q(z \mid x, \mathrm{pa})}\big[\log p(x \mid z, \mathrm{pa})\big]
          - \mathrm{KL}\big(q(z \mid x, \mathrm{pa}) \,\|\, p(z [\mid \mathrm{pa}])\big)

The baseline of causal-gen (De Sousa Ribeiro et al., 2023, arXiv:2306.15764), after deep structural causal models
(Pawlowski et al., 2020, arXiv:2006.06485). The published sizes have 208,274 weights, or 234,690 with the conditional
prior. It has the interface of :class:`counterfactory.models.image.hvae.Hvae`, with lists of one layer.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ...nets.blocks import fold
from ...nets.head import Head
from ...nets.latents import Gaussian, Latent, draw, gaussian_kl, mix
from ...nets.likelihood import LOG_SCALE_FLOOR, capped_gaussian_nll, discretised_gaussian_nll
from .centring import Centring, check_centred

__all__ = ["Vae"]


class Vae(nn.Module):
    """A VAE conditioned on the parents of the image.

    Arguments:
        shape: The shape (C, H, W) of an image; H = W, a multiple of 8.
        parents: The width P of the encoded parents.
        channels: Channels of every convolution.
        hidden: Width of the dense layers.
        latent: Width Z of the latent vector.
        prior: `exogenous`, p(z), or `conditional`, p(z | pa).
        exposure: Columns of the encoded parents that act as exposure (:mod:`counterfactory.nets.exposure`).
        log_scale: The initial log scale of the pixels.
        sharpen: Whether the predicted image is sharpened (:mod:`counterfactory.nets.head`).
        patch: The side p of the squares of pixels that are folded into channels at the input and the output; 1 is the
            published network. No convolution then runs at a resolution above H / p.
        centred: Whether the latents lose their linear dependence on the parents
            (:mod:`counterfactory.models.image.centring`).

    Raises:
        ValueError: If H and W are unequal or not a multiple of 8 p, or latents under a conditional prior are to be
            centred.
    """

    def __init__(
        self,
        shape: Sequence[int],
        parents: int,
        channels: int = 32,
        hidden: int = 128,
        latent: int = 16,
        prior: Literal["exogenous", "conditional"] = "exogenous",
        exposure: Sequence[int] = (),
        log_scale: float = 0.0,
        sharpen: bool = False,
        patch: int = 1,
        centred: bool = False,
    ) -> None:
        super().__init__()
        # Set by counterfactory.models.image.model where the configuration asks for it.
        self.transport: nn.Module | None = None
        self.grey_levels: nn.Module | None = None
        self.calibration: nn.Module | None = None
        self.debias = 0.0
        if shape[1] != shape[2] or shape[1] % (8 * patch):
            raise ValueError(
                f"images are {shape[1]} x {shape[2]} px; the simple VAE needs equal sides, a multiple of {8 * patch}"
            )
        check_centred(centred, prior)
        self.shape, self.latent = tuple(shape), latent
        self.mediated = prior == "conditional"
        self.side, self.patch = shape[1] // patch // 8, patch
        self.encoder = nn.Sequential(
            nn.Conv2d(shape[0] * patch**2, channels, 5, stride=2, padding=1),
            nn.LeakyReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.LeakyReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.LeakyReLU(),
            nn.Flatten(),
            nn.Linear(channels * self.side**2, hidden),
            nn.LeakyReLU(),
        )
        self.join = nn.Sequential(nn.Linear(hidden + parents, hidden), nn.LeakyReLU())
        self.posterior = nn.Linear(hidden, 2 * latent)
        if self.mediated:
            self.prior = nn.Sequential(
                nn.Linear(parents, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU()
            )
            self.prior_out = nn.Linear(hidden, 3 * latent)
            nn.init.zeros_(self.prior_out.weight[: 2 * latent].data)
            nn.init.zeros_(self.prior_out.bias[: 2 * latent].data)
        features = latent if self.mediated else 0
        self.dense = nn.Sequential(
            nn.Linear(latent + features + parents, hidden),
            nn.ReLU(),
            nn.Linear(hidden, channels * self.side**2),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels, latent, 5, padding=2),
            nn.ReLU(),
        )
        self.centring = Centring(parents, self.noise_shapes) if centred else None
        self.head = Head(latent, shape[0], patch, exposure, log_scale, sharpen)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def noise_shapes(self) -> list[tuple[int]]:
        """The shape of the noise of one image for each stochastic layer: `[(Z,)]`."""
        return [(self.latent,)]

    def _prior(self, parents: Tensor) -> tuple[Gaussian, Tensor | None]:
        if not self.mediated:
            zero = parents.new_zeros(len(parents), self.latent)
            return (zero, zero), None
        location, log_scale, features = self.prior_out(self.prior(self.head.hide(parents))).chunk(3, dim=1)
        return (location, log_scale), features

    def _posterior(self, x: Tensor, parents: Tensor) -> Gaussian:
        h = self.join(torch.cat([self.encoder(fold(x, self.patch) if self.patch > 1 else x), parents], dim=1))
        location, log_scale = self.posterior(h).chunk(2, dim=1)
        posterior = location, log_scale.clamp(min=LOG_SCALE_FLOOR)
        if self.centring is None:
            return posterior
        return self.centring(0, posterior, self._prior(parents)[0], parents)

    def predict(
        self, z: list[Tensor], parents: Tensor, features: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns location and log scale of the pixels, each (B, C, H, W), given latents and parents.

        Arguments:
            z: The latents, one tensor (B, Z).
            parents: Encoded parents with shape (B, P).
            features: Features of the conditional prior, with shape (B, Z); computed from `parents` if None.
        """
        if self.mediated and features is None:
            features = self._prior(parents)[1]
        visible = self.head.hide(parents)
        inputs = [z[0], visible] if features is None else [z[0], features, visible]
        h = self.dense(torch.cat(inputs, dim=1)).view(len(parents), -1, self.side, self.side)
        return self.head(self.decoder(h), parents)

    def abduct(
        self, x: Tensor, parents: Tensor, noise: list[Tensor], temperature: float = 1.0
    ) -> list[Latent]:
        r"""Draws :math:`z \sim q(z \mid x, \mathrm{pa})`.

        See :meth:`counterfactory.models.image.hvae.Hvae.abduct`.
        """
        posterior = self._posterior(x, parents)
        return [Latent(draw(posterior, noise[0], temperature), self._prior(parents)[0], posterior)]

    def reconstruct(
        self, x: Tensor, parents: Tensor, noise: list[Tensor]
    ) -> tuple[list[Latent], Tensor, Tensor]:
        """Returns the latents, and location and log scale of the pixels.

        See :meth:`counterfactory.models.image.hvae.Hvae.reconstruct`.
        """
        latents = self.abduct(x, parents, noise)
        return latents, *self.predict([latents[0].z], parents)

    def generate(
        self, parents: Tensor, noise: list[Tensor], temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Returns location and log scale of the pixels of new images, with z drawn from the prior."""
        return self.predict([draw(self._prior(parents)[0], noise[0], temperature)], parents)

    def place(self, parents: Tensor, noise: list[Tensor]) -> list[Latent]:
        """Returns the latents of given noises of the prior.

        See :meth:`counterfactory.models.image.hvae.Hvae.place`.
        """
        prior = self._prior(parents)[0]
        return [Latent(draw(prior, noise[0]), prior)]

    def mediate(
        self,
        latents: list[Latent],
        parents: Tensor,
        weight: float,
        linear: bool = False,
        prior_noise: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """Returns the counterfactual mediator.

        See :meth:`counterfactory.models.image.hvae.Hvae.mediate`. With `linear` the variances are weighted as in the
        code of causal-gen's simple VAE (:func:`counterfactory.nets.latents.mix`). `prior_noise` has no effect: there
        is no layer above.
        """
        if not self.mediated:
            return [latents[0].z]
        return [mix(latents[0], self._prior(parents)[0], weight, linear)]

    def elbo(
        self,
        x: Tensor,
        parents: Tensor,
        noise: list[Tensor],
        free_bits: float = 0.0,
        prior_parents: Tensor | None = None,
        capped: bool = False,
        decoder_parents: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Returns the negative log-likelihood and the KL divergence in nats per pixel, and the latents.

        See :meth:`counterfactory.models.image.hvae.Hvae.elbo`. The decoder receives `decoder_parents` if given.
        """
        posterior = self._posterior(x, parents)
        prior, features = self._prior(parents if prior_parents is None else prior_parents)
        z = draw(posterior, noise[0])
        pixels = self.predict([z], parents if decoder_parents is None else decoder_parents, features)
        nll = (capped_gaussian_nll if capped else discretised_gaussian_nll)(x, *pixels).mean()
        kl = gaussian_kl(posterior, prior).mean(0).clamp(min=free_bits).sum()
        return nll, kl / x[0].numel(), [z]

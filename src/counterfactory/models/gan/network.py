r"""Adversarial networks: a generator, an encoder that inverts it, and a discriminator of (image, code) pairs.

.. math:: \hat x = G(z, \mathrm{pa}), \qquad \hat z = E(x, \mathrm{pa}), \qquad
          D(x, z, \mathrm{pa}) = \operatorname{logit} P(\text{the pair is } (x, E(x, \mathrm{pa})))

(adversarially learned inference, Dumoulin et al., 2017, arXiv:1606.00704, and bidirectional GANs, Donahue et al., 2017,
arXiv:1605.09782; conditional on the parents of an image as in ImageCFGen, Dash et al., 2022, arXiv:2009.08270). When
the discriminator cannot distinguish the pairs, E inverts G, and the codes of images follow the prior for any parents:
they are the exogenous noise of the image. Without parents and encoder the networks are an unconditional DCGAN (Radford
et al., 2016, arXiv:1511.06434).

The published networks receive the parents as constant maps. Here these maps are not created: up to the border, a
constant map only adds a bias to each image (see :func:`counterfactory.nets.blocks.spread`).

`exposure`: the gain of parents that act as exposure is divided out of an image before all networks, and applied to the
generated image (:mod:`counterfactory.nets.exposure`).

`spectral`: the weights of the discriminator are divided by their largest singular value (Miyato et al., 2018,
arXiv:1802.05957), which keeps it from becoming too accurate before the generator has learned.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ...nets.blocks import fold, unfold
from ...nets.exposure import develop, expose, exposure_gain, hide_columns

__all__ = ["Discriminator", "Encoder", "Gan", "Generator", "draw_latents"]

SLOPE = 0.2
"""Slope of the leaky ReLU for negative inputs."""


def draw_latents(prior: str, count: int, width: int, generator: torch.Generator) -> Tensor:
    """Draws latents (B, Z) from N(0, 1) (`normal`) or U(-1, 1) (`uniform`), on the generator's device."""
    if prior == "uniform":
        return 2.0 * torch.rand(count, width, generator=generator, device=generator.device) - 1.0
    return torch.randn(count, width, generator=generator, device=generator.device)


class Generator(nn.Module):
    """Maps latents (B, Z) and parents (B, P) to images (B, C, H, W) in [-1, 1].

    A dense layer computes the coarsest feature map. Transposed convolutions double its size up to half that of the
    image, and each feature vector of the last map gives 2 x 2 pixels, because convolutions at full size are slow on
    CPUs.

    Arguments:
        shape: The shape (C, H, W) of an image; H = W, divisible by 2 to the power of the number of widths.
        parents: The width P of the encoded parents; 0 for none.
        latent: The width Z of the latents.
        widths: Channels at each resolution, finest (half the size of the image) first.
    """

    def __init__(self, shape: Sequence[int], parents: int, latent: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.side = shape[1] >> len(widths)
        outwards = list(widths)[::-1]
        self.dense = nn.Linear(latent + parents, outwards[0] * self.side**2, bias=False)
        self.norm = nn.BatchNorm2d(outwards[0])
        layers: list[nn.Module] = []
        for inner, outer in zip(outwards[:-1], outwards[1:], strict=True):
            layers += [
                nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=False),
                nn.BatchNorm2d(outer),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)
        self.image = nn.Conv2d(outwards[-1], 4 * shape[0], 3, padding=1)

    def forward(self, z: Tensor, parents: Tensor) -> Tensor:
        """Returns images, float32 with shape (B, C, H, W)."""
        h = self.dense(torch.cat([z, parents], dim=1)).view(len(z), -1, self.side, self.side)
        h = self.layers(F.relu(self.norm(h.contiguous(memory_format=torch.channels_last))))
        # float32 also under autocast: a grey level is 1/128 of the range.
        with torch.autocast(h.device.type, enabled=False):
            return unfold(self.image(h.float()), 2).tanh()


def _stages(channels: int, widths: Sequence[int], spectral: bool) -> nn.ModuleList:
    """Returns one convolution for each width; all but the first halve the resolution."""
    wrap = spectral_norm if spectral else lambda layer: layer
    inputs = [4 * channels, *widths[:-1]]
    strides = [1] + [2] * (len(widths) - 1)  # fold has halved the resolution before the first one
    return nn.ModuleList(
        wrap(nn.Conv2d(i, o, 3, stride, 1)) for i, o, stride in zip(inputs, widths, strides, strict=True)
    )


class Encoder(nn.Module):
    """Maps images (B, C, H, W) and parents (B, P) to latents (B, Z), with the layers of the generator in reverse.

    Arguments:
        shape: The shape (C, H, W) of an image.
        parents: The width P of the encoded parents; 0 for none.
        latent: The width Z of the latents.
        widths: Channels at each resolution, finest (half the size of the image) first.
        bounded: Whether the latents are bounded to [-1, 1] by tanh.
    """

    def __init__(
        self, shape: Sequence[int], parents: int, latent: int, widths: Sequence[int], bounded: bool = False
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.stages = _stages(shape[0], widths, spectral=False)
        self.condition_projection = nn.Linear(parents, widths[0], bias=False) if parents else None
        self.latent = nn.Linear(widths[-1] * (shape[1] >> len(widths)) ** 2 + parents, latent)

    def forward(self, x: Tensor, parents: Tensor) -> Tensor:
        """Returns latents, float32 with shape (B, Z)."""
        h = _features(self.stages, self.condition_projection, x, parents)
        with torch.autocast(h.device.type, enabled=False):
            code = self.latent(torch.cat([h.flatten(1).float(), parents.float()], dim=1))
            return code.tanh() if self.bounded else code


class Discriminator(nn.Module):
    """Maps images, latents and parents to a logit (B,), high for real images with their codes.

    Arguments:
        shape: The shape (C, H, W) of an image.
        parents: The width P of the encoded parents; 0 for none.
        latent: The width Z of the latents; 0 for a discriminator of images only.
        widths: Channels at each resolution, finest (half the size of the image) first.
        hidden: Width of the dense layers.
        spectral: Whether the weights are divided by their largest singular value.
        dropout: Dropout probability before each dense layer.
    """

    def __init__(
        self,
        shape: Sequence[int],
        parents: int,
        latent: int,
        widths: Sequence[int],
        hidden: int = 128,
        spectral: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else lambda layer: layer
        self.stages = _stages(shape[0], widths, spectral)
        self.condition_projection = nn.Linear(parents, widths[0], bias=False) if parents else None
        self.code = wrap(nn.Linear(latent + parents, hidden)) if latent else None
        features = widths[-1] * (shape[1] >> len(widths)) ** 2 + (hidden if latent else parents)
        self.dropout = nn.Dropout(dropout)
        self.joint = wrap(nn.Linear(features, hidden))
        self.logit = wrap(nn.Linear(hidden, 1))

    def forward(self, x: Tensor, z: Tensor, parents: Tensor) -> Tensor:
        """Returns logits, float32 with shape (B,)."""
        h = _features(self.stages, self.condition_projection, x, parents)
        h = self.dropout(h.flatten(1))
        context = parents
        if self.code is not None:
            context = F.leaky_relu(self.code(torch.cat([z, parents], dim=1)), SLOPE)
        h = F.leaky_relu(self.joint(torch.cat([h, context.to(h.dtype)], dim=1)), SLOPE)
        return self.logit(self.dropout(h)).squeeze(1).float()


def _features(stages: nn.ModuleList, projection: nn.Linear | None, x: Tensor, parents: Tensor) -> Tensor:
    """Returns the feature map of the coarsest resolution."""
    h = stages[0](fold(x, 2))
    if projection is not None:
        h = h + projection(parents)[:, :, None, None]
    h = F.leaky_relu(h, SLOPE)
    for stage in stages[1:]:
        h = F.leaky_relu(stage(h), SLOPE)
    return h


class Gan(nn.Module):
    """A generator, its discriminator and, optionally, its encoder.

    Arguments:
        shape: The shape (C, H, W) of an image; H = W.
        parents: The width P of the encoded parents; 0 for an unconditional model.
        latent: The width Z of the latents.
        prior: The prior of the latents, `normal` or `uniform` on [-1, 1].
        widths: Channels at each resolution, finest (half the size of the image) first.
        hidden: Width of the discriminator's dense layers.
        spectral: Whether the discriminator's weights are divided by their largest singular value.
        dropout: Dropout probability in the discriminator.
        exposure: Columns of the encoded parents that act as exposure.
        encoder: Whether there is an encoder and the discriminator receives pairs.

    Raises:
        ValueError: If H and W are unequal or cannot be halved once for each width.
    """

    exposure: Tensor
    encoder: Any

    def __init__(
        self,
        shape: Sequence[int],
        parents: int,
        latent: int = 64,
        prior: Literal["normal", "uniform"] = "normal",
        widths: Sequence[int] = (32, 64, 128),
        hidden: int = 128,
        spectral: bool = True,
        dropout: float = 0.0,
        exposure: Sequence[int] = (),
        encoder: bool = True,
    ) -> None:
        super().__init__()
        if shape[1] != shape[2] or shape[1] % (1 << len(widths)):
            raise ValueError(
                f"images are {shape[1]} x {shape[2]} px; {len(widths)} widths need equal sides, "
                f"a multiple of {1 << len(widths)}"
            )
        self.latent, self.prior = latent, prior
        self.columns = list(exposure)
        if self.columns:
            self.register_buffer("exposure", torch.zeros(len(self.columns)))
        self.generator = Generator(shape, parents, latent, widths)
        self.encoder = Encoder(shape, parents, latent, widths, prior == "uniform") if encoder else None
        self.discriminator = Discriminator(
            shape, parents, latent if encoder else 0, widths, hidden, spectral, dropout
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draws latents (B, Z) from the prior."""
        return draw_latents(self.prior, count, self.latent, generator)

    def hide(self, parents: Tensor) -> Tensor:
        """Returns the parents (B, P) with the columns that act as exposure set to zero."""
        return hide_columns(parents, self.columns)

    def expose(self, x: Tensor, parents: Tensor) -> Tensor:
        """Multiplies the brightness of images (B, C, H, W) by the gain of the parents that act as exposure."""
        return expose(x, exposure_gain(parents, self.columns, self.exposure)) if self.columns else x

    def develop(self, x: Tensor, parents: Tensor) -> Tensor:
        """Inverts :meth:`expose`."""
        return develop(x, exposure_gain(parents, self.columns, self.exposure)) if self.columns else x

    def generate(self, z: Tensor, parents: Tensor) -> Tensor:
        """Returns images (B, C, H, W), in [-1, 1] before the exposure, given latents (B, Z) and parents (B, P)."""
        return self.expose(self.generator(z, self.hide(parents)), parents)

    def encode(self, x: Tensor, parents: Tensor) -> Tensor:
        """Returns latents (B, Z) given images (B, C, H, W) and parents (B, P)."""
        return self.encoder(self.develop(x, parents), self.hide(parents))

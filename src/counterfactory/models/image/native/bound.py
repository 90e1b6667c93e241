"""The bound of a whole network by the kernels, a few images at a time."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ....nets.blocks import Block, fold
from ....nets.likelihood import discretised_gaussian_nll
from .build import LANES
from .functions import enlarge, interleave, pointwise, pool, residual_block, stochastic_layer

if TYPE_CHECKING:
    from ....nets.head import Head
    from ..hvae import DecoderBlock, Hvae

__all__ = ["elbo", "suits"]

_AT_ONCE = 32
# More images leave the caches, fewer leave more of the time to what is done once a batch.


def suits(model: "Hvae", x: Tensor) -> bool:
    """Returns whether :func:`elbo` computes this network's bound of these images."""
    blocks = [block for stage in model.encoder.stages for block in stage]
    sides = [block.resolution for block in model.decoder]
    return (
        x.device.type == "cpu"
        and x.dtype == model.head.location.weight.dtype == torch.float32
        and len(x) % LANES == 0
        and all(block.activation is F.gelu and len(block.layers) == 4 for block in blocks)
        and all(finer % coarser == 0 for coarser, finer in zip(sides, sides[1:], strict=False))
    )


def _weights(block: Block) -> list[Tensor]:
    layers = [*block.layers, *([] if block.projection is None else [block.projection])]
    return [tensor for layer in layers for tensor in (layer.weight, layer.bias)]


def _residual(block: Block, h: Tensor) -> Tensor:
    """Applies a residual block to (H, W, C, B), with its pooling."""
    h = residual_block(1 if block.projection is None else 2, h, *_weights(block))
    if block.down > 1:
        h = pool(block.down, h)
    return h


def _image_bias(weight: Tensor, parents: Tensor) -> Tensor:
    """Returns what parents (B, P), the last inputs of a 1x1 convolution, add to each image: (C, B)."""
    return weight[:, weight.shape[1] - parents.shape[1] :, 0, 0] @ parents.t()


def _encode(model: "Hvae", x: Tensor) -> list[Tensor]:
    h = interleave(model.encoder.stem(fold(x, model.patch)))
    activations = []
    for i, stage in enumerate(model.encoder.stages):
        last = i + 1 == len(model.encoder.stages)
        for block in stage if last else stage[:-1]:
            h = _residual(block, h)
        activations.append(h)
        if not last:
            h = _residual(stage[-1], h)
    return activations


def _layer(
    block: "DecoderBlock",
    last: bool,
    h: Tensor,
    state: Tensor,
    activation: Tensor,
    noise: Tensor,
    seen: Tensor,
    activated: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Returns sample, divergence (Z,) summed over pixels and images, and the next states."""
    prior, posterior = _weights(block.prior), _weights(block.posterior)
    z, kl, u, state = stochastic_layer(
        last,
        _image_bias(prior[0], activated[0]) if block.conditional else None,
        _image_bias(posterior[0], activated[1]),
        _image_bias(block.from_latent.weight, seen),
        h,
        state,
        activation,
        noise,
        *prior,
        *posterior,
        block.from_latent.weight,
        block.from_latent.bias,
        block.to_prior.weight,
        block.to_prior.bias,
    )
    return z, kl, _residual(block.body, u), state


def _pixels(head: "Head", h: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
    """Returns location and log scale (B, C, H, W) of the pixels, from features (H, W, C', B)."""
    layers = (head.location, head.log_scale)
    weight, bias = (
        torch.cat([layer.weight[:, :, 0, 0] for layer in layers]),
        torch.cat([x.bias for x in layers]),
    )
    maps = pointwise(h, weight, bias).permute(3, 2, 0, 1).contiguous()
    return head.gaussian(*maps.chunk(2, dim=1), parents)


def _bound(
    model: "Hvae", x: Tensor, parents: Tensor, noise: list[Tensor], prior_parents: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Returns the mean negative log-likelihood, divergences (Z,) summed over pixels and images, and latents."""
    seen = model.head.hide(parents)
    activated = F.gelu(prior_parents), F.gelu(parents)
    activations = _encode(model, x)
    starts = {int(side): start.permute(2, 3, 1, 0) for side, start in model.starts.items()}
    h = starts[model.decoder[0].resolution].expand(-1, -1, -1, len(x)).contiguous()
    state, latents, divergences = h, [], []
    stochastic = sum(bool(block.latent) for block in model.decoder)
    for block in model.decoder:
        resolution = block.resolution
        if h.shape[0] < resolution:
            h = enlarge(resolution, h, starts[resolution])
            if block.latent:
                state = enlarge(resolution, state, starts[resolution])
        if not block.latent:
            bias = _image_bias(block.from_latent.weight, seen) + block.from_latent.bias[:, None]
            h = _residual(block.body, h + bias)
            continue
        z, kl, h, state = _layer(
            block,
            len(latents) + 1 == stochastic,
            h,
            state,
            activations[model.levels[resolution]],
            interleave(noise[len(latents)]),
            seen,
            activated,
        )
        latents.append(z.permute(3, 2, 0, 1))
        divergences.append(kl)
    return discretised_gaussian_nll(x, *_pixels(model.head, h, parents)).mean(), divergences, latents


def elbo(
    model: "Hvae",
    x: Tensor,
    parents: Tensor,
    noise: list[Tensor],
    free_bits: float = 0.0,
    prior_parents: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Returns what :meth:`counterfactory.models.image.hvae.Hvae.elbo` returns; see there.

    The noise may have any strides; laid out in memory as (H, W, Z, B) it is not copied.
    """
    prior_parents = parents if prior_parents is None else prior_parents
    with torch.autocast("cpu", enabled=False):
        parts = [slice(start, start + _AT_ONCE) for start in range(0, len(x), _AT_ONCE)]
        bounds = [
            _bound(model, x[part], parents[part], [eps[part] for eps in noise], prior_parents[part])
            for part in parts
        ]
        nll = sum(bound[0] * (len(x[part]) / len(x)) for bound, part in zip(bounds, parts, strict=True))
        divergences = torch.stack([torch.cat(bound[1]) for bound in bounds]).sum(0) / len(x)
        kl = divergences.clamp(min=free_bits).sum()
        latents = [torch.cat(z) if len(z) > 1 else z[0] for z in zip(*(b[2] for b in bounds), strict=True)]
        return nll, kl / x[0].numel(), latents

"""Computes the ELBO of a hierarchical VAE with the kernels, 32 images at a time."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ....nets.blocks import Block, fold
from ....nets.likelihood import discretised_gaussian_nll
from .build import LANES
from .functions import enlarge, interleave, pointwise, pool, residual_block, stochastic_layer

__all__ = ["elbo", "suits"]

_AT_ONCE = 32
"""Images per pass: more exceed the caches, fewer increase the share of the cost that does not depend on them."""


def suits(model: Any, x: Tensor) -> bool:
    """Returns whether the kernels support this network (heavy blocks, float32, on a CPU) and this batch.

    Arguments:
        model: The network, a :class:`counterfactory.models.image.hvae.Hvae`.
        x: Images with shape (B, C, H, W); B must be a multiple of 16.
    """
    blocks = [block for stage in model.encoder.stages for block in stage]
    sides = [block.resolution for block in model.decoder]
    return (
        x.device.type == "cpu"
        and x.dtype == model.head.location.weight.dtype == torch.float32
        and len(x) % LANES == 0
        and model.head.channel_coeffs is None
        and model.centring is None
        and model.prior_log_scale is None
        and not any(block.q_correction or not block.stochastic for block in model.decoder)
        and all(block.activation is F.gelu and len(block.layers) == 4 for block in blocks)
        and all(finer % coarser == 0 for coarser, finer in zip(sides, sides[1:], strict=False))
    )


def _weights(block: Block) -> list[Tensor]:
    layers = [*block.layers, *([] if block.projection is None else [block.projection])]
    return [tensor for layer in layers for tensor in (layer.weight, layer.bias)]


def _residual(block: Block, h: Tensor) -> Tensor:
    """Applies a residual block with its pooling to (H, W, C, B)."""
    h = residual_block(1 if block.projection is None else 2, h, *_weights(block))
    if block.down > 1:
        h = pool(block.down, h)
    return h


def _image_bias(weight: Tensor, parents: Tensor) -> Tensor:
    """Returns the bias (C, B) that parents (B, P), the last inputs of a 1x1 convolution, contribute to each image."""
    return weight[:, weight.shape[1] - parents.shape[1] :, 0, 0] @ parents.t()


def _encode(model: Any, x: Tensor) -> list[Tensor]:
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


@dataclass(frozen=True)
class _Parents:
    """The encoded parents (B, P) as the parts of a network receive them.

    Arguments:
        visible: Without the columns that act as exposure, for the decoder's states.
        prior: After the GELU of the prior's first layer.
        posterior: After the GELU of the posterior's first layer.
    """

    visible: Tensor
    prior: Tensor
    posterior: Tensor


def _layer(
    block: Any,
    last: bool,
    states: tuple[Tensor, Tensor],
    activation: Tensor,
    noise: Tensor,
    parents: _Parents,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Returns the sample, its divergence (Z,) summed over pixels and images, and the next main and prior states."""
    prior, posterior = _weights(block.prior), _weights(block.posterior)
    z, kl, u, state = stochastic_layer(
        last,
        _image_bias(prior[0], parents.prior) if block.conditional else None,
        _image_bias(posterior[0], parents.posterior),
        _image_bias(block.from_latent.weight, parents.visible),
        *states,
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


def _pixels(head: Any, h: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
    """Returns location and log scale of the pixels, each (B, C, H, W), from features (H, W, C', B)."""
    layers = (head.location, head.log_scale)
    weight, bias = (
        torch.cat([layer.weight[:, :, 0, 0] for layer in layers]),
        torch.cat([x.bias for x in layers]),
    )
    maps = pointwise(h, weight, bias).permute(3, 2, 0, 1).contiguous()
    return head.gaussian(*maps.chunk(2, dim=1), parents)


def _bound(
    model: Any, x: Tensor, parents: Tensor, noise: list[Tensor], prior_parents: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Returns the mean negative log-likelihood, divergences (Z,) summed over pixels and images, and latents."""
    inputs = _Parents(model.head.hide(parents), F.gelu(prior_parents), F.gelu(parents))
    activations = _encode(model, x)
    starts = {int(side): start.permute(2, 3, 1, 0) for side, start in model.starts.items()}
    h = starts[model.decoder[0].resolution].expand(-1, -1, -1, len(x)).contiguous()
    state = h
    latents: list[Tensor] = []
    divergences: list[Tensor] = []
    stochastic = sum(bool(block.latent) for block in model.decoder)
    for block in model.decoder:
        resolution = block.resolution
        if h.shape[0] < resolution:
            h = enlarge(resolution, h, starts[resolution])
            if block.latent:
                state = enlarge(resolution, state, starts[resolution])
        if not block.latent:
            bias = _image_bias(block.from_latent.weight, inputs.visible) + block.from_latent.bias[:, None]
            h = _residual(block.body, h + bias)
            continue
        z, kl, h, state = _layer(
            block,
            len(latents) + 1 == stochastic,
            (h, state),
            activations[model.levels[resolution]],
            interleave(noise[len(latents)]),
            inputs,
        )
        latents.append(z.permute(3, 2, 0, 1))
        divergences.append(kl)
    return discretised_gaussian_nll(x, *_pixels(model.head, h, parents)).mean(), divergences, latents


def elbo(
    model: Any,
    x: Tensor,
    parents: Tensor,
    noise: list[Tensor],
    free_bits: float = 0.0,
    prior_parents: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Computes :meth:`counterfactory.models.image.hvae.Hvae.elbo`, with the same arguments and results.

    The noise may have any strides; in memory of the order (H, W, Z, B) it is not copied.
    """
    prior_parents = parents if prior_parents is None else prior_parents
    with torch.autocast("cpu", enabled=False):
        parts = [slice(start, start + _AT_ONCE) for start in range(0, len(x), _AT_ONCE)]
        bounds = [
            _bound(model, x[part], parents[part], [eps[part] for eps in noise], prior_parents[part])
            for part in parts
        ]
        nll: Any = sum(bound[0] * (len(x[part]) / len(x)) for bound, part in zip(bounds, parts, strict=True))
        divergences = torch.stack([torch.cat(bound[1]) for bound in bounds]).sum(0) / len(x)
        kl = divergences.clamp(min=free_bits).sum()
        latents = [torch.cat(z) if len(z) > 1 else z[0] for z in zip(*(b[2] for b in bounds), strict=True)]
        return nll, kl / x[0].numel(), latents

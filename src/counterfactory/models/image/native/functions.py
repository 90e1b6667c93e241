r"""Autograd functions of the kernels: residual blocks, stochastic layers, and changes of resolution.

Feature maps have shape (H, W, C, B). Gradients are closed-form. With :math:`k` the gradient of a layer's divergence,
:math:`\delta = \mu_q - \mu_p` and :math:`g` the gradient of its sample :math:`z = \mu_q + \sigma_q \epsilon`,

.. math:: \partial \mu_q = g + k \delta / \sigma_p^2, \quad
          \partial \log \sigma_q = g \sigma_q \epsilon + k (\sigma_q^2 / \sigma_p^2 - 1), \quad
          \partial \mu_p = -k \delta / \sigma_p^2, \quad
          \partial \log \sigma_p = k (1 - \sigma_q^2 / \sigma_p^2 - \delta^2 / \sigma_p^2).
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .build import LANES, kernels

__all__ = ["enlarge", "interleave", "pointwise", "pool", "residual_block", "stochastic_layer"]


def address(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def addresses(tensors: list[Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _packed(weight: Tensor) -> Tensor:
    """Returns a weight or bias in the memory layout of the kernels."""
    return weight.contiguous(
        memory_format=torch.channels_last if weight.dim() == 4 else torch.contiguous_format
    )


def _block_forward(
    weights: list[Tensor],
    residual: int,
    image_bias: Tensor | None,
    x0: Tensor,
    x1: Tensor | None,
    whole: bool = True,
) -> tuple[Any, list[Tensor]]:
    """Returns the output (H, W, C', B), if `whole`, and the inputs of the last three GELUs of a block."""
    height, width, channels, count = x0.shape
    inner, out, kernel = weights[0].shape[0], weights[6].shape[0], weights[2].shape[-1]
    kept = [x0.new_empty(height, width, inner, count) for _ in range(3)]
    y = x0.new_empty(height, width, out, count) if whole else None
    kernels().block_forward(
        height,
        width,
        count // LANES,
        channels,
        address(x0),
        0 if x1 is None else x1.shape[2],
        address(x1),
        inner,
        out,
        kernel,
        weights[0].shape[1],
        residual,
        address(image_bias),
        addresses(weights),
        *map(address, kept),
        address(y),
    )
    return y, kept


@dataclass(frozen=True)
class _Upstream:
    """The gradients that arrive at a block; one of `dy` and `da3` is given.

    Arguments:
        dy: The gradient of the output.
        da3: The gradient of the input of the last GELU.
        extra: A gradient that is added to that of the first input.
    """

    dy: Tensor | None = None
    da3: Tensor | None = None
    extra: Tensor | None = None


def _block_backward(
    weights: list[Tensor],
    residual: int,
    x0: Tensor,
    x1: Tensor | None,
    kept: list[Tensor],
    upstream: _Upstream,
) -> tuple[Tensor, Tensor | None, Tensor, list[Tensor]]:
    """Returns the gradients of both inputs, of the image bias (inner, B), and of the weights."""
    height, width, channels, count = x0.shape
    inner = weights[0].shape[0]
    dx0, dx1 = torch.empty_like(x0), None if x1 is None else torch.empty_like(x1)
    d_bias = x0.new_empty(inner, count)
    # The weights of the parents receive their gradient through the image bias.
    grads = [torch.zeros_like(weights[0]), *map(torch.empty_like, weights[1:])]
    kernels().block_backward(
        height,
        width,
        count // LANES,
        channels,
        address(x0),
        0 if x1 is None else x1.shape[2],
        address(x1),
        inner,
        weights[6].shape[0],
        weights[2].shape[-1],
        weights[0].shape[1],
        residual,
        addresses(weights),
        *map(address, kept),
        address(upstream.dy),
        address(upstream.da3),
        address(upstream.extra),
        address(dx0),
        address(dx1),
        address(d_bias),
        addresses(grads),
    )
    return dx0, dx1, d_bias, grads


class _ResidualBlock(torch.autograd.Function):
    """A residual block with one input, without its pooling."""

    @staticmethod
    def forward(ctx: Any, residual: int, x: Tensor, *weights: Tensor) -> Tensor:
        packed = [_packed(weight) for weight in weights]
        y, kept = _block_forward(packed, residual, None, x, None)
        ctx.residual = residual
        ctx.save_for_backward(x, *kept, *packed)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *rest = ctx.saved_tensors
        dx, _, _, grads = _block_backward(
            rest[3:], ctx.residual, x, None, rest[:3], _Upstream(dy.contiguous())
        )
        return None, dx, *grads


class _StochasticLayer(torch.autograd.Function):
    """A stochastic layer: prior, posterior, sample, divergence, and the next states before `body`."""

    @staticmethod
    def forward(
        ctx: Any,
        last: bool,
        prior_bias: Tensor | None,
        posterior_bias: Tensor,
        latent_bias: Tensor,
        h: Tensor,
        state: Tensor,
        activation: Tensor,
        noise: Tensor,
        *unpacked: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        weights = [_packed(weight) for weight in unpacked]
        _, kept_p = _block_forward(weights[:8], 0, prior_bias, state, None, whole=False)
        _, kept_q = _block_forward(weights[8:16], 0, posterior_bias, h, activation, whole=False)
        height, width, channels, count = h.shape
        latent, following = noise.shape[2], weights[18].shape[0]
        z, u, kl = torch.empty_like(noise), torch.empty_like(h), h.new_empty(latent)
        after = None if last else h.new_empty(height, width, following, count)
        kernels().latent_forward(
            height * width,
            count // LANES,
            latent,
            channels,
            following,
            weights[16].shape[1],
            weights[0].shape[0],
            *map(address, (kept_p[2], kept_q[2], noise, h, latent_bias)),
            addresses([*weights[16:], *weights[6:8], *weights[14:16]]),
            *map(address, (z, kl, u, after)),
        )
        ctx.last, ctx.conditional = last, prior_bias is not None
        ctx.save_for_backward(h, state, activation, noise, *kept_p, *kept_q, *weights)
        ctx.set_materialize_grads(False)
        return z, kl, u, after

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dz: Tensor | None, dkl: Tensor | None, du: Tensor | None, dafter: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        h, state, activation, noise, *rest = ctx.saved_tensors
        kept_p, kept_q, weights = rest[:3], rest[3:6], rest[6:]
        height, width, channels, count = h.shape
        dz, dafter = (None if grad is None else grad.contiguous() for grad in (dz, dafter))
        du = torch.zeros_like(h) if du is None else du.contiguous()
        dkl = h.new_zeros(noise.shape[2]) if dkl is None else dkl.contiguous()
        da3p, da3q, d_latent = *map(torch.empty_like, (kept_p[2], kept_q[2])), h.new_empty(channels, count)
        lasts = [*weights[6:8], *weights[14:16]]
        grads: list[Any] = [torch.zeros_like(weights[16]), *map(torch.empty_like, [*weights[17:], *lasts])]
        kernels().latent_backward(
            height * width,
            count // LANES,
            noise.shape[2],
            channels,
            weights[18].shape[0],
            weights[16].shape[1],
            weights[0].shape[0],
            *map(address, (kept_p[2], kept_q[2], noise, du, dafter, dz, dkl)),
            addresses([*weights[16:], *lasts]),
            *map(address, (da3p, da3q, d_latent)),
            addresses(grads),
        )
        dh, dactivation, d_posterior, grads_q = _block_backward(
            weights[8:16], 0, h, activation, kept_q, _Upstream(da3=da3q, extra=du)
        )
        dstate, _, d_prior, grads_p = _block_backward(
            weights[:8], 0, state, None, kept_p, _Upstream(da3=da3p)
        )
        grads_p[6:], grads_q[6:], grads = grads[4:6], grads[6:8], grads[:4]
        if dafter is None:
            grads[2:] = [None, None]
        return (
            None,
            d_prior if ctx.conditional else None,
            d_posterior,
            d_latent,
            dh,
            dstate,
            dactivation,
            None,
            *grads_p,
            *grads_q,
            *grads,
        )


class _Enlarge(torch.autograd.Function):
    """Nearest-neighbour upsampling of (H, W, C, B) to (side, side, C, B), plus a map (side, side, C, 1)."""

    @staticmethod
    def forward(ctx: Any, side: int, x: Tensor, bias: Tensor) -> Tensor:
        height, width, channels, count = ctx.shape = x.shape
        y = x.new_empty(side, side, channels, count)
        bias = bias.contiguous()
        kernels().enlarge_forward(
            height, width, side // height, channels, count // LANES, *map(address, (x, bias, y))
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        height, width, channels, count = ctx.shape
        dy = dy.contiguous()
        dx, dbias = dy.new_empty(ctx.shape), dy.new_empty(*dy.shape[:3], 1)
        kernels().enlarge_backward(
            height, width, len(dy) // height, channels, count // LANES, *map(address, (dy, dx, dbias))
        )
        return None, dx, dbias


class _Pool(torch.autograd.Function):
    """Average pooling of (H, W, C, B) over `factor` x `factor` pixels."""

    @staticmethod
    def forward(ctx: Any, factor: int, x: Tensor) -> Tensor:
        height, width, channels, count = x.shape
        ctx.factor = factor
        y = x.new_empty(height // factor, width // factor, channels, count)
        kernels().pool_forward(*y.shape[:2], factor, channels, count // LANES, *map(address, (x, y)))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[None, Tensor]:
        dy = dy.contiguous()
        height, width, channels, count = dy.shape
        dx = dy.new_empty(height * ctx.factor, width * ctx.factor, channels, count)
        kernels().pool_backward(height, width, ctx.factor, channels, count // LANES, *map(address, (dy, dx)))
        return None, dx


class _Pointwise(torch.autograd.Function):
    """A 1x1 convolution of (H, W, C, B)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        height, width, channels, count = x.shape
        weight = weight.contiguous()
        y = x.new_empty(height, width, len(weight), count)
        kernels().pointwise_forward(
            height * width,
            count // LANES,
            channels,
            len(weight),
            *map(address, (x, weight, bias.contiguous(), y)),
        )
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        dy = dy.contiguous()
        height, width, channels, count = x.shape
        dx, dweight, dbias = torch.empty_like(x), torch.empty_like(weight), weight.new_empty(len(weight))
        kernels().pointwise_backward(
            height,
            width,
            count // LANES,
            channels,
            len(weight),
            *map(address, (x, weight, dy, dx, dweight, dbias)),
        )
        return dx, dweight, dbias


class _Interleave(torch.autograd.Function):
    """Transposes (B, C, H, W) to (H, W, C, B); the gradient has channels-last memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        count, channels, height, width = ctx.shape = x.shape
        planes = x.is_contiguous()
        if not planes:
            x = x.contiguous(memory_format=torch.channels_last)
        y = x.new_empty(height, width, channels, count)
        # In channels-last memory, the values of an image have the same order as in y.
        shape = (channels, height * width) if planes else (1, channels * height * width)
        kernels().interleave(count, *shape, *map(address, (x, y)))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        count, channels, height, width = ctx.shape
        dy = dy.contiguous()
        dx = dy.new_empty(count, height, width, channels)
        kernels().deinterleave(count, channels * height * width, *map(address, (dy, dx)))
        return dx.permute(0, 3, 1, 2)


residual_block = _ResidualBlock.apply
"""`residual_block(residual, x, *weights)`: a block without its pooling. `residual` is 0 without a skip connection, 1
for an identity and 2 for a projection."""

stochastic_layer = _StochasticLayer.apply
"""`stochastic_layer(last, prior_bias, posterior_bias, latent_bias, h, state, activation, noise, *weights)`: returns the
sample, its divergence (Z,) summed over pixels and images, the sum of `h` and the projected sample and, unless `last`,
the next prior state."""

enlarge = _Enlarge.apply
"""`enlarge(side, x, bias)`: nearest-neighbour upsampling to `side` px, plus a map (side, side, C, 1)."""

pool = _Pool.apply
"""`pool(factor, x)`: average pooling over `factor` x `factor` px."""

pointwise = _Pointwise.apply
"""`pointwise(x, weight, bias)`: a 1x1 convolution to C' channels; weight (C', C), bias (C')."""


def interleave(x: Tensor) -> Tensor:
    """Returns (B, C, H, W) as contiguous (H, W, C, B), copied only if necessary."""
    y = x.permute(2, 3, 1, 0)
    return y if y.is_contiguous() else _Interleave.apply(x)

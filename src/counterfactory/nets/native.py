r"""The published hierarchical VAE's bound on a CPU, forward and backward, by compiled kernels.

Computes what :meth:`counterfactory.nets.hvae.Hvae.elbo` computes, in float32 and from the same weights, for networks of
heavy blocks. Their convolutions have as few as 4 channels and are separated by GELUs, for which general
libraries reach a fifth of a CPU's speed. Here feature maps lie in memory as (H, W, C, B), so that 16 images fill a
vector register whatever C is, and a block's activations stay in the caches (`native.cpp`). Gradients are
closed-form: with :math:`k` the gradient of a layer's divergence, :math:`\delta = \mu_q - \mu_p` and
:math:`g` the gradient of its sample :math:`z = \mu_q + \sigma_q \epsilon`,

.. math:: \partial \mu_q = g + k \delta / \sigma_p^2, \quad
          \partial \log \sigma_q = g \sigma_q \epsilon + k (\sigma_q^2 / \sigma_p^2 - 1), \quad
          \partial \mu_p = -k \delta / \sigma_p^2, \quad
          \partial \log \sigma_p = k (1 - \sigma_q^2 / \sigma_p^2 - \delta^2 / \sigma_p^2).

The kernels are compiled by the machine's g++ when first used and kept in the user's cache folder; where there
is none, :func:`available` says so and PyTorch does the work.
"""

import ctypes
import hashlib
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..files import writing
from .blocks import Block, fold
from .likelihood import discretised_gaussian_nll

if TYPE_CHECKING:
    from .hvae import DecoderBlock, Hvae

__all__ = ["available", "elbo", "suits"]

LANES = 16
"""Images in a vector register."""

_AT_ONCE = 32
# More images leave the caches, fewer leave more of the time to what is done once a batch.

_FLAGS = [
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-psabi",
    "-shared",
    "-fPIC",
]


def _gelu_tables() -> tuple[np.ndarray, float]:
    r"""Returns polynomials (2, 6, 16) of :math:`U(a) = a\,(1 - \Phi(a))` and of its derivative on 16 segments.

    Also the segments' width. :math:`\mathrm{GELU}(x) = \max(x, 0) - U(|x|)`; errors are below 1e-7, and 4e-7 in the
    derivative for :math:`|x| > 5.6`, where both are taken for constant.
    """
    width = 5.6 / 15.5

    def tail(a: float) -> float:
        return 0.5 * math.erfc(a / math.sqrt(2.0))

    def slope(a: float) -> float:
        return tail(a) - a * math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)

    def fit(function: Callable[[float], float], at: int, degree: int) -> np.ndarray:
        values = np.vectorize(lambda t: function(width * (at + t)))
        found = np.polynomial.Chebyshev.interpolate(values, degree, [-0.5, 0.5])
        return found.convert(kind=np.polynomial.Polynomial, domain=[-1, 1]).coef

    tables = np.zeros((2, 6, 16), np.float32)
    for at in range(16):
        # U = a tail(a) is accurate relative to itself at zero.
        tables[0, :, at] = fit(lambda a: a * tail(a), at, 5) if at else [0.0, *width * fit(tail, 0, 4)]
        tables[1, :, at] = fit(slope, at, 5)
    return tables, width


@cache
def _kernels() -> ctypes.CDLL | None:
    """Returns the compiled kernels, or None where they cannot be compiled."""
    compiler = shutil.which("g++")
    if compiler is None or platform.machine() != "x86_64":
        return None
    source = Path(__file__).with_name("native.cpp")
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
        target = subprocess.run(
            [compiler, "-march=native", "-Q", "--help=target"], capture_output=True, check=True
        ).stdout
        key = hashlib.sha256(source.read_bytes() + version + target + " ".join(_FLAGS).encode()).hexdigest()
        cached = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        library = Path(cached) / "counterfactory" / f"native-{key[:16]}.so"
        if not library.exists():
            with writing(library) as temporary:
                subprocess.run(
                    [compiler, *_FLAGS, "-o", str(temporary), str(source)], capture_output=True, check=True
                )
        kernels = ctypes.CDLL(str(library))
        coefficients, width = _gelu_tables()
        kernels.initialise(ctypes.c_void_p(coefficients.ctypes.data), ctypes.c_float(width))
        return kernels
    except (OSError, subprocess.CalledProcessError):
        return None


def available() -> bool:
    """Returns whether the kernels are there, compiling them when first asked."""
    return _kernels() is not None


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


def _address(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _addresses(tensors: list[Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _packed(weight: Tensor) -> Tensor:
    """Returns a weight or bias in the memory that the kernels read."""
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
) -> tuple[Tensor | None, list[Tensor]]:
    """Returns the block's output (H, W, C', B), if `whole`, and what comes before each of its last three GELUs."""
    height, width, channels, count = x0.shape
    inner, out, kernel = weights[0].shape[0], weights[6].shape[0], weights[2].shape[-1]
    kept = [x0.new_empty(height, width, inner, count) for _ in range(3)]
    y = x0.new_empty(height, width, out, count) if whole else None
    _kernels().block_forward(
        height,
        width,
        count // LANES,
        channels,
        _address(x0),
        0 if x1 is None else x1.shape[2],
        _address(x1),
        inner,
        out,
        kernel,
        weights[0].shape[1],
        residual,
        _address(image_bias),
        _addresses(weights),
        *map(_address, kept),
        _address(y),
    )
    return y, kept


def _block_backward(
    weights: list[Tensor],
    residual: int,
    x0: Tensor,
    x1: Tensor | None,
    kept: list[Tensor],
    dy: Tensor | None,
    da3: Tensor | None = None,
    extra: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor, list[Tensor]]:
    """Returns the gradients of both inputs, of the image bias (inner, B), and of the weights.

    That of the first input has `extra` added. Without `dy`, `da3` is the gradient before the last GELU.
    """
    height, width, channels, count = x0.shape
    inner = weights[0].shape[0]
    dx0, dx1 = torch.empty_like(x0), None if x1 is None else torch.empty_like(x1)
    d_bias = x0.new_empty(inner, count)
    # The columns of parents get their gradient through the image bias.
    grads = [torch.zeros_like(weights[0]), *map(torch.empty_like, weights[1:])]
    _kernels().block_backward(
        height,
        width,
        count // LANES,
        channels,
        _address(x0),
        0 if x1 is None else x1.shape[2],
        _address(x1),
        inner,
        weights[6].shape[0],
        weights[2].shape[-1],
        weights[0].shape[1],
        residual,
        _addresses(weights),
        *map(_address, kept),
        _address(dy),
        _address(da3),
        _address(extra),
        _address(dx0),
        _address(dx1),
        _address(d_bias),
        _addresses(grads),
    )
    return dx0, dx1, d_bias, grads


class _Block(torch.autograd.Function):
    """A residual block of one input, without its pooling."""

    @staticmethod
    def forward(ctx: Any, residual: int, x: Tensor, *weights: Tensor) -> Tensor:
        weights = [_packed(weight) for weight in weights]
        y, kept = _block_forward(weights, residual, None, x, None)
        ctx.residual = residual
        ctx.save_for_backward(x, *kept, *weights)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *rest = ctx.saved_tensors
        dx, _, _, grads = _block_backward(rest[3:], ctx.residual, x, None, rest[:3], dy.contiguous())
        return None, dx, *grads


class _Layer(torch.autograd.Function):
    """A stochastic layer: prior, posterior, sample and divergence, and the states that follow, before `body`."""

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
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        weights = [_packed(weight) for weight in weights]
        _, kept_p = _block_forward(weights[:8], 0, prior_bias, state, None, whole=False)
        _, kept_q = _block_forward(weights[8:16], 0, posterior_bias, h, activation, whole=False)
        height, width, channels, count = h.shape
        latent, following = noise.shape[2], weights[18].shape[0]
        z, u, kl = torch.empty_like(noise), torch.empty_like(h), h.new_empty(latent)
        after = None if last else h.new_empty(height, width, following, count)
        _kernels().latent_forward(
            height * width,
            count // LANES,
            latent,
            channels,
            following,
            weights[16].shape[1],
            weights[0].shape[0],
            *map(_address, (kept_p[2], kept_q[2], noise, h, latent_bias)),
            _addresses([*weights[16:], *weights[6:8], *weights[14:16]]),
            *map(_address, (z, kl, u, after)),
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
        grads = [torch.zeros_like(weights[16]), *map(torch.empty_like, [*weights[17:], *lasts])]
        _kernels().latent_backward(
            height * width,
            count // LANES,
            noise.shape[2],
            channels,
            weights[18].shape[0],
            weights[16].shape[1],
            weights[0].shape[0],
            *map(_address, (kept_p[2], kept_q[2], noise, du, dafter, dz, dkl)),
            _addresses([*weights[16:], *lasts]),
            *map(_address, (da3p, da3q, d_latent)),
            _addresses(grads),
        )
        dh, dactivation, d_posterior, grads_q = _block_backward(
            weights[8:16], 0, h, activation, kept_q, None, da3q, du
        )
        dstate, _, d_prior, grads_p = _block_backward(weights[:8], 0, state, None, kept_p, None, da3p)
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
    """Repeats every pixel of (H, W, C, B) up to a side, and adds a map (side, side, C, 1)."""

    @staticmethod
    def forward(ctx: Any, side: int, x: Tensor, bias: Tensor) -> Tensor:
        height, width, channels, count = ctx.shape = x.shape
        y = x.new_empty(side, side, channels, count)
        bias = bias.contiguous()
        _kernels().enlarge_forward(
            height, width, side // height, channels, count // LANES, *map(_address, (x, bias, y))
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        height, width, channels, count = ctx.shape
        dy = dy.contiguous()
        dx, dbias = dy.new_empty(ctx.shape), dy.new_empty(*dy.shape[:3], 1)
        _kernels().enlarge_backward(
            height, width, len(dy) // height, channels, count // LANES, *map(_address, (dy, dx, dbias))
        )
        return None, dx, dbias


class _Pool(torch.autograd.Function):
    """Means of (H, W, C, B) over squares of `factor` x `factor` pixels."""

    @staticmethod
    def forward(ctx: Any, factor: int, x: Tensor) -> Tensor:
        height, width, channels, count = x.shape
        ctx.factor = factor
        y = x.new_empty(height // factor, width // factor, channels, count)
        _kernels().pool_forward(*y.shape[:2], factor, channels, count // LANES, *map(_address, (x, y)))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[None, Tensor]:
        dy = dy.contiguous()
        height, width, channels, count = dy.shape
        dx = dy.new_empty(height * ctx.factor, width * ctx.factor, channels, count)
        _kernels().pool_backward(
            height, width, ctx.factor, channels, count // LANES, *map(_address, (dy, dx))
        )
        return None, dx


def _weights(block: Block) -> list[Tensor]:
    layers = [*block.layers, *([] if block.projection is None else [block.projection])]
    return [tensor for layer in layers for tensor in (layer.weight, layer.bias)]


def _residual(block: Block, h: Tensor) -> Tensor:
    """Applies a residual block to (H, W, C, B), with its pooling."""
    h = _Block.apply(1 if block.projection is None else 2, h, *_weights(block))
    if block.down > 1:
        h = _Pool.apply(block.down, h)
    return h


def _image_bias(weight: Tensor, parents: Tensor) -> Tensor:
    """Returns what parents (B, P), the last inputs of a 1x1 convolution, add to each image: (C, B)."""
    return weight[:, weight.shape[1] - parents.shape[1] :, 0, 0] @ parents.t()


def _interleave(x: Tensor) -> Tensor:
    """Returns a constant (B, C, H, W) as (H, W, C, B), copied unless it lies so already."""
    if not x.is_contiguous():
        return x.permute(2, 3, 1, 0).contiguous()
    count, channels, height, width = x.shape
    y = x.new_empty(height, width, channels, count)
    _kernels().interleave(count, channels, height * width, *map(_address, (x, y)))
    return y


def _encode(model: "Hvae", x: Tensor) -> list[Tensor]:
    h = model.encoder.stem(fold(x, model.patch)).permute(2, 3, 1, 0).contiguous()
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
    z, kl, u, state = _Layer.apply(
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
            h = _Enlarge.apply(resolution, h, starts[resolution])
            if block.latent:
                state = _Enlarge.apply(resolution, state, starts[resolution])
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
            _interleave(noise[len(latents)]),
            seen,
            activated,
        )
        latents.append(z.permute(3, 2, 0, 1))
        divergences.append(kl)
    # Channels-last again.
    h = h.permute(3, 0, 1, 2).contiguous().permute(0, 3, 1, 2)
    return discretised_gaussian_nll(x, *model.head(h, parents)).mean(), divergences, latents


def elbo(
    model: "Hvae",
    x: Tensor,
    parents: Tensor,
    noise: list[Tensor],
    free_bits: float = 0.0,
    prior_parents: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Returns what :meth:`counterfactory.nets.hvae.Hvae.elbo` returns; see there.

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

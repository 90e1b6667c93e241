r"""Fits the amount of sharpening of an image mechanism to the training images.

The steepness of an image is the mean squared difference between neighbouring pixels,

.. math:: S(x) = \operatorname{mean}\, (x_{i+1,j} - x_{i,j})^2 + \operatorname{mean}\, (x_{i,j+1} - x_{i,j})^2 .

The amount a of sharpening (:mod:`counterfactory.nets.sharpening`) is chosen such that reconstructions, predicted from
abducted latents and factual parents, have the same mean steepness as the images,

.. math:: \mathbb{E}\, S(m_a(z, \mathrm{pa})) = \mathbb{E}\, S(x), \qquad z \sim q(z \mid x, \mathrm{pa}).

It is found by bisection, because S increases with a. The fit uses images and parents of the train split, and neither a
predictor of attributes nor counterfactuals.

With a correction of grey levels (:mod:`counterfactory.models.image.levels`) the steepness does not determine a: peaks
inside strokes, which the correction removes, contribute to it as edges do. Then a is fitted to the share H of *hard*
pixels, those that are darker than 1/4 or brighter than 3/4 of the brightest pixel. Corrected reconstructions m and
counterfactual images :math:`x^*` together have the share of the images,

.. math:: \tfrac12 \big(H(m_a(z, \mathrm{pa})) + H(x^*_a)\big) = H(x).

Reconstructions have no pixel noise; in a counterfactual image it is carried over to places where a stroke no longer is,
and blurs it. Fitted to reconstructions only, a is too small for counterfactual images, and fitted to these only, images
without pixel noise are too hard and an intervention is undone less accurately. The interventions exchange parents
between images (:mod:`counterfactory.models.image.exchange`). If no amount has that share, reconstructions alone decide.

A bisection step is decided without computing S at its middle if a computed value implies it: S(a) is below the wanted
value at some a above the middle, or above it at some a below the middle, each by more than the rounding error of the
mean. Brent's method on a few images and the secant method on all of them first compute values next to the root, so that
most of the steps are implied. The result is that of the plain bisection, bit by bit.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...core.noise import derive_seed
from ...core.progress import progress
from ...nets.likelihood import standardise, unstandardise
from ...nets.pixels import to_pixels
from ...nets.sharpening import Sharpening
from .exchange import exchange_parents

__all__ = ["bisect", "estimate", "fit_sharpness", "hardness", "steepness"]

IMAGES, MOST, HALVINGS = 2_000, 8.0, 20
"""The number of training images used, the largest amount, and the number of bisection steps."""

LEVELED = 1_000
"""The number of training images used with a correction of grey levels."""

FEW = 64
"""The number of images on which the amount is first estimated."""

ROUNDING = 2e-6
"""A bound of the relative rounding error of a steepness, in float32."""


def steepness(x: Tensor) -> Tensor:
    """Returns the mean squared difference between neighbouring pixels of (B, C, H, W), rows plus columns."""
    return x.diff(dim=-1).square().mean() + x.diff(dim=-2).square().mean()


def hardness(x: Tensor) -> Tensor:
    """Returns the share of pixels of (B, C, H, W) that are below 1/4 or above 3/4 of the brightest of their image."""
    bright = x + 1.0
    ratio = bright / bright.flatten(1).amax(1).clamp(min=1e-6)[:, None, None, None]
    return ((ratio < 0.25) | (ratio > 0.75)).double().mean()


@torch.no_grad()
def fit_sharpness(mechanism: Any, images: Tensor, parents: Tensor, seed: int) -> None:
    """Sets the sharpness of a trained image mechanism in place; does nothing if its head does not sharpen.

    Arguments:
        mechanism: The image mechanism, in evaluation mode.
        images: Training images, uint8 with shape :math:`(N, C, H, W)`; the first 2,000 are used.
        parents: Their encoded parents, with shape :math:`(N, P)`.
        seed: The seed of the abducted latents.
    """
    head = mechanism.head
    if not head.sharpen:
        return
    device = head.sharpness.device
    x, parents = to_pixels(images[:IMAGES]).to(device), parents[:IMAGES].to(device)
    generator = torch.Generator().manual_seed(derive_seed(seed, "sharpness"))
    noise = [torch.randn(len(x), *shape, generator=generator).to(device) for shape in mechanism.noise_shapes]
    latents = [latent.z for latent in mechanism.abduct(x, parents, noise)]
    head.sharpness.zero_()
    # Sharpening is homogeneous, so it commutes with the gain of the exposure.
    brightness = mechanism.predict(latents, parents)[0] + 1.0
    wanted, mask = steepness(x), Sharpening(brightness)
    computed: dict[float, Tensor] = {}

    def steep(amount: float) -> Tensor:
        """Returns the steepness of the predictions, sharpened by `amount`, and computes it once."""
        if amount not in computed:
            computed[amount] = steepness(mask(amount).clamp(0.0, 2.0))
        return computed[amount]

    if mechanism.grey_levels is not None:
        part = slice(LEVELED)
        drawn = [latent[part] for latent in latents]
        head.sharpness.fill_(_leveled(mechanism, x[part], parents[part], drawn, generator))
        return
    few = Sharpening(brightness[:FEW])
    start = estimate(lambda amount: steepness(few(amount).clamp(0.0, 2.0)), steepness(x[:FEW]))
    head.sharpness.fill_(bisect(steep, wanted, computed, start))


def _leveled(
    mechanism: Any, x: Tensor, parents: Tensor, latents: list[Tensor], generator: torch.Generator
) -> float:
    """Returns the amount of sharpening of a mechanism that corrects grey levels.

    Arguments:
        mechanism: The image mechanism, with a sharpness of 0.
        x: Images in [-1, 1], with shape (B, C, H, W).
        parents: Their encoded parents, with shape (B, P).
        latents: Their latents, one tensor per layer.
        generator: The source of the interventions.
    """
    levels = mechanism.grey_levels
    after = exchange_parents(parents, levels.variables, generator)
    location, log_scale = mechanism.predict(latents, parents)
    location_after, log_scale_after = mechanism.predict(latents, after)
    # Sharpening is homogeneous, so it commutes with the gain of the exposure.
    before, then = Sharpening(location + 1.0), Sharpening(location_after + 1.0)

    def reconstructed(amount: float) -> Tensor:
        """Returns the share of hard pixels of the reconstructions, sharpened by `amount`."""
        return hardness(levels.correct(x, before(amount).clamp(0.0, 2.0) - 1.0, parents, parents))

    def both(amount: float) -> Tensor:
        """Returns the share of reconstructions and counterfactual images."""
        residual = levels.censor(x, standardise(x, before(amount) - 1.0, log_scale), parents, after)
        predicted = unstandardise(residual, then(amount) - 1.0, log_scale_after)
        return (reconstructed(amount) + hardness(levels(x, predicted, parents, after))) / 2

    wanted = hardness(x)
    return bisect(both if both(MOST) >= wanted else reconstructed, wanted, {}, 0.0)


def estimate(steep: Callable[[float], Tensor], wanted: Tensor) -> float:
    """Returns the amount at which `steep` is `wanted`, to 1 %; 0 or :data:`MOST` if it is outside of that range."""
    from scipy.optimize import brentq

    if not steep(0.0) < wanted:
        return 0.0
    if not wanted < steep(MOST):
        return MOST
    return brentq(lambda amount: float(steep(amount) - wanted), 0.0, MOST, xtol=1e-4, rtol=0.01)


def bisect(
    steep: Callable[[float], Tensor], wanted: Tensor, computed: dict[float, Tensor], start: float
) -> float:
    """Returns the lower end of the interval to which bisection narrows the range from 0 to :data:`MOST`.

    Arguments:
        steep: An increasing function of the amount of sharpening, up to a relative error of :data:`ROUNDING`.
        wanted: The value that is searched for, with shape ().
        computed: The values of `steep` so far, by amount; `steep` adds to it.
        start: An estimate of the amount; it does not change the result.
    """
    if 0.0 < start < MOST:
        _approach(steep, wanted, start)
    low, high = 0.0, MOST
    steps = progress(range(HALVINGS), label="sharpness", unit="bisections")
    for _ in steps:
        middle = (low + high) / 2
        below = any(a >= middle and s < wanted * (1 - ROUNDING) for a, s in computed.items())
        above = any(a <= middle and s > wanted * (1 + ROUNDING) for a, s in computed.items())
        if below == above:
            below = bool(steep(middle) < wanted)
        low, high = (middle, high) if below else (low, middle)
        steps.set(amount=low, computed=len(computed))
    return low


def _approach(steep: Callable[[float], Tensor], wanted: Tensor, start: float) -> None:
    """Computes the steepness near the amount at which it is `wanted`, on both sides."""
    from scipy.optimize import newton

    def error(amount: float) -> float:
        return float(steep(min(max(float(amount), 0.0), MOST)) - wanted)

    slope = (error(1.05 * start) - error(start)) / (0.05 * start)
    if slope <= 0.0:
        return
    # The distance at which the steepness differs from the wanted one by twice the rounding error.
    near = 2.0 * ROUNDING * float(wanted) / slope
    root = newton(error, start, x1=1.05 * start, tol=near, maxiter=6, disp=False)
    error(root - near)
    error(root + near)

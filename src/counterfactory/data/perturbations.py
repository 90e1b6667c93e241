r"""Computes the perturbations of Morpho-MNIST: strokes are thinned, thickened, locally swollen or fractured.

Each acts on the binary image :math:`b` on a grid :math:`s = 4` times finer, with its skeleton :math:`S`, the distance
:math:`d` to the background in fine pixels and the mean thickness
:math:`\bar t = \tfrac{2}{s}\,\mathrm{mean}_{S}\,d` (px). The result is downscaled.

- thin, thicken: erosion or dilation by a disk of radius :math:`\lfloor a s \bar t / 2 \rfloor`, where the amount
  :math:`a` is the fraction of the thickness that is removed (0.7) or added (1);
- swell: within :math:`R = \tfrac{s}{2} \rho \sqrt{\bar t}` of a random point :math:`r_0` of the skeleton, a
  radial power warp moves the stroke outwards, with :math:`g = 3` and :math:`\rho = 7`:

  .. math:: b'(r) = b\big(r_0 + (r - r_0) (|r - r_0| / R)^{g - 1}\big)

- fracture: at random points of the skeleton, away from its tips and forks, gaps are cut across the stroke.

`plain` is the effect of the scaling alone: the binary image, downscaled. The published data sets `global` and `local`
mix plain digits with thinned and thickened ones, or with swollen and fractured ones.

The amounts are those of the published data sets, which were generated without a seed: they can be reproduced only in
distribution.

References:
    | Morpho-MNIST: Quantitative Assessment and Diagnostics for Representation Learning (Castro et al., 2019)
    | https://arxiv.org/abs/1809.10780
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.draw import line
from skimage.morphology import isotropic_dilation, isotropic_erosion
from skimage.transform import warp

from ..core.errors import UserError
from ..core.noise import generator
from .morphology import Analysis, analyse, downscale

__all__ = ["KINDS", "MIXES", "SCALE", "fracture", "mix", "perturb", "swell", "thicken", "thin"]

SCALE = 4

KINDS = ("plain", "thin", "thicken", "swell", "fracture")
"""The kinds of perturbation, in the order of the published labels 0 to 4."""

MIXES = {"global": ("plain", "thin", "thicken"), "local": ("plain", "swell", "fracture")}
"""The published mixtures of three kinds with equal probability."""


def perturb(
    images: np.ndarray, kind: str | Sequence[str], seed: int, indices: Sequence[int] | None = None
) -> np.ndarray:
    """Perturbs images.

    The random numbers of an image are a function of the seed, the kind and the index of the image, independent of the
    batch.

    Arguments:
        images: Grey levels 0-255, uint8 (N, H, W).
        kind: One of :data:`KINDS` for all images, or one for each image.
        seed: Any integer.
        indices: The index of each image; by default 0, ..., N - 1.

    Returns:
        The perturbed images, uint8 (N, H, W). An image without strokes (nearly constant) is returned unchanged.

    Raises:
        UserError: If a kind is unknown, or the numbers of images, kinds and indices differ.
    """
    if images.ndim != 3 or images.dtype != np.uint8:
        raise UserError(f"perturb: images must be uint8 (N, H, W), not {images.dtype} {images.shape}")
    kinds = [kind] * len(images) if isinstance(kind, str) else list(kind)
    indices = range(len(images)) if indices is None else indices
    if not len(images) == len(kinds) == len(indices):
        raise UserError(
            f"perturb: {len(images)} images, {len(kinds)} kinds, {len(indices)} indices; the numbers must be equal"
        )
    for unknown in sorted(set(kinds) - set(KINDS)):
        raise UserError(f"perturb: '{unknown}' is not a kind; choose one of {', '.join(KINDS)}")
    result = np.empty_like(images)
    for target, image, name, index in zip(result, images, kinds, indices, strict=True):
        target[:] = _perturb_one(image, name, generator(seed, "perturbation", name, int(index)))
    return result


def mix(
    images: np.ndarray, name: str, seed: int, indices: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Perturbs each image by one of three kinds, drawn with equal probability.

    An image with the label of a kind equals the image that :func:`perturb` returns for this kind, seed and index.

    Arguments:
        images: Grey levels 0-255, uint8 (N, H, W).
        name: One of :data:`MIXES`.
        seed: Any integer.
        indices: The index of each image; by default 0, ..., N - 1.

    Returns:
        The perturbed images, uint8 (N, H, W), and their labels, the positions of their kinds in :data:`KINDS`, uint8
        (N,).

    Raises:
        UserError: If the mix is unknown, or the numbers of images and indices differ.
    """
    if name not in MIXES:
        raise UserError(f"mix: '{name}' is not a mix; choose one of {', '.join(MIXES)}")
    indices = range(len(images)) if indices is None else indices
    kinds = [MIXES[name][generator(seed, "mix", name, int(index)).integers(3)] for index in indices]
    return perturb(images, kinds, seed, indices), np.array([KINDS.index(kind) for kind in kinds], np.uint8)


def thin(analysis: Analysis, scale: int = SCALE, amount: float = 0.7) -> np.ndarray:
    """Removes the fraction `amount` of the mean thickness; thinner strokes vanish.

    Returns:
        The binary image, bool (H s, W s).
    """
    return isotropic_erosion(analysis.binary, _radius(analysis, scale, amount))


def thicken(analysis: Analysis, scale: int = SCALE, amount: float = 1.0) -> np.ndarray:
    """Adds the fraction `amount` of the mean thickness.

    Returns:
        The binary image, bool (H s, W s).
    """
    return isotropic_dilation(analysis.binary, _radius(analysis, scale, amount))


def swell(
    analysis: Analysis,
    rng: np.random.Generator,
    scale: int = SCALE,
    strength: float = 3.0,
    radius: float = 7.0,
) -> np.ndarray:
    r"""Swells the stroke around a random point of its skeleton.

    Arguments:
        analysis: The analysis of the image.
        rng: The generator that draws the point.
        scale: The factor s of the fine grid.
        strength: The exponent g; 1 is the identity.
        radius: The constant :math:`\rho`, which is R in px for a mean thickness of 4 px.

    Returns:
        The foreground fraction of each fine pixel, float64 (H s, W s).
    """
    points = np.argwhere(analysis.skeleton)
    centre = points[rng.integers(len(points))][::-1]  # (x, y), the order of warp
    reach = 0.5 * scale * radius * np.sqrt(_mean_thickness(analysis, scale))

    def source(xy: np.ndarray) -> np.ndarray:
        offset = xy - centre
        distance = np.hypot(offset[:, 0], offset[:, 1])
        return centre + offset * np.minimum(distance / reach, 1.0)[:, None] ** (strength - 1.0)

    return warp(analysis.binary.astype(np.float64), source, order=1)


def fracture(
    analysis: Analysis,
    rng: np.random.Generator,
    scale: int = SCALE,
    width: float = 1.5,
    prune: float = 2.0,
    count: int = 3,
) -> np.ndarray:
    """Cuts gaps across the stroke.

    Arguments:
        analysis: The analysis of the image.
        rng: The generator that draws the points, with replacement.
        scale: The factor s of the fine grid.
        width: The width of a gap in px.
        prune: The distance in px of the points from tips and forks of the skeleton, if it has such points.
        count: The number of gaps, which may coincide.

    Returns:
        The binary image, bool (H s, W s).
    """
    skeleton = inner = analysis.skeleton
    for neighbours in (1, 3):  # tips, then the forks of the remaining skeleton
        inner = _erase(inner, _neighbours(inner) == neighbours, int(prune * scale))
    points = np.argwhere(inner if inner.any() else skeleton)
    brush = int(np.ceil((width * scale - 1.0) / 2.0))
    gaps = np.zeros(np.add(skeleton.shape, 2 * brush), bool)  # with a margin: a gap may leave the image
    for point in points[rng.integers(len(points), size=count)]:
        reach = analysis.distance[tuple(point)] + 0.5 * scale
        across = _direction(skeleton, point, 2 * scale) + np.pi / 2.0
        offset = reach * np.array([np.sin(across), np.cos(across)])
        y, x = line(*(point + offset).astype(int) + brush, *(point - offset).astype(int) + brush)
        inside = (y >= 0) & (y < gaps.shape[0]) & (x >= 0) & (x < gaps.shape[1])  # type: ignore[misc]
        gaps[y[inside], x[inside]] = True
    gaps = isotropic_dilation(gaps, brush)[brush:, brush:][: skeleton.shape[0], : skeleton.shape[1]]
    return analysis.binary & ~gaps


def _perturb_one(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    analysis = analyse(image, SCALE)
    if not analysis.skeleton.any():
        return image
    match kind:
        case "thin":
            fine = thin(analysis)
        case "thicken":
            fine = thicken(analysis)
        case "swell":
            fine = swell(analysis, rng)
        case "fracture":
            fine = fracture(analysis, rng)
        case _:
            fine = analysis.binary
    return downscale(fine, SCALE)


def _mean_thickness(analysis: Analysis, scale: int) -> float:
    """Returns the mean thickness in px."""
    return 2.0 / scale * float(np.mean(analysis.distance[analysis.skeleton]))


def _radius(analysis: Analysis, scale: int, amount: float) -> int:
    """Returns the radius, in fine pixels, that changes the thickness by the fraction `amount`."""
    return int(amount * scale * _mean_thickness(analysis, scale) / 2.0)


def _erase(skeleton: np.ndarray, seeds: np.ndarray, radius: int) -> np.ndarray:
    """Removes the pixels of the skeleton within `radius` fine pixels of any of the `seeds`."""
    # Without a seed the distance to the nearest one is undefined, and scipy returns small values in a corner.
    return skeleton & ~isotropic_dilation(seeds, radius) if seeds.any() else skeleton


def _neighbours(skeleton: np.ndarray) -> np.ndarray:
    """Returns the number of skeleton pixels among the 8 neighbours of each skeleton pixel, and zero elsewhere."""
    around = ndimage.convolve(skeleton.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant")
    return (around - 1) * skeleton


def _direction(skeleton: np.ndarray, point: np.ndarray, reach: int) -> float:
    """Returns the angle between the x axis and the principal axis of the skeleton within `reach` of `point`."""
    top, left = np.maximum(point - reach, 0)
    y, x = np.nonzero(skeleton[top : point[0] + reach + 1, left : point[1] + reach + 1])
    y, x = y - y.mean(), x - x.mean()
    return 0.5 * float(np.arctan2(2.0 * np.mean(x * y), np.mean(x * x) - np.mean(y * y)))

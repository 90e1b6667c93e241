r"""Pendulum: a simulated world of four variables, and the data set sampled from it.

A pendulum hangs in front of a light and casts a shadow on the ground (CausalVAE, Yang et al., 2021, arXiv:2004.08697;
used by CausalDiffAE, Komanduri et al., 2024, arXiv:2404.17735). The angle a of the pendulum and the angle l of the
light cause the length and the position of the shadow, and all four variables cause the image. Angles are in gon, 400 to
the full circle. With the pivot P = (10, 10.5), the tip T = (10 + 9.5 sin a, 10.5 - 9.5 cos a), and a ray through (x, y)
that reaches the ground at x + (-0.5 - y) cot l,

.. math::
    a \sim U(-40, 44), \quad l \sim U(60, 148), \quad
    s = \max(3, |s_T - s_P|)\, e^{0.1 u_s}, \quad p = \tfrac12 (s_T + s_P) + 0.5\, u_p

where :math:`s_P, s_T` are the points at which the rays through P and T reach the ground, and :math:`u_s, u_p` are
standard normal. The published world has no such noise (the shadow is a function of the angles), and its angles and
labels are integers. A shadow without noise of its own has no density and no noise to abduct. Here the noises are
stored, so that every counterfactual of the parents is known exactly.

The geometry of the image is the published one: a red bob (radius 1.5, at a distance of 8 from the pivot), its black
rod, an orange sun (radius 3, at the height 20.5 on the ray through the pivot) and the shadow, a black bar one unit
thick on the ground. The image is a function of the four variables without noise, so the true counterfactual image
exists for every intervention: the bob is drawn from `angle`, the sun from `light`, and the shadow from its own two
variables, regardless of their causes. The view contains all that the process generates; a shadow set to an extreme
length and position is cut off.

The coverage of a pixel by discs and rods follows from its signed distance to them, the coverage by the shadow from its
exact area. :func:`measure` therefore recovers all four variables to a fraction of a pixel.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from ..core.errors import UserError
from ..core.noise import generator
from .action import read_action
from .dataset import declared
from .drawn import measure_chunks, permuted, render_parents, write_drawn

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = [
    "BLANK",
    "DATASET",
    "abduct",
    "counterfactual_parents",
    "log_density",
    "measure",
    "render",
    "render_counterfactual",
    "sample_parents",
    "shadow_of",
    "synthesise",
]

DATASET = declared("pendulum")

BLANK = {"shadow_length": 0.0}
"""The measurements of a blank image: a shadow of length 0, but no angle and no position."""

_ROOTS = {"angle": (-40.0, 44.0), "light": (60.0, 148.0)}
_NAMES = DATASET.names
_PIVOT = (10.0, 10.5)
_ROD, _TIP, _BOB, _SUN, _SUN_HEIGHT = 8.0, 9.5, 1.5, 3.0, 20.5
_GROUND, _THICK, _SHORTEST = -0.5, 1.0, 3.0
_LENGTH_SPREAD, _POSITION_SPREAD = 0.1, 0.5

_LEFT, _TOP, _VIEW = -3.0, 24.0, 26.0  # the view is a square of 26 units from (-3, -2) to (23, 24)
_ORANGE, _RED = (255.0, 165.0, 0.0), (178.0, 34.0, 34.0)

Columns: TypeAlias = Mapping[str, np.ndarray] | pd.DataFrame


def synthesise(
    settings: "DataSettings",
    confounded: bool,
    digits: Path | str | None,
    out: Path | str,
    threads: int = 1,
) -> None:
    """Writes the data set: its four splits and `dataset.json`.

    The parents of a row are a function of the seed, the split and the row, independent of the sizes of the splits.

    Arguments:
        settings: The section `data`.
        confounded: Whether the shadow depends on the angles in the judges' split too. If not, its lengths and its
            positions are permuted within that split, each separately: each variable keeps its marginal, and all become
            independent. The noises are then those that the process requires for these values.
        digits: Not used.
        out: The folder of the data set.
        threads: Not used.
    """

    def sample(split: str, count: int) -> pd.DataFrame:
        attributes = sample_parents(count, settings.seed, split)
        independent = split == "judges" and not confounded
        return _unconfounded(attributes, settings.seed) if independent else attributes

    write_drawn("pendulum", settings, out, sample, render)


def sample_parents(n: int, seed: int, *names: str | int) -> pd.DataFrame:
    """Samples the four variables with their noises.

    Arguments:
        n: The number of rows; the first n rows of a longer sample are the same.
        seed: Any integer.
        names: Names of the random streams, for several samples under one seed.

    Returns:
        Columns `angle`, `light` (gon), `shadow_length`, `shadow_position` (units), and a standard normal
        `noise_<variable>` of each, n rows.
    """
    noises = {name: generator(seed, "parents", *names, name).standard_normal(n) for name in _NAMES}
    values = {name: low + (high - low) * ndtr(noises[name]) for name, (low, high) in _ROOTS.items()}
    length, position = shadow_of(values["angle"], values["light"])
    values["shadow_length"] = length * np.exp(_LENGTH_SPREAD * noises["shadow_length"])
    values["shadow_position"] = position + _POSITION_SPREAD * noises["shadow_position"]
    return pd.DataFrame(values | {f"noise_{name}": noise for name, noise in noises.items()})


def shadow_of(angle: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the length and the position of the shadow without noise, both float64 (N,), in units.

    Arguments:
        angle: The angle of the pendulum in gon, (N,).
        light: The angle of the light in gon, (N,); at 0 and 200 it is level with the ground and there is no shadow.

    Raises:
        UserError: If a light is not above the ground.
    """
    angle, cot = _radians(angle), _cotangent(light)
    tip_x, tip_y = _PIVOT[0] + _TIP * np.sin(angle), _PIVOT[1] - _TIP * np.cos(angle)
    pivot_end = _PIVOT[0] + (_GROUND - _PIVOT[1]) * cot
    tip_end = tip_x + (_GROUND - tip_y) * cot
    return np.maximum(_SHORTEST, np.abs(tip_end - pivot_end)), 0.5 * (tip_end + pivot_end)


def abduct(attributes: Columns) -> pd.DataFrame:
    """Returns the exogenous noises of given values.

    Arguments:
        attributes: The four variables, each (N,).

    Returns:
        A column `noise_<variable>` for each variable, standard normal where the values come from the process; infinite
        for an angle at the end of its range or outside of it.

    Raises:
        UserError: If a length is not above 0, or a light is not above the ground.
    """
    values = {name: np.asarray(attributes[name], np.float64) for name in _NAMES}
    if not np.all(values["shadow_length"] > 0.0):
        raise UserError(f"shadow_length: must be above 0 units; found {np.nanmin(values['shadow_length']):g}")
    noises = {
        name: ndtri(np.clip((values[name] - low) / (high - low), 0.0, 1.0))
        for name, (low, high) in _ROOTS.items()
    }
    length, position = shadow_of(values["angle"], values["light"])
    noises["shadow_length"] = np.log(values["shadow_length"] / length) / _LENGTH_SPREAD
    noises["shadow_position"] = (values["shadow_position"] - position) / _POSITION_SPREAD
    return pd.DataFrame({f"noise_{name}": noises[name] for name in _NAMES})


def counterfactual_parents(attributes: Columns, do: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the true parents after an intervention, by abduction, action and prediction in the true process.

    An intervention on either angle changes the shadow, whose noises are kept. A variable that is not set, and has no
    cause that is set, keeps its value to the last bit.

    Arguments:
        attributes: The factual values of the four variables, each (N,).
        do: The value each variable is set to, (N,), NaN where it is not set; variables may be left out.

    Returns:
        The four variables after the intervention, float64 (N,).

    Raises:
        UserError: If `do` names another variable, or the process generates no such value.
    """
    factual, action = read_action(_NAMES, attributes, do)
    noises = abduct(factual)
    after = {name: np.where(np.isnan(action[name]), factual[name], action[name]) for name in _NAMES}
    length, position = shadow_of(after["angle"], after["light"])
    predicted = {
        "shadow_length": length * np.exp(_LENGTH_SPREAD * noises["noise_shadow_length"].to_numpy()),
        "shadow_position": position + _POSITION_SPREAD * noises["noise_shadow_position"].to_numpy(),
    }
    turned = ~np.isnan(action["angle"]) | ~np.isnan(action["light"])
    for name, values in predicted.items():
        after[name] = np.where(turned & np.isnan(action[name]), values, after[name])
    return after


def log_density(
    angle: np.ndarray, light: np.ndarray, shadow_length: np.ndarray, shadow_position: np.ndarray
) -> pd.DataFrame:
    """Returns the log density of the true process, in nats, with angles in gon and the shadow in units.

    Arguments:
        angle: The angle of the pendulum, (N,).
        light: The angle of the light, (N,).
        shadow_length: The length of the shadow, (N,).
        shadow_position: The position of its middle, (N,).

    Returns:
        One column per variable, given its causes; their sum is the joint log density.
    """
    values = {"angle": np.asarray(angle, np.float64), "light": np.asarray(light, np.float64)}
    columns = {
        name: np.where((values[name] >= low) & (values[name] <= high), -np.log(high - low), -np.inf)
        for name, (low, high) in _ROOTS.items()
    }
    length, position = shadow_of(values["angle"], values["light"])
    found = np.asarray(shadow_length, np.float64)
    normal = -0.5 * np.log(2.0 * np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = np.log(found / length) / _LENGTH_SPREAD
        density = normal - 0.5 * noise**2 - np.log(_LENGTH_SPREAD * found)
    columns["shadow_length"] = np.where(found > 0.0, density, -np.inf)
    noise = (np.asarray(shadow_position, np.float64) - position) / _POSITION_SPREAD
    columns["shadow_position"] = normal - 0.5 * noise**2 - np.log(_POSITION_SPREAD)
    return pd.DataFrame(columns)


def render(parents: Columns, size: int) -> np.ndarray:
    """Renders images from the four variables.

    Arguments:
        parents: The four variables, each (N,).
        size: Height and width of an image in px.

    Returns:
        RGB images on white, uint8 (N, 3, size, size).

    Raises:
        UserError: If a light is not above the ground.
    """
    angle, cot = _radians(parents["angle"])[:, None, None], _cotangent(parents["light"])[:, None, None]
    length, middle = (
        np.asarray(parents[f"shadow_{name}"], np.float64)[:, None] for name in ("length", "position")
    )
    x, y, pixel = _grid(size)
    columns, rows = x[None, None, :], y[None, :, None]
    along = np.sin(angle), -np.cos(angle)  # the direction of the rod, from the pivot

    def disc(centre_x: np.ndarray, centre_y: np.ndarray, radius: float) -> np.ndarray:
        return np.clip(0.5 + (radius - np.hypot(columns - centre_x, rows - centre_y)) / pixel, 0.0, 1.0)

    sun = disc(_PIVOT[0] + (_SUN_HEIGHT - _PIVOT[1]) * cot, np.full_like(cot, _SUN_HEIGHT), _SUN)
    bob = disc(_PIVOT[0] + _ROD * along[0], _PIVOT[1] + _ROD * along[1], _BOB)
    # The distance from the pivot of the point of the rod that is nearest to the pixel.
    nearest = np.clip((columns - _PIVOT[0]) * along[0] + (rows - _PIVOT[1]) * along[1], 0.0, _ROD)
    rod = disc(_PIVOT[0] + nearest * along[0], _PIVOT[1] + nearest * along[1], 0.5 * _THICK)
    across = _overlap(x[None], pixel, middle - 0.5 * length, middle + 0.5 * length)
    upwards = _overlap(y[None], pixel, _GROUND - 0.5 * _THICK, _GROUND + 0.5 * _THICK)
    shadow = upwards[:, :, None] * across[:, None, :]

    canvas = np.full((len(angle), 3, size, size), 255.0)
    for coverage, colour in ((sun, _ORANGE), (bob, _RED), (rod, (0.0,) * 3), (shadow, (0.0,) * 3)):
        canvas += coverage[:, None] * (np.array(colour)[None, :, None, None] - canvas)
    return np.round(canvas).astype(np.uint8)


def render_counterfactual(
    data: Path | str, attributes: pd.DataFrame, parents: dict[str, np.ndarray], threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the true counterfactual images, which are functions of the parents.

    Arguments:
        data: The folder of the data set, from which the size of the images is read.
        attributes: Not used.
        parents: The four variables after the intervention, each (N,).
        threads: Not used.

    Returns:
        Images, uint8 (N, 3, H, W), and for each whether it is determined, bool (N,): always true.

    Raises:
        UserError: If the data set is missing or a light is not above the ground.
    """
    return render_parents(render, data, parents, _NAMES)


def measure(images: np.ndarray, threads: int = 1) -> pd.DataFrame:
    """Measures the four variables in the pixels.

    Every pixel is decomposed into a mixture of white, orange, red and black, which its three channels determine. The
    angle is the direction from the pivot to the centre of the red mass, the light that to the centre of the orange
    mass. The length of the shadow is the black area on the ground divided by its thickness, its position the centre of
    that area. Only the part of a shadow inside the view is measured.

    Arguments:
        images: uint8 (N, 3, H, W), H = W.
        threads: Not used.

    Returns:
        Columns `angle`, `light`, `shadow_length`, `shadow_position`, N rows; NaN where the image has no pixel of the
        colour.
    """
    return measure_chunks(_measure, images, _NAMES)


def _measure(images: np.ndarray) -> pd.DataFrame:
    x, y, pixel = _grid(images.shape[-1])
    # Colour = w white + o orange + r red + (1 - w - o - r) black, solved for w, o and r.
    mixture = np.linalg.inv(np.array([(255.0,) * 3, _ORANGE, _RED]).T)
    white, orange, red = np.einsum("ij,njhw->inhw", mixture, images.astype(np.float64))
    black = 1.0 - white - orange - red

    def middle(amount: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        amount = np.where(amount > 0.05, amount, 0.0)  # less is blur or noise
        with np.errstate(invalid="ignore"):
            total = amount.sum((1, 2))
            return (amount.sum(1) @ x) / total, (amount.sum(2) @ y) / total

    bob_x, bob_y = middle(red)
    sun_x, _ = middle(orange)
    ground = np.abs(y - _GROUND) < 0.5 * (_THICK + pixel)
    shadow = black * ground[None, :, None]
    length = np.where(shadow > 0.05, shadow, 0.0).sum((1, 2)) * pixel**2 / _THICK
    return pd.DataFrame(
        {
            "angle": np.arctan2(bob_x - _PIVOT[0], _PIVOT[1] - bob_y) * 200.0 / np.pi,
            "light": np.arctan2(_SUN_HEIGHT - _PIVOT[1], sun_x - _PIVOT[0]) * 200.0 / np.pi,
            "shadow_length": np.where(length > 0.0, length, np.nan),
            "shadow_position": middle(shadow)[0],
        }
    )


def _unconfounded(attributes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Permutes the lengths and the positions of the shadows, so that they are independent of the angles."""
    attributes = permuted(attributes, ("shadow_length", "shadow_position"), seed)
    return attributes.assign(
        **{name: values for name, values in abduct(attributes).items() if "shadow" in name}
    )


def _radians(gon: np.ndarray) -> np.ndarray:
    return np.asarray(gon, np.float64) * (np.pi / 200.0)


def _cotangent(light: np.ndarray) -> np.ndarray:
    """Returns the cotangent of the angle of the light, finite at 100 gon, where the light is vertical."""
    light = np.asarray(light, np.float64)
    if not np.all((light > 0.0) & (light < 200.0)):
        raise UserError(
            f"light: must be between 0 and 200 gon; found {np.nanmin(light):g} to {np.nanmax(light):g}"
        )
    return np.cos(_radians(light)) / np.sin(_radians(light))


def _grid(size: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the centres of the columns (size,) and of the rows (size,), and the side of a pixel, in units."""
    pixel = _VIEW / size
    middles = (np.arange(size) + 0.5) * pixel
    return _LEFT + middles, _TOP - middles, pixel


def _overlap(
    middles: np.ndarray, pixel: float, low: np.ndarray | float, high: np.ndarray | float
) -> np.ndarray:
    """Returns the fraction of each interval of length `pixel` around `middles` that is between `low` and `high`."""
    inside = np.minimum(middles + 0.5 * pixel, high) - np.maximum(middles - 0.5 * pixel, low)
    return np.clip(inside / pixel, 0.0, 1.0)

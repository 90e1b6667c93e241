r"""Causal circuit: a simulated world of a robot arm and three lights, and the data set sampled from it.

The arm moves along an arc in front of three buttons. Each button switches the light behind it, and the blue and the
green light also switch the red one: arm -> blue, green, red; blue -> red; green -> red. The variables and the graph are
those of CausalCircuit (Brehmer et al., 2022, arXiv:2203.16437; used by CausalDiffAE, Komanduri et al., 2024,
arXiv:2404.17735), whose images are rendered by a physics engine that is not public. This is a toy in two dimensions:
its equations and its images are not the published ones.

The position a of the arm and the intensities of the lights are between 0 and 1. The arm at the position
:math:`a_k` (1/6 for blue, 1/2 for green, 5/6 for red) presses the button k fully,

.. math:: q_k = \exp\left(-\frac{(a - a_k)^2}{2 \cdot 0.12^2}\right)

and a light of mean m is the quantile of a Beta variable at its standard normal noise,

.. math::
    a &= \Phi(u_a) \\
    b &= B^{-1}(\Phi(u_b); 0.2 + 0.6\, q_b), \qquad g = B^{-1}(\Phi(u_g); 0.2 + 0.6\, q_g) \\
    r &= B^{-1}\big(\Phi(u_r); 0.2 + 0.6 \,(1 - (1 - q_r)(1 - b)(1 - g))\big)

where :math:`B(\cdot; m)` is the cumulative distribution function of Beta(8 m, 8 (1 - m)). Every value is strictly
increasing in its noise, so noises are abducted exactly.

The image is a function of the four variables without noise, so the true counterfactual image exists for every
intervention. It shows, on black, a grey arm that turns about a fixed joint, with an orange tip, the three grey buttons
under the arc of the tip, and behind them the lights: blue, green and red from left to right, with a brightness linear
in the intensity. Arm and lights do not overlap, and :func:`measure` recovers all four variables from the pixels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import betainc, betaincc, betainccinv, betaincinv, betaln, ndtr, ndtri, xlog1py, xlogy

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
    "means",
    "measure",
    "render",
    "render_counterfactual",
    "sample_parents",
    "synthesise",
]

DATASET = declared("causal_circuit")

BLANK: dict[str, float] = {}
"""An image without an orange tip has no position of the arm; lights can always be measured."""

_NAMES = DATASET.names
_LIGHTS = ("blue", "green", "red")
_BUTTONS = {"blue": 1.0 / 6.0, "green": 0.5, "red": 5.0 / 6.0}
_REACH, _LOW, _SPAN, _CONCENTRATION = 0.12, 0.2, 0.6, 8.0

_VIEW = 20.0  # the view is a square of 20 units with the origin at its lower left corner
_JOINT, _ARC = (
    (10.0, 2.5),
    np.deg2rad(108.0),
)  # the arm turns from 54 degrees left of the vertical to 54 right of it
_ARM, _ARM_WIDTH, _TIP = 8.4, 1.2, 1.2
_DISTANCE, _RADIUS, _BUTTON = 13.0, 2.3, 1.0
_CHANNEL = {"red": 0, "green": 1, "blue": 2}
_DIM = 0.15  # the brightness of a light of intensity 0, so that it is visible
_ORANGE, _GREY, _DARK = (255.0, 140.0, 0.0), (150.0,) * 3, (70.0,) * 3

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
        confounded: Whether the lights depend on their causes in the judges' split too. If not, the intensities of each
            light are permuted within that split, each separately: each variable keeps its marginal, and all become
            independent. The noises are then those that the process requires for these values.
        digits: Not used.
        out: The folder of the data set.
        threads: Not used.
    """

    def sample(split: str, count: int) -> pd.DataFrame:
        attributes = sample_parents(count, settings.seed, split)
        independent = split == "judges" and not confounded
        return _unconfounded(attributes, settings.seed) if independent else attributes

    write_drawn("causal_circuit", settings, out, sample, render)


def sample_parents(n: int, seed: int, *names: str | int) -> pd.DataFrame:
    """Samples the four variables with their noises.

    Arguments:
        n: The number of rows; the first n rows of a longer sample are the same.
        seed: Any integer.
        names: Names of the random streams, for several samples under one seed.

    Returns:
        Columns `arm`, `blue`, `green`, `red`, between 0 and 1, and a standard normal `noise_<variable>` of each, n
        rows.
    """
    noises = {
        name: generator(seed, "parents", "causal_circuit", *names, name).standard_normal(n) for name in _NAMES
    }
    values = {"arm": ndtr(noises["arm"])}
    for name in _LIGHTS:
        values[name] = _quantile(noises[name], means(values, name))
    return pd.DataFrame(values | {f"noise_{name}": noise for name, noise in noises.items()})


def means(values: Columns, light: str) -> np.ndarray:
    """Returns the mean of a light given its causes, float64 (N,), between 0.2 and 0.8.

    Arguments:
        values: The causes: `arm`, and for the red light `blue` and `green`, each (N,).
        light: `blue`, `green` or `red`.
    """
    arm = np.asarray(values["arm"], np.float64)
    pressed = np.exp(-0.5 * ((arm - _BUTTONS[light]) / _REACH) ** 2)
    if light == "red":
        off = [1.0 - np.clip(np.asarray(values[name], np.float64), 0.0, 1.0) for name in ("blue", "green")]
        pressed = 1.0 - (1.0 - pressed) * off[0] * off[1]
    return _LOW + _SPAN * pressed


def abduct(attributes: Columns) -> pd.DataFrame:
    """Returns the exogenous noises of given values.

    Arguments:
        attributes: The four variables, each (N,).

    Returns:
        A column `noise_<variable>` for each variable, standard normal where the values come from the process; infinite
        for values of 0 and 1.

    Raises:
        UserError: If a value is not between 0 and 1.
    """
    values = {name: np.asarray(attributes[name], np.float64) for name in _NAMES}
    for name, value in values.items():
        if not np.all((value >= 0.0) & (value <= 1.0)):
            raise UserError(
                f"{name}: must be between 0 and 1; found {np.nanmin(value):g} to {np.nanmax(value):g}"
            )
    noises = {"noise_arm": ndtri(values["arm"])}
    for name in _LIGHTS:
        noises[f"noise_{name}"] = _noise(values[name], means(values, name))
    return pd.DataFrame(noises)


def counterfactual_parents(attributes: Columns, do: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the true parents after an intervention, by abduction, action and prediction in the true process.

    An intervention on the arm changes all lights, one on the blue or the green light changes the red one; the noises
    are kept. A variable that is not set, and has no ancestor that is set, keeps its value to the last bit.

    Arguments:
        attributes: The factual values of the four variables, each (N,).
        do: The value each variable is set to, (N,), NaN where it is not set; variables may be left out.

    Returns:
        The four variables after the intervention, float64 (N,).

    Raises:
        UserError: If `do` names another variable, or a factual value is not between 0 and 1.
    """
    factual, action = read_action(_NAMES, attributes, do)
    set_ = {name: ~np.isnan(values) for name, values in action.items()}
    noises = abduct(factual)
    after = {name: np.where(set_[name], action[name], factual[name]) for name in _NAMES}
    for name in _LIGHTS:
        above = set_["arm"] | (set_["blue"] | set_["green"] if name == "red" else False)
        predicted = _quantile(noises[f"noise_{name}"].to_numpy(), means(after, name))
        after[name] = np.where(above & ~set_[name], predicted, after[name])
    return after


def log_density(arm: np.ndarray, blue: np.ndarray, green: np.ndarray, red: np.ndarray) -> pd.DataFrame:
    """Returns the log density of the true process, in nats.

    Arguments:
        arm: The position of the arm, (N,).
        blue: The intensity of the blue light, (N,).
        green: The intensity of the green light, (N,).
        red: The intensity of the red light, (N,).

    Returns:
        One column per variable, given its causes; their sum is the joint log density. -inf outside of 0 to 1.
    """
    columns = dict(zip(_NAMES, (arm, blue, green, red), strict=True))
    values = {name: np.asarray(column, np.float64) for name, column in columns.items()}
    inside = {name: (value >= 0.0) & (value <= 1.0) for name, value in values.items()}
    found = {"arm": np.where(inside["arm"], 0.0, -np.inf)}
    for name in _LIGHTS:
        one, two = _shape(means(values, name))
        value = np.clip(values[name], 0.0, 1.0)
        density = xlogy(one - 1.0, value) + xlog1py(two - 1.0, -value) - betaln(one, two)
        found[name] = np.where(inside[name], density, -np.inf)
    return pd.DataFrame(found)


def render(parents: Columns, size: int) -> np.ndarray:
    """Renders images from the four variables.

    Arguments:
        parents: The four variables, each (N,).
        size: Height and width of an image in px.

    Returns:
        RGB images on black, uint8 (N, 3, size, size).
    """
    values = {name: np.asarray(parents[name], np.float64)[:, None, None] for name in _NAMES}
    x, y, pixel = _grid(size)
    columns, rows = x[None, None, :], y[None, :, None]

    def disc(centre_x: np.ndarray | float, centre_y: np.ndarray | float, radius: float) -> np.ndarray:
        return np.clip(0.5 + (radius - np.hypot(columns - centre_x, rows - centre_y)) / pixel, 0.0, 1.0)

    canvas = np.zeros((len(values["arm"]), 3, size, size))

    def draw(coverage: np.ndarray, colour: np.ndarray | tuple[float, ...]) -> None:
        colour = np.asarray(colour, np.float64).reshape(-1, 3, 1, 1)
        canvas[:] += coverage[:, None] * (colour - canvas)

    for name, position in _BUTTONS.items():
        draw(disc(*_point(position, _ARM), _BUTTON), _DARK)
        colour = np.zeros((len(canvas), 3))
        colour[:, _CHANNEL[name]] = 255.0 * (_DIM + (1.0 - _DIM) * np.clip(values[name][:, 0, 0], 0.0, 1.0))
        draw(disc(*_point(position, _DISTANCE), _RADIUS), colour)
    tip_x, tip_y = _point(values["arm"], _ARM)
    along = (tip_x - _JOINT[0]) / _ARM, (tip_y - _JOINT[1]) / _ARM
    # The distance from the joint of the point of the arm that is nearest to the pixel.
    nearest = np.clip((columns - _JOINT[0]) * along[0] + (rows - _JOINT[1]) * along[1], 0.0, _ARM)
    draw(disc(_JOINT[0] + nearest * along[0], _JOINT[1] + nearest * along[1], 0.5 * _ARM_WIDTH), _GREY)
    draw(disc(tip_x, tip_y, _TIP), _ORANGE)
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
        UserError: If the data set is missing.
    """
    return render_parents(render, data, parents, _NAMES)


def measure(images: np.ndarray, threads: int = 1) -> pd.DataFrame:
    """Measures the four variables in the pixels.

    The intensity of a light is the mean of its channel over the pixels that are entirely inside its disc. The position
    of the arm is the direction from the joint to the centre of the orange mass within the reach of the arm, where
    orange is the excess of the red channel over the blue one.

    Arguments:
        images: uint8 (N, 3, H, W), H = W.
        threads: Not used.

    Returns:
        Columns `arm`, `blue`, `green`, `red`, N rows, between 0 and 1; `arm` is NaN where the image has no orange.
    """
    return measure_chunks(_measure, images, _NAMES)


def _measure(images: np.ndarray) -> pd.DataFrame:
    x, y, pixel = _grid(images.shape[-1])
    pixels = images.astype(np.float64) / 255.0
    found = {}
    reach = np.hypot(x[None, :] - _JOINT[0], y[:, None] - _JOINT[1]) < _ARM + _TIP + 0.5 * pixel
    orange = (pixels[:, 0] - pixels[:, 2]) * reach
    orange = np.where(orange > 0.05, orange, 0.0)  # less is blur or noise
    with np.errstate(invalid="ignore"):
        total = orange.sum((1, 2))
        tip_x, tip_y = (orange.sum(1) @ x) / total, (orange.sum(2) @ y) / total
    found["arm"] = np.clip(np.arctan2(tip_x - _JOINT[0], tip_y - _JOINT[1]) / _ARC + 0.5, 0.0, 1.0)
    for name, position in _BUTTONS.items():
        centre_x, centre_y = _point(position, _DISTANCE)
        inside = np.hypot(x[None, :] - centre_x, y[:, None] - centre_y) < _RADIUS - 0.5 * pixel
        level = pixels[:, _CHANNEL[name], inside].mean(1)
        found[name] = np.clip((level - _DIM) / (1.0 - _DIM), 0.0, 1.0)
    return pd.DataFrame(found)


def _unconfounded(attributes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Permutes the intensities of each light, so that the lights are independent of the arm and of each other."""
    attributes = permuted(attributes, _LIGHTS, seed)
    noises = abduct(attributes)
    return attributes.assign(**{f"noise_{name}": noises[f"noise_{name}"] for name in _LIGHTS})


def _shape(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _CONCENTRATION * mean, _CONCENTRATION * (1.0 - mean)


def _quantile(noise: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns the value of a light at its noise, accurate in both tails."""
    one, two = _shape(mean)
    return np.where(
        noise < 0.0, betaincinv(one, two, ndtr(noise)), betainccinv(one, two, ndtr(-np.asarray(noise)))
    )


def _noise(value: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns the noise of the value of a light, accurate in both tails."""
    one, two = _shape(mean)
    below, above = ndtri(betainc(one, two, value)), -ndtri(betaincc(one, two, value))
    return np.where(below < 0.0, below, above)


def _point(position: np.ndarray | float, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the point at a distance from the joint in the direction of a position of the arm, in units."""
    angle = _ARC * (np.asarray(position, np.float64) - 0.5)
    return _JOINT[0] + distance * np.sin(angle), _JOINT[1] + distance * np.cos(angle)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the centres of the columns (size,) and of the rows (size,), and the side of a pixel, in units."""
    pixel = _VIEW / size
    middles = (np.arange(size) + 0.5) * pixel
    return middles, _VIEW - middles, pixel

r"""The generating processes of the synthetic Morpho-MNIST sets: parents from exogenous noise, and images from parents.

Thickness and intensity (Pawlowski, Castro & Glocker, "Deep structural causal models for tractable counterfactual
inference", NeurIPS 2020), with independent standard normal noises:

.. math::
    t = F^{-1}(\Phi(u_t)), \quad F = 0.5 + \mathrm{Gamma}(10, \mathrm{rate}\; 5), \qquad
    i = 64 + 191\, \sigma(2 (t - 2.5) + 0.5\, u_i)

Both are strictly increasing in their noise, so noises are abducted exactly. The image's own noise is the original
digit: an image is a function of it, `t` and `i`. The other two published processes (their generators in Morpho-MNIST)
have no such constant 0.5 in t, and

.. math::
    \mathrm{slant} = 20 (t - 2.5) + u_a \;\mathrm{degrees}, \qquad
    \mathrm{width} = 10 + 15\, \sigma(2 (t - 2.5) + 2 u_w) \;\mathrm{px}
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import (
    expit,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
    gammaln,
    log_expit,
    logit,
    ndtr,
    ndtri,
)

from ..core.errors import UserError
from ..core.noise import generator
from .morphology import render, render_slanted, render_wide

__all__ = [
    "PROCESSES",
    "abduct",
    "counterfactual_parents",
    "generate",
    "intensity_of",
    "log_density",
    "sample_parents",
    "thickness_of",
]

_SHAPE, _RATE, _OFFSET = 10.0, 5.0, 0.5
_CENTRE, _SLOPE, _SPREAD = 2.5, 2.0, 0.5
_DARKEST, _RANGE = 64.0, 191.0
PROCESSES = ("thickness_intensity", "thickness_slant", "thickness_width")

Columns = Mapping[str, np.ndarray] | pd.DataFrame


def _gamma_of(noise: np.ndarray) -> np.ndarray:
    """The Gamma variable at the quantile of a standard normal noise, accurate in both tails."""
    noise = np.asarray(noise, dtype=np.float64)
    below, above = gammaincinv(_SHAPE, ndtr(noise)), gammainccinv(_SHAPE, ndtr(-noise))
    return np.where(noise < 0, below, above) / _RATE


def thickness_of(noise: np.ndarray) -> np.ndarray:
    """Returns thickness (px) from its standard normal noise, with the same shape."""
    return _OFFSET + _gamma_of(noise)


def intensity_of(thickness: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Returns intensity (grey levels) from thickness (px) and its standard normal noise."""
    thickness, noise = np.asarray(thickness, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    return _DARKEST + _RANGE * expit(_SLOPE * (thickness - _CENTRE) + _SPREAD * noise)


def abduct(thickness: np.ndarray, intensity: np.ndarray) -> pd.DataFrame:
    """Returns the exogenous noises that gave these parents.

    Arguments:
        thickness: px, above 0.5, (N,).
        intensity: Grey levels, 64 to 255, (N,); at either end the noise is infinite.

    Returns:
        Columns `noise_thickness` and `noise_intensity`, standard normal where the parents are from the process.

    Raises:
        UserError: If the process gives no such value.
    """
    thickness, intensity = np.asarray(thickness, np.float64), np.asarray(intensity, np.float64)
    if not np.all(thickness > _OFFSET):
        raise UserError(
            f"thickness: the process gives none of {_OFFSET:g} px or less; found {thickness.min():g}"
        )
    brightness = (intensity - _DARKEST) / _RANGE
    if not np.all((brightness >= 0.0) & (brightness <= 1.0)):
        raise UserError(
            f"intensity: the process gives 64 to 255 grey levels; found {intensity.min():g} to {intensity.max():g}"
        )
    gamma = (thickness - _OFFSET) * _RATE
    below, above = ndtri(gammainc(_SHAPE, gamma)), -ndtri(gammaincc(_SHAPE, gamma))
    noise_intensity = (logit(brightness) - _SLOPE * (thickness - _CENTRE)) / _SPREAD
    return pd.DataFrame(
        {"noise_thickness": np.where(below < 0, below, above), "noise_intensity": noise_intensity}
    )


def sample_parents(n: int, seed: int, *names: str | int) -> pd.DataFrame:
    """Draws thickness and intensity with their noises.

    Arguments:
        n: How many; the first n of a longer draw are the same.
        seed: Any integer.
        names: What the draw is for, to have several under one seed.

    Returns:
        Columns `thickness` (px), `intensity` (grey levels), `noise_thickness`, `noise_intensity`.
    """
    noises = [
        generator(seed, "parents", *names, name).standard_normal(n) for name in ("thickness", "intensity")
    ]
    thickness = thickness_of(noises[0])
    return pd.DataFrame(
        {
            "thickness": thickness,
            "intensity": intensity_of(thickness, noises[1]),
            "noise_thickness": noises[0],
            "noise_intensity": noises[1],
        }
    )


def counterfactual_parents(attributes: Columns, do: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the true parents after an intervention, by abduction, action and prediction in the true process.

    Doing something to thickness moves intensity, whose noise is kept; the digit is independent of both. What nothing
    was done to, nor to a cause of it, keeps its value to the bit.

    Arguments:
        attributes: The factual `thickness` (px), `intensity` (grey levels) and `digit`, each (N,).
        do: The value each variable is set to, (N,), NaN where it is left alone; variables may be left out.

    Returns:
        `thickness`, `intensity` and `digit` afterwards, float64 (N,).

    Raises:
        UserError: If `do` names another variable, or the process gives no such factual value.
    """
    factual = {name: np.asarray(attributes[name], np.float64) for name in ("thickness", "intensity", "digit")}
    for name in do:
        if name not in factual:
            raise UserError(f"do: {name} is not a variable; choose from {', '.join(factual)}")
    action = {
        name: np.asarray(do.get(name, np.full(values.shape, np.nan)), np.float64)
        for name, values in factual.items()
    }
    noise = abduct(factual["thickness"], factual["intensity"])["noise_intensity"].to_numpy()
    after = {name: np.where(np.isnan(action[name]), factual[name], action[name]) for name in factual}
    moved = np.isnan(action["intensity"]) & ~np.isnan(action["thickness"])
    after["intensity"] = np.where(moved, intensity_of(after["thickness"], noise), after["intensity"])
    return after


def log_density(
    thickness: np.ndarray, intensity: np.ndarray, digit: np.ndarray | None = None
) -> pd.DataFrame:
    r"""Returns the log density of the true process, in nats, with thickness in px and intensity in grey levels.

    .. math::
        \log p(i \mid t) = \log \mathcal N(z; 2(t - 2.5), 0.5) + \log \frac{191}{(i - 64)(255 - i)},
        \quad z = \mathrm{logit}\frac{i - 64}{191}

    On an axis scaled to [-1, 1] between `low` and `high`, add :math:`\log((\mathrm{high} - \mathrm{low}) / 2)` for
    each continuous variable.

    Arguments:
        thickness: px, (N,).
        intensity: Grey levels, (N,).
        digit: Classes, (N,); their probability is 1/10 each (in MNIST 9 to 11 %). If left out, so is their column.

    Returns:
        Columns `thickness`, `intensity` (given thickness) and, if asked for, `digit`; their sum is the joint.
    """
    t, i = np.asarray(thickness, np.float64), np.asarray(intensity, np.float64)
    gamma = np.maximum(t - _OFFSET, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_t = _SHAPE * np.log(_RATE) - gammaln(_SHAPE) + (_SHAPE - 1) * np.log(gamma) - _RATE * gamma
        z = logit((i - _DARKEST) / _RANGE)
        log_z = -0.5 * ((z - _SLOPE * (t - _CENTRE)) / _SPREAD) ** 2 - np.log(_SPREAD * np.sqrt(2 * np.pi))
        log_i = log_z - np.log(_RANGE) - log_expit(z) - log_expit(-z)
    columns = {"thickness": log_t, "intensity": np.where(np.isfinite(z), log_i, -np.inf)}
    if digit is not None:
        columns["digit"] = np.where(np.isin(digit, np.arange(10)), -np.log(10.0), -np.inf)
    return pd.DataFrame(columns)


def generate(
    process: str, digits: np.ndarray, seed: int, threads: int = 1
) -> tuple[np.ndarray, pd.DataFrame]:
    """Makes a synthetic set of one of the published processes.

    Arguments:
        process: One of :data:`PROCESSES`. The published generator with slant was meant for one class of digit.
        digits: Original digits, uint8 (N, H, W).
        seed: Any integer.
        threads: How many threads to use.

    Returns:
        Images, uint8 (N, H, W), and the targets asked of them, as in the published tables: `thickness` (px), and
        `intensity` (grey levels), `slant` (degrees) or `width` (px), with their noises.

    Raises:
        UserError: If there is no such process.
    """
    if process not in PROCESSES:
        raise UserError(f"{process}: not a generating process; choose one of {', '.join(PROCESSES)}")
    table = sample_parents(len(digits), seed, process)
    if process == "thickness_intensity":
        return render(digits, table["thickness"], table["intensity"], threads), table
    effect = process.removeprefix("thickness_")
    noise = table["noise_intensity"].to_numpy()
    thickness = _gamma_of(table["noise_thickness"].to_numpy())
    mean = _SLOPE * (thickness - _CENTRE)
    if effect == "slant":
        values = 10.0 * mean + noise
        images = render_slanted(digits, thickness, np.deg2rad(values), threads)
    else:
        values = 10.0 + 15.0 * expit(mean + 2.0 * noise)
        images = render_wide(digits, thickness, values, threads)
    table = table.rename(columns={"intensity": effect, "noise_intensity": f"noise_{effect}"})
    return images, table.assign(**{"thickness": thickness, effect: values})

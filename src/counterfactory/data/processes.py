r"""The generating processes of Morpho-MNIST: thickness and one effect of it, from standard normal exogenous noises.

Thickness is the quantile of a Gamma variable at its noise, and the effect e is a function of thickness and of its own
noise:

.. math::
    t &= c + F^{-1}(\Phi(u_t)), \qquad F = \mathrm{Gamma}(10, \mathrm{rate}\; 5) \\
    \mathrm{intensity} &= 64 + 191\, \sigma(2 (t - 2.5) + 0.5\, u) \;\text{grey levels}, \qquad c = 0.5\;\mathrm{px} \\
    \mathrm{slant} &= 20\, (t - 2.5) + u \;\text{degrees}, \qquad c = 0 \\
    \mathrm{width} &= 10 + 15\, \sigma(2 (t - 2.5) + 2 u) \;\mathrm{px}, \qquad c = 0

Every value is strictly increasing in its noise, so noises are abducted exactly. The exogenous noise of an image is the
original digit of MNIST: the image is a function of the digit, of t and of e
(:mod:`counterfactory.data.morphology`).

References:
    | Deep Structural Causal Models for Tractable Counterfactual Inference (Pawlowski et al., 2020): intensity
    | https://arxiv.org/abs/2006.06485

    | Morpho-MNIST (Castro et al., 2019), whose repository holds the generators with slant and width
    | https://arxiv.org/abs/1809.10780
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

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
from .action import read_action
from .morphology import render, render_slanted, render_wide

__all__ = ["INTENSITY", "SLANT", "WIDTH", "Linear", "Logistic", "Process"]

_SHAPE, _RATE = 10.0, 5.0
_CENTRE, _SLOPE = 2.5, 2.0

Columns: TypeAlias = Mapping[str, np.ndarray] | pd.DataFrame


@dataclass(frozen=True)
class Logistic:
    r"""The mechanism :math:`e = \mathrm{low} + \mathrm{span}\, \sigma(2 (t - 2.5) + \mathrm{spread}\, u)`.

    Arguments:
        low: The lower end of the range of the effect, in its unit.
        span: The width of that range.
        spread: The standard deviation of the argument of the logistic function.
        unit: The unit, as named in messages.
    """

    low: float
    span: float
    spread: float
    unit: str

    def value(self, thickness: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Returns the effect from thickness (px) and its standard normal noise."""
        return self.low + self.span * expit(_SLOPE * (thickness - _CENTRE) + self.spread * noise)

    def noise(self, name: str, thickness: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Returns the noise of an effect called `name`; it is infinite at either end of the range.

        Raises:
            UserError: If a value is outside of the range.
        """
        share = (value - self.low) / self.span
        if not np.all((share >= 0.0) & (share <= 1.0)):
            raise UserError(
                f"{name}: the process generates {self.low:g} to {self.low + self.span:g} {self.unit}; "
                f"found {value.min():g} to {value.max():g}"
            )
        return (logit(share) - _SLOPE * (thickness - _CENTRE)) / self.spread

    def log_density(self, thickness: np.ndarray, value: np.ndarray) -> np.ndarray:
        r"""Returns the log density of the effect given thickness, in nats, -inf outside of the range.

        .. math::
            \log p(e \mid t) = \log \mathcal N(z; 2(t - 2.5), \mathrm{spread}^2) - \log \mathrm{span}
            - \log \sigma(z) - \log \sigma(-z), \quad z = \mathrm{logit}\frac{e - \mathrm{low}}{\mathrm{span}}
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            z = logit((value - self.low) / self.span)
            scaled = (z - _SLOPE * (thickness - _CENTRE)) / self.spread
            log_z = -0.5 * scaled**2 - np.log(self.spread * np.sqrt(2 * np.pi))
            log_value = log_z - np.log(self.span) - log_expit(z) - log_expit(-z)
        return np.where(np.isfinite(z), log_value, -np.inf)


@dataclass(frozen=True)
class Linear:
    r"""The mechanism :math:`e = 2\, \mathrm{gain}\, (t - 2.5) + u`.

    Arguments:
        gain: Half of the change of the effect per px of thickness.
    """

    gain: float

    def value(self, thickness: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Returns the effect from thickness (px) and its standard normal noise."""
        return self.gain * (_SLOPE * (thickness - _CENTRE)) + noise

    def noise(self, name: str, thickness: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Returns the noise of an effect; every value is possible."""
        return value - self.gain * (_SLOPE * (thickness - _CENTRE))

    def log_density(self, thickness: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Returns the log density of the effect given thickness, in nats: normal with standard deviation 1."""
        return -0.5 * self.noise("", thickness, value) ** 2 - 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Process:
    """One generating process: thickness, and an effect that it causes. The digit is independent of both.

    Arguments:
        effect: The name of the variable that thickness causes.
        mechanism: The function from thickness and noise to the effect.
        offset: The constant c in px.
        render: Renders digits, uint8 (N, H, W), at a thickness (px) and an effect, both (N,), with a number of threads.
        streams: Further names of the random streams of :meth:`sample`.
    """

    effect: str
    mechanism: Logistic | Linear
    offset: float
    render: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
    streams: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, str, str]:
        """The names of the three variables."""
        return "thickness", self.effect, "digit"

    def thickness(self, noise: np.ndarray) -> np.ndarray:
        """Returns thickness (px) from its standard normal noise, accurate in both tails."""
        noise = np.asarray(noise, dtype=np.float64)
        below, above = gammaincinv(_SHAPE, ndtr(noise)), gammainccinv(_SHAPE, ndtr(-noise))
        return self.offset + np.where(noise < 0, below, above) / _RATE

    def value(self, thickness: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Returns the effect from thickness (px) and its standard normal noise."""
        return self.mechanism.value(np.asarray(thickness, np.float64), np.asarray(noise, np.float64))

    def sample(self, n: int, seed: int, *names: str | int) -> pd.DataFrame:
        """Samples thickness and effect with their noises.

        Arguments:
            n: The number of rows; the first n rows of a longer sample are the same.
            seed: Any integer.
            names: Further names of the random streams, for several samples under one seed.

        Returns:
            Columns `thickness` (px), `<effect>`, `noise_thickness`, `noise_<effect>`.
        """
        streams = (*self.streams, *names)
        noise, other = (
            generator(seed, "parents", *streams, name).standard_normal(n)
            for name in ("thickness", self.effect)
        )
        thickness = self.thickness(noise)
        columns = {"thickness": thickness, self.effect: self.value(thickness, other)}
        return pd.DataFrame(columns | {"noise_thickness": noise, f"noise_{self.effect}": other})

    def abduct(self, thickness: np.ndarray, value: np.ndarray) -> pd.DataFrame:
        """Returns the exogenous noises of given parents.

        Arguments:
            thickness: px, above `offset`, (N,).
            value: The effect, (N,).

        Returns:
            Columns `noise_thickness` and `noise_<effect>`, standard normal where the parents come from the process.

        Raises:
            UserError: If the process generates no such value.
        """
        thickness, value = np.asarray(thickness, np.float64), np.asarray(value, np.float64)
        if not np.all(thickness > self.offset):
            raise UserError(
                f"thickness: the process generates only values above {self.offset:g} px; "
                f"found {thickness.min():g}"
            )
        noise = self.mechanism.noise(self.effect, thickness, value)
        gamma = (thickness - self.offset) * _RATE
        below, above = ndtri(gammainc(_SHAPE, gamma)), -ndtri(gammaincc(_SHAPE, gamma))
        return pd.DataFrame(
            {"noise_thickness": np.where(below < 0, below, above), f"noise_{self.effect}": noise}
        )

    def counterfactual_parents(
        self, attributes: Columns, do: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns the true parents after an intervention, by abduction, action and prediction in the true process.

        An intervention on thickness changes the effect, whose noise is kept. A variable that is not set, and has no
        cause that is set, keeps its value to the last bit.

        Arguments:
            attributes: The factual thickness (px), effect and digit, each (N,).
            do: The value each variable is set to, (N,), NaN where it is not set; variables may be left out.

        Returns:
            The three variables after the intervention, float64 (N,).

        Raises:
            UserError: If `do` names another variable, or the process generates no such factual value.
        """
        factual, action = read_action(self.names, attributes, do)
        noise = self.abduct(factual["thickness"], factual[self.effect])[f"noise_{self.effect}"].to_numpy()
        after = {name: np.where(np.isnan(action[name]), factual[name], action[name]) for name in factual}
        moved = np.isnan(action[self.effect]) & ~np.isnan(action["thickness"])
        predicted = self.value(after["thickness"], noise)
        after[self.effect] = np.where(moved, predicted, after[self.effect])
        return after

    def log_density(
        self, thickness: np.ndarray, value: np.ndarray, digit: np.ndarray | None = None
    ) -> pd.DataFrame:
        r"""Returns the log density of the true process, in nats, in the units of the variables.

        On an axis scaled to [-1, 1] between `low` and `high`, add :math:`\log((\mathrm{high} - \mathrm{low}) / 2)` for
        each continuous variable.

        Arguments:
            thickness: px, (N,).
            value: The effect, (N,).
            digit: Classes, (N,), each of probability 1/10 (in MNIST 9 to 11 %); optional.

        Returns:
            Columns `thickness`, `<effect>` (given thickness) and, with `digit`, `digit`; their sum is the joint.
        """
        t, value = np.asarray(thickness, np.float64), np.asarray(value, np.float64)
        gamma = np.maximum(t - self.offset, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_t = _SHAPE * np.log(_RATE) - gammaln(_SHAPE) + (_SHAPE - 1) * np.log(gamma) - _RATE * gamma
        columns = {"thickness": log_t, self.effect: self.mechanism.log_density(t, value)}
        if digit is not None:
            columns["digit"] = np.where(np.isin(digit, np.arange(10)), -np.log(10.0), -np.inf)
        return pd.DataFrame(columns)


def _render_slanted(
    digits: np.ndarray, thickness: np.ndarray, slant: np.ndarray, threads: int = 1
) -> np.ndarray:
    return render_slanted(digits, thickness, np.deg2rad(slant), threads)


INTENSITY = Process("intensity", Logistic(64.0, 191.0, 0.5, "grey levels"), 0.5, render)
SLANT = Process("slant", Linear(10.0), 0.0, _render_slanted, ("thickness_slant",))
WIDTH = Process("width", Logistic(10.0, 15.0, 2.0, "px"), 0.0, render_wide, ("thickness_width",))

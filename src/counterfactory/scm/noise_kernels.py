r"""Laws of the counterfactual noise given the actual one, :math:`K(z' \mid z)`.

`sticky`
    The extended structural model's own: each coordinate is kept with probability s, else redrawn,

    .. math:: z'_i = m_i z_i + (1 - m_i) v_i, \qquad m_i \sim \mathrm{Bern}(s),\ v_i \sim P_i.

`autoregressive`
    For Gaussian noise, the move of an AR(1) process (in MCMC: preconditioned Crank-Nicolson),

    .. math:: z' = s z + \sqrt{1 - s^2}\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, I).

    It has the sticky kernel's correlation, :math:`\mathrm{corr}(z'_i, z_i) = s`, but does not depend on the
    basis in which z is written, as the sticky kernel does.

Both are reversible with respect to the prior, :math:`p(z) K(z' \mid z) = p(z') K(z \mid z')`, hence leave it
as it is, at every s. Both are functions of z and of variables with a fixed law, (m, v) or
:math:`\epsilon`: the *state* of a draw. Samplers work on that state, whose prior is a product, so they are
exact for every noise, of whatever law.

The original project (github.com/erindb/counterfactualGANs, 2017) sampled otherwise; its two ways are kept
for reproduction only, for neither leaves the prior as it is, and so neither is an extended structural
model:

`original_gaussian`
    :math:`z' = z + \epsilon / \sqrt{12}`, with the standard deviation of U(0, 1) where the prior is
    U(-1, 1). The variance grows from 0.333 to 0.417, and a ninth of the coordinates leave [-1, 1], where the
    generator was never trained. Stickiness has no effect.
`original_uniform`
    The sticky kernel, redrawing from U(-0.5, 0.5): the copy's variance shrinks from 0.333 towards 0.083 with
    every coordinate redrawn.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..core.errors import UserError
from ..core.noise import generator
from ..esm.registry import KERNELS

__all__ = [
    "KERNELS",
    "PRIORS",
    "Affine",
    "Kernel",
    "LogLikelihood",
    "Prior",
    "State",
    "Sticky",
    "autoregressive",
    "build_kernel",
    "discrete",
    "gumbel",
    "original_gaussian",
    "original_uniform",
    "standard_normal",
    "streams",
    "symmetric_uniform",
]

Prior = Callable[[np.random.Generator, np.ndarray], np.ndarray]
"""`prior(rng, coordinates)` draws the noises of `coordinates`, int with shape (K,), float64 with shape (K,)."""

LogLikelihood = Callable[[np.ndarray], np.ndarray]
"""From noises (M, D) to the log-likelihood of the evidence given each, (M,), in nats; -inf where it is impossible.
Each row's value must depend on that row alone, whatever rows stand beside it and however many."""

State = tuple[np.ndarray, ...]
"""The random variables of a kernel for N draws, each with first dimension N."""


def standard_normal(rng: np.random.Generator, coordinates: np.ndarray) -> np.ndarray:
    """Draws from N(0, 1)."""
    return rng.standard_normal(len(coordinates))


def symmetric_uniform(rng: np.random.Generator, coordinates: np.ndarray) -> np.ndarray:
    """Draws from U(-1, 1), the prior of the original DCGAN."""
    return 2.0 * rng.random(len(coordinates)) - 1.0


def gumbel(rng: np.random.Generator, coordinates: np.ndarray) -> np.ndarray:
    """Draws from the standard Gumbel distribution, the noise of a categorical variable."""
    return rng.gumbel(size=len(coordinates))


def discrete(probabilities: Sequence[Sequence[float]]) -> Prior:
    """Returns the prior of discrete noises.

    Arguments:
        probabilities: For each coordinate the probabilities of 0, 1, ...; each sums to 1.
    """
    tables = [np.cumsum(np.asarray(p, dtype=np.float64))[:-1] for p in probabilities]
    bounds = np.full((len(tables), max(len(table) for table in tables)), np.inf)
    for row, table in zip(bounds, tables, strict=True):
        row[: len(table)] = table

    def draw(rng: np.random.Generator, coordinates: np.ndarray) -> np.ndarray:
        uniform = rng.random(len(coordinates))
        return (uniform[:, None] >= bounds[coordinates]).sum(1).astype(np.float64)

    return draw


PRIORS: dict[str, Prior] = {"normal": standard_normal, "uniform": symmetric_uniform}
"""The priors of a generator's latents, by their name in the configuration."""


def streams(seeds: Sequence[int], *names: str | int) -> list[np.random.Generator]:
    """Returns the random stream `names` of each seed: a draw is a function of its own seed alone."""
    return [generator(int(seed), *names) for seed in seeds]


class Kernel(Protocol):
    """A law of the counterfactual noise given the actual one."""

    def draw(self, dimension: int, rngs: Sequence[np.random.Generator]) -> State:
        """Draws one state a stream, for noises of `dimension` coordinates."""

    def apply(self, noise: np.ndarray, state: State) -> np.ndarray:
        """Returns the counterfactual noises, (N, D), given actual noises (N, D) and states."""

    def sweep(
        self,
        noise: np.ndarray,
        state: State,
        values: np.ndarray,
        log_likelihood: LogLikelihood,
        rngs: Sequence[np.random.Generator],
        weight: float = 1.0,
    ) -> tuple[State, np.ndarray, float, int]:
        """Moves every state once, leaving the prior times the likelihood to the power `weight` as it is.

        Arguments:
            noise: Actual noises, with shape (N, D).
            state: The states to move.
            values: Their log-likelihoods, with shape (N,).
            log_likelihood: The log-likelihood.
            rngs: One stream a state.
            weight: The power, in (0, 1].

        Returns:
            The states, their log-likelihoods, the share of proposals that were accepted, and the number of
            log-likelihoods evaluated.
        """

    def kept(self, state: State) -> np.ndarray:
        """Returns the share of coordinates kept, (N,); NaN for a kernel that keeps none as it is."""


@dataclass(frozen=True)
class Sticky:
    """The kernel of the extended structural model.

    Arguments:
        stickiness: The probability s that a noise is kept, in [0, 1].
        prior: The law of the noises.
        blocks: For each coordinate the number of the noise it belongs to, 0, 1, ...; a noise of several
            coordinates is kept or redrawn as one. By default every coordinate is a noise of its own.
        proposal: How many noises (picked with replacement) a Metropolis proposal redraws.

    Raises:
        UserError: If the stickiness is not in [0, 1].
    """

    stickiness: float
    prior: Prior = standard_normal
    blocks: Sequence[int] | None = None
    proposal: int = 2

    def __post_init__(self) -> None:
        _check(self.stickiness)

    def _members(self, dimension: int) -> list[np.ndarray]:
        if self.blocks is None:
            return list(np.arange(dimension)[:, None])
        blocks = np.asarray(self.blocks)
        if len(blocks) != dimension:
            raise UserError(f"blocks: name the noise of {len(blocks)} coordinates, but there are {dimension}")
        return [np.flatnonzero(blocks == number) for number in range(blocks.max() + 1)]

    def draw(self, dimension: int, rngs: Sequence[np.random.Generator]) -> State:
        """See :class:`Kernel`; the state is (keep, value), bool and float64 with shape (N, D)."""
        members = self._members(dimension)
        owner = np.empty(dimension, dtype=np.int64)
        for number, coordinates in enumerate(members):
            owner[coordinates] = number
        keep = np.empty((len(rngs), dimension), dtype=bool)
        value = np.empty((len(rngs), dimension))
        everything = np.arange(dimension)
        for row, rng in enumerate(rngs):
            keep[row] = (rng.random(len(members)) < self.stickiness)[owner]
            value[row] = self.prior(rng, everything)
        return keep, value

    def apply(self, noise: np.ndarray, state: State) -> np.ndarray:
        """See :class:`Kernel`."""
        keep, value = state
        return np.where(keep, noise, value.astype(noise.dtype, copy=False))

    def sweep(
        self,
        noise: np.ndarray,
        state: State,
        values: np.ndarray,
        log_likelihood: LogLikelihood,
        rngs: Sequence[np.random.Generator],
        weight: float = 1.0,
    ) -> tuple[State, np.ndarray, float, int]:
        """Redraws a few noises of (keep, value) from their prior and accepts by Metropolis' rule."""
        keep, value = (part.copy() for part in state)
        members = self._members(noise.shape[1])
        uniform = np.empty((len(rngs), 2 * self.proposal + 1))
        for row, rng in enumerate(rngs):
            rng.random(out=uniform[row])
            picked = (uniform[row, : self.proposal] * len(members)).astype(np.int64)
            chosen = uniform[row, self.proposal : -1] < self.stickiness
            if self.blocks is not None:
                chosen = np.repeat(chosen, [len(members[number]) for number in picked])
                picked = np.concatenate([members[number] for number in picked])
            keep[row, picked] = chosen
            value[row, picked] = self.prior(rng, picked)
        proposed = log_likelihood(self.apply(noise, (keep, value)))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(np.isneginf(values), np.inf, weight * (proposed - values))
            accepted = np.log(uniform[:, -1]) < ratio
        pair = zip(state, (keep, value), strict=True)
        moved = tuple(np.where(accepted[:, None], new, old) for old, new in pair)
        return moved, np.where(accepted, proposed, values), float(accepted.mean()), len(rngs)

    def kept(self, state: State) -> np.ndarray:
        """Returns the share of coordinates kept, (N,)."""
        return state[0].mean(1)


@dataclass(frozen=True)
class Affine:
    r"""The kernel :math:`z' = a z + b \epsilon` with :math:`\epsilon \sim \mathcal{N}(0, I)`.

    Arguments:
        carry: The factor a on the actual noise.
        spread: The factor b on the fresh noise. The prior N(0, I) is kept where :math:`a^2 + b^2 = 1`.
    """

    carry: float
    spread: float

    def draw(self, dimension: int, rngs: Sequence[np.random.Generator]) -> State:
        """See :class:`Kernel`; the state is (epsilon,), float64 with shape (N, D)."""
        return (np.stack([rng.standard_normal(dimension) for rng in rngs]),)

    def apply(self, noise: np.ndarray, state: State) -> np.ndarray:
        """See :class:`Kernel`."""
        return (self.carry * noise + self.spread * state[0]).astype(noise.dtype, copy=False)

    def sweep(
        self,
        noise: np.ndarray,
        state: State,
        values: np.ndarray,
        log_likelihood: LogLikelihood,
        rngs: Sequence[np.random.Generator],
        weight: float = 1.0,
    ) -> tuple[State, np.ndarray, float, int]:
        """Moves epsilon by elliptical slice sampling (Murray et al., 2010, arXiv:1001.0175): nothing to tune."""
        start, values = state[0], values.copy()
        other = np.stack([rng.standard_normal(start.shape[1]) for rng in rngs])
        uniform = np.stack([rng.random(2) for rng in rngs])
        level = weight * values + np.log1p(-uniform[:, 0])
        angle = 2.0 * math.pi * uniform[:, 1]
        low, high = angle - 2.0 * math.pi, angle.copy()
        moved = start.copy()
        waiting, calls = np.arange(len(start)), 0
        while len(waiting):
            cosine, sine = np.cos(angle[waiting])[:, None], np.sin(angle[waiting])[:, None]
            candidate = cosine * start[waiting] + sine * other[waiting]
            proposed = log_likelihood(self.apply(noise[waiting], (candidate,)))
            calls += len(waiting)
            # A bracket that has shrunk to nothing is the state itself, which is always on the slice.
            taken = (weight * proposed >= level[waiting]) | (high[waiting] - low[waiting] < 1e-12)
            done = waiting[taken]
            moved[done], values[done] = candidate[taken], proposed[taken]
            waiting = waiting[~taken]
            below = angle[waiting] < 0
            low[waiting[below]] = angle[waiting[below]]
            high[waiting[~below]] = angle[waiting[~below]]
            for row in waiting:
                angle[row] = low[row] + (high[row] - low[row]) * rngs[row].random()
        return (moved,), values, len(start) / calls, calls

    def kept(self, state: State) -> np.ndarray:
        """Returns NaN, (N,): no coordinate is kept as it is."""
        return np.full(len(state[0]), np.nan)


def autoregressive(stickiness: float) -> Affine:
    """Returns the AR(1) kernel for Gaussian noise whose correlation is `stickiness`.

    Raises:
        UserError: If the stickiness is not in [0, 1].
    """
    _check(stickiness)
    return Affine(stickiness, math.sqrt(1.0 - stickiness**2))


def original_gaussian() -> Affine:
    """Returns the original's additive sampler, which leaves the prior (see the head of this module)."""
    return Affine(1.0, math.sqrt(1.0 / 12.0))


def original_uniform(stickiness: float = 0.5) -> Sticky:
    """Returns the original's sticky sampler with its half-width prior (see the head of this module)."""
    return Sticky(stickiness, lambda rng, coordinates: rng.random(len(coordinates)) - 0.5)


def build_kernel(name: str, stickiness: float, prior: str = "normal") -> Kernel:
    """Returns the kernel `name` for latents with the prior `prior` (`normal` or `uniform`).

    Raises:
        UserError: If there is no such kernel or prior, or the kernel does not suit the prior.
    """
    if prior not in PRIORS:
        raise UserError(f"prior: {prior}: no such prior; choose one of {', '.join(PRIORS)}")
    if name == "sticky":
        return Sticky(stickiness, PRIORS[prior])
    if name == "autoregressive":
        if prior != "normal":
            raise UserError("kernel: autoregressive needs a normal prior; choose sticky, or prior: normal")
        return autoregressive(stickiness)
    if name == "original_gaussian":
        return original_gaussian()
    if name == "original_uniform":
        return original_uniform(stickiness)
    raise UserError(f"kernel: {name}: no such kernel; choose one of {', '.join(KERNELS)}")


def _check(stickiness: float) -> None:
    if not 0.0 <= stickiness <= 1.0:
        raise UserError(f"stickiness: {stickiness:g} is not a probability; give a number from 0 to 1")

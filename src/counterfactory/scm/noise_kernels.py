r"""Laws of the counterfactual noise given the abducted one, :math:`K(z' \mid z)`.

`sticky`
    The kernel of the extended structural model: each coordinate is kept with probability s, otherwise redrawn,

    .. math:: z'_i = m_i z_i + (1 - m_i) v_i, \qquad m_i \sim \mathrm{Bern}(s),\ v_i \sim P_i.

`autoregressive`
    For Gaussian noise, one step of an AR(1) process (in MCMC: preconditioned Crank-Nicolson),

    .. math:: z' = s z + \sqrt{1 - s^2}\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, I).

    It has the correlation of the sticky kernel, :math:`\mathrm{corr}(z'_i, z_i) = s`, but unlike the sticky kernel it
    does not depend on the basis of z.

Both are reversible with respect to the prior, :math:`p(z) K(z' \mid z) = p(z') K(z \mid z')`, so that the prior is
invariant at every s. Both are functions of z and of variables with a fixed law, (m, v) or :math:`\epsilon`, the *state*
of a draw. Samplers work on the state, whose prior is a product, so they are exact for noise of any law.

The original project (github.com/erindb/counterfactualGANs, 2017) used two other samplers. They are available for
reproduction only: the prior is not invariant under either of them, so neither is an extended structural model.

`original_gaussian`
    :math:`z' = z + \epsilon / \sqrt{12}`, with the standard deviation of U(0, 1) where the prior is U(-1, 1). The
    variance increases from 0.333 to 0.417, and a ninth of the coordinates leave [-1, 1], where the generator was not
    trained. The stickiness has no effect.
`original_uniform`
    The sticky kernel, redrawing from U(-0.5, 0.5): the variance decreases from 0.333 towards 0.083.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..core.errors import UserError
from ..core.noise import Seeds, generator
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
The value of a row must not depend on the other rows or on their number."""

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
"""The priors of a generator's latents, by name."""


def streams(seeds: Seeds, *names: str | int) -> list[np.random.Generator]:
    """Returns the random stream `names` of each seed, so that a draw is a function of its own seed only."""
    return [generator(int(seed), *names) for seed in seeds]


class Kernel(Protocol):
    """A law of the counterfactual noise given the actual one."""

    def draw(self, dimension: int, rngs: Sequence[np.random.Generator]) -> State:
        """Draws one state per stream, for noises of `dimension` coordinates."""

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
        """Applies one Markov move to every state; prior times likelihood to the power `weight` is invariant under it.

        Arguments:
            noise: Actual noises, with shape (N, D).
            state: The states to move.
            values: Their log-likelihoods, with shape (N,).
            log_likelihood: The log-likelihood.
            rngs: One stream per state.
            weight: The power, in (0, 1].

        Returns:
            The states, their log-likelihoods, the share of accepted proposals, and the number of evaluations of the
            log-likelihood.
        """

    def kept(self, state: State) -> np.ndarray:
        """Returns the share of unchanged coordinates, (N,); NaN for a kernel that changes all of them."""


@dataclass(frozen=True)
class Sticky:
    """The kernel of the extended structural model.

    Arguments:
        stickiness: The probability s that a noise is kept, in [0, 1].
        prior: The law of the noises.
        blocks: For each coordinate the index of its noise, 0, 1, ...; the coordinates of one noise are kept or redrawn
            together. By default every coordinate is a separate noise.
        proposal: The number of noises, drawn with replacement, that a Metropolis proposal redraws.

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
            raise UserError(
                f"blocks: has {len(blocks)} entries for {dimension} coordinates; give one per coordinate"
            )
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
        """Redraws a few noises of (keep, value) from their prior and accepts by the Metropolis rule."""
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
        """Returns the share of unchanged coordinates, (N,)."""
        return state[0].mean(1)


@dataclass(frozen=True)
class Affine:
    r"""The kernel :math:`z' = a z + b \epsilon` with :math:`\epsilon \sim \mathcal{N}(0, I)`.

    Arguments:
        carry: The factor a on the actual noise.
        spread: The factor b on the fresh noise. The prior N(0, I) is invariant if :math:`a^2 + b^2 = 1`.
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
        """Moves epsilon by elliptical slice sampling (Murray et al., 2010, arXiv:1001.0175), without tuning."""
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
            # A bracket of width zero contains the current state only, which is always on the slice.
            taken = (weight * proposed >= level[waiting]) | (high[waiting] - low[waiting] < 1e-12)
            done = waiting[taken]
            moved[done], values[done] = candidate[taken], proposed[taken]
            waiting = waiting[~taken]
            below = angle[waiting] < 0
            low[waiting[below]] = angle[waiting[below]]
            high[waiting[~below]] = angle[waiting[~below]]
            for row in waiting.tolist():
                angle[row] = low[row] + (high[row] - low[row]) * rngs[row].random()
        return (moved,), values, len(start) / calls, calls

    def kept(self, state: State) -> np.ndarray:
        """Returns NaN, (N,): every coordinate changes."""
        return np.full(len(state[0]), np.nan)


def autoregressive(stickiness: float) -> Affine:
    """Returns the AR(1) kernel for Gaussian noise with the correlation `stickiness`.

    Raises:
        UserError: If the stickiness is not in [0, 1].
    """
    _check(stickiness)
    return Affine(stickiness, math.sqrt(1.0 - stickiness**2))


def original_gaussian() -> Affine:
    """Returns the additive sampler of the original project, which changes the prior (see the top of this module)."""
    return Affine(1.0, math.sqrt(1.0 / 12.0))


def original_uniform(stickiness: float = 0.5) -> Sticky:
    """Returns the sticky sampler of the original project with its half-width prior (see the top of this module)."""
    return Sticky(stickiness, lambda rng, coordinates: rng.random(len(coordinates)) - 0.5)


def build_kernel(name: str, stickiness: float, prior: str = "normal") -> Kernel:
    """Returns the kernel `name` for latents with the prior `prior` (`normal` or `uniform`).

    Raises:
        UserError: If there is no such kernel or prior, or the kernel does not suit the prior.
    """
    if prior not in PRIORS:
        raise UserError(f"prior: {prior}: no such prior; choose from {', '.join(PRIORS)}")
    if name == "sticky":
        return Sticky(stickiness, PRIORS[prior])
    if name == "autoregressive":
        if prior != "normal":
            raise UserError("kernel: autoregressive requires a normal prior; choose sticky, or prior: normal")
        return autoregressive(stickiness)
    if name == "original_gaussian":
        return original_gaussian()
    if name == "original_uniform":
        return original_uniform(stickiness)
    raise UserError(f"kernel: {name}: no such kernel; choose from {', '.join(KERNELS)}")


def _check(stickiness: float) -> None:
    if not 0.0 <= stickiness <= 1.0:
        raise UserError(f"stickiness: {stickiness:g} is not a probability; choose a number from 0 to 1")

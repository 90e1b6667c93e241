r"""Samples the counterfactual copy given evidence: rejection, Markov chains, tempered sequential Monte Carlo.

The target is

.. math:: p(z' \mid z, e') \propto K(z' \mid z)\, c(z'), \qquad c(z') = P(e' \mid z')

for a kernel K (:mod:`counterfactory.scm.noise_kernels`) and any likelihood c, such as a classifier's probability for a
generated image. Three samplers, for increasingly rare evidence:

- :func:`rejection`: exact; its cost per draw is :math:`1 / P(e' \mid z)`.
- :func:`markov_chain`: Metropolis moves on (mask, value), or elliptical slices for an affine kernel.
- :func:`tempered_smc`: particles that are moved from :math:`K` to the target along :math:`K c^\beta`, with steps in
  :math:`\beta` that keep half of them effective (Del Moral, Doucet, Jasra, 2006, JRSS B 68(3), 411-436). It also
  estimates :math:`\log P(e' \mid z)`, the plausibility of the premise given z.

:func:`counterfactual_observation` selects one of them. :func:`actual_noise` draws from the prior given evidence about
the actual world, and :func:`counterfactual_intervention` from the kernel: an intervention separates the variable from
its causes, so the premise contains no information about the noises.

Every draw has its own stream of random numbers, which depends on its seed only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import UserError
from ..core.noise import derive_seed, generator
from ..scm.noise_kernels import Kernel, LogLikelihood, Prior, State, Sticky, streams
from .registry import SAMPLERS

if TYPE_CHECKING:
    from ..config.esm import GanEsmSettings
    from ..config.queries import QueriesSettings

__all__ = [
    "SAMPLERS",
    "Draws",
    "Sampling",
    "actual_noise",
    "counterfactual_intervention",
    "counterfactual_observation",
    "markov_chain",
    "rejection",
    "tempered_smc",
]

PILOT = 200  # draws of the kernel that estimate the probability of the evidence
COMMON = 1e-2  # rejection is used for evidence with a probability above this
ATTEMPTS = 64  # draws that rejection evaluates in one call


@dataclass(frozen=True)
class Sampling:
    """How counterfactual noises are drawn; the sections `queries` and `answers.gan_esm` have the same fields.

    Arguments:
        kernel: The law of the counterfactual noise, one of :data:`counterfactory.esm.registry.KERNELS`.
        sampler: One of :data:`counterfactory.esm.registry.SAMPLERS`. `auto` is rejection if 200 draws of the kernel
            estimate the probability of the evidence above 1 %, otherwise smc.
        particles: The minimum number of particles of smc.
        sweeps: The number of moves of smc at each temperature; a chain makes twenty times as many.
    """

    kernel: str = "sticky"
    sampler: str = "auto"
    particles: int = 256
    sweeps: int = 20


@dataclass(frozen=True)
class Draws:
    """N draws of a counterfactual noise.

    Arguments:
        noise: The noises, with shape (N, D).
        log_likelihood: The log-likelihood of the evidence given each noise, in nats, with shape (N,).
        kept: The share of unchanged coordinates, with shape (N,); NaN for a kernel that changes all of them.
        reached: Whether each is a draw from the target, bool with shape (N,); False if rejection ran out of attempts.
        log_evidence: The estimate of :math:`\\log P(e' \\mid z)` in nats; NaN from a chain, which has no estimate.
        acceptance: The share of accepted proposals.
        calls: The number of evaluations of the log-likelihood.
    """

    noise: np.ndarray
    log_likelihood: np.ndarray
    kept: np.ndarray
    reached: np.ndarray
    log_evidence: float
    acceptance: float
    calls: int


def rejection(
    kernel: Kernel,
    noise: np.ndarray,
    log_likelihood: LogLikelihood,
    seeds: Sequence[int],
    tries: int = 1_000,
) -> Draws:
    """Draws from the kernel until a draw is accepted, with the likelihood as the acceptance probability.

    Arguments:
        kernel: The law of the counterfactual noise.
        noise: The actual noise, with shape (D,), or one per draw, (N, D).
        log_likelihood: The log-likelihood, at most 0.
        seeds: The seed of each draw, with shape (N,).
        tries: The maximum number of attempts per draw; a draw that was never accepted is returned as not `reached`.

    Raises:
        UserError: If a log-likelihood is above 0, or not a number.
    """
    noise = _rows(noise, len(seeds))
    rngs = streams(seeds, "rejection")
    state, values = None, np.full(len(seeds), -np.inf)
    reached = np.zeros(len(seeds), dtype=bool)
    waiting, attempt, tried, calls = np.arange(len(seeds)), 0, 0, 0
    while len(waiting) and attempt < tries:
        # When few draws are left, several attempts are evaluated in one network call. Each stream is read attempt by
        # attempt, so that the draws do not depend on the number of attempts per call.
        block = min(max(1, ATTEMPTS // len(waiting)), tries - attempt)
        drawn, uniform = [], []
        for _ in range(block):
            drawn.append(kernel.draw(noise.shape[1], [rngs[row] for row in waiting]))
            uniform.append([rngs[row].random() for row in waiting])
        parts = tuple(np.concatenate(part) for part in zip(*drawn, strict=True))
        found = log_likelihood(kernel.apply(np.tile(noise[waiting], (block, 1)), parts))
        if not (found <= 0.0).all():
            raise UserError(
                "rejection: a log-likelihood is above 0 or not a number; use the sampler chain or smc"
            )
        taken = np.array(uniform) < np.exp(found).reshape(block, len(waiting))
        done = taken.any(0)
        # The first accepted attempt, or the last one if none was accepted.
        which = np.where(done, taken.argmax(0), block - 1)
        rows = which * len(waiting) + np.arange(len(waiting))
        if state is None:
            state = _take(parts, rows)
        else:
            for part, new in zip(state, parts, strict=True):
                part[waiting] = new[rows]
        values[waiting], reached[waiting] = found[rows], done
        calls, tried, attempt = calls + len(found), tried + int((which + 1).sum()), attempt + block
        waiting = waiting[~done]
    assert state is not None  # there is at least one draw and one attempt
    share = reached.sum() / tried
    evidence = math.log(share) if share > 0 else -math.inf
    return Draws(
        kernel.apply(noise, state), values, kernel.kept(state), reached, evidence, float(share), calls
    )


def markov_chain(
    kernel: Kernel,
    noise: np.ndarray,
    log_likelihood: LogLikelihood,
    seeds: Sequence[int],
    sweeps: int = 400,
) -> Draws:
    """Runs one Markov chain per draw and returns their last states.

    Arguments:
        kernel: The law of the counterfactual noise.
        noise: The actual noise, with shape (D,), or one per draw, (N, D).
        log_likelihood: The log-likelihood.
        seeds: The seed of each chain, with shape (N,).
        sweeps: The length of each chain. It starts from the kernel; early states do not follow the target.
    """
    noise = _rows(noise, len(seeds))
    rngs = streams(seeds, "chain")
    state = kernel.draw(noise.shape[1], rngs)
    values = log_likelihood(kernel.apply(noise, state))
    calls, accepted = len(seeds), 0.0
    for _ in range(sweeps):
        state, values, share, used = kernel.sweep(noise, state, values, log_likelihood, rngs)
        calls, accepted = calls + used, accepted + share / sweeps
    reached = ~np.isneginf(values)
    return Draws(kernel.apply(noise, state), values, kernel.kept(state), reached, math.nan, accepted, calls)


def tempered_smc(
    kernel: Kernel,
    noise: np.ndarray,
    log_likelihood: LogLikelihood,
    seed: int,
    particles: int = 1_000,
    sweeps: int = 20,
    effective: float = 0.5,
) -> Draws:
    r"""Moves particles from the kernel to the target along :math:`K c^\beta`.

    Each :math:`\beta` is found by bisection so that the effective sample size of the incremental weights,
    :math:`(\sum w)^2 / \sum w^2`, is a given share of the particles; these are then resampled
    (systematically) and moved. The product of the mean weights estimates the evidence without bias; with few
    particles its logarithm is biased low.

    Arguments:
        kernel: The law of the counterfactual noise.
        noise: The actual noise, with shape (D,).
        log_likelihood: The log-likelihood.
        seed: The seed.
        particles: The number of particles N.
        sweeps: The number of moves of every particle at each temperature.
        effective: The share of particles that remains effective, in (0, 1).

    Returns:
        The particles, equally weighted. None is `reached` if the evidence is impossible for all particles.
    """
    rows = _rows(np.asarray(noise), particles)
    rngs = streams([derive_seed(seed, "particle", number) for number in range(particles)], "smc")
    resampling = generator(seed, "resampling")
    state = kernel.draw(rows.shape[1], rngs)
    values = log_likelihood(kernel.apply(rows, state))
    calls, moves, accepted = particles, 0, 0.0
    power, evidence = 0.0, 0.0
    while power < 1.0:
        if np.isneginf(values).all():
            evidence = -math.inf
            break
        step = _temperature_step(values, 1.0 - power, effective)
        power = min(1.0, power + step)
        weights, mean = _weights(step, values)
        evidence += mean
        survivors = _systematic(weights, resampling.random())
        state, values = _take(state, survivors), values[survivors]
        for _ in range(sweeps):
            state, values, share, used = kernel.sweep(rows, state, values, log_likelihood, rngs, power)
            calls, moves, accepted = calls + used, moves + 1, accepted + share
    reached = np.full(particles, math.isfinite(evidence))
    final = kernel.apply(rows, state)
    return Draws(final, values, kernel.kept(state), reached, evidence, accepted / max(1, moves), calls)


def counterfactual_observation(
    kernel: Kernel,
    noise: np.ndarray,
    log_likelihood: LogLikelihood,
    seed: int,
    count: int,
    settings: "Sampling | QueriesSettings | GanEsmSettings" = Sampling(),
) -> Draws:
    """Draws counterfactual noises given that the premise is *observed* in the copy.

    Arguments:
        kernel: The law of the counterfactual noise.
        noise: The actual noise, with shape (D,).
        log_likelihood: The log-likelihood of the premise, at most 0.
        seed: The seed.
        count: The number N of draws.
        settings: The settings `sampler`, `particles` and `sweeps`; see :class:`Sampling`.

    Raises:
        UserError: If there is no such sampler.
    """
    seeds = [derive_seed(seed, "draw", number) for number in range(count)]
    sampler, sweeps = settings.sampler, settings.sweeps
    if sampler == "auto":
        rows = _rows(np.asarray(noise), PILOT)
        seeded = streams([derive_seed(seed, "pilot", number) for number in range(PILOT)])
        share = float(np.exp(log_likelihood(kernel.apply(rows, kernel.draw(rows.shape[1], seeded)))).mean())
        if share > COMMON:
            drawn = rejection(kernel, noise, log_likelihood, seeds)
            # The pilot estimates the evidence better than a few draws of rejection.
            return replace(drawn, log_evidence=math.log(share), calls=drawn.calls + PILOT)
        sampler = "smc"
    if sampler == "rejection":
        return rejection(kernel, noise, log_likelihood, seeds)
    if sampler == "chain":
        return markov_chain(kernel, noise, log_likelihood, seeds, 20 * sweeps)
    if sampler == "smc":
        drawn = tempered_smc(kernel, noise, log_likelihood, seed, max(settings.particles, count), sweeps)
        # Neighbours after systematic resampling are often copies of one another, so the picks are spread.
        picks = np.linspace(0, len(drawn.noise), count, endpoint=False).astype(np.int64)
        parts = (drawn.noise[picks], drawn.log_likelihood[picks], drawn.kept[picks], drawn.reached[picks])
        return Draws(*parts, drawn.log_evidence, drawn.acceptance, drawn.calls)
    raise UserError(f"sampler: {sampler}: no such sampler; choose from {', '.join(SAMPLERS)}")


def counterfactual_intervention(kernel: Kernel, noise: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """Draws counterfactual noises for an *intervention*: from the kernel, independent of the value that is set.

    Arguments:
        kernel: The law of the counterfactual noise.
        noise: The actual noise, with shape (D,), or one per draw, (N, D).
        seeds: The seed of each draw, with shape (N,).

    Returns:
        The noises, with shape (N, D), for the model in which the variable is set.
    """
    noise = _rows(np.asarray(noise), len(seeds))
    return kernel.apply(noise, kernel.draw(noise.shape[1], streams(seeds, "intervention")))


def actual_noise(
    prior: Prior,
    dimension: int,
    log_likelihood: LogLikelihood,
    seeds: Sequence[int],
    tries: int = 10_000,
) -> Draws:
    """Draws noises of the actual world given evidence about it, by rejection from the prior.

    Arguments:
        prior: The law of the noises.
        dimension: The number D of coordinates.
        log_likelihood: The log-likelihood of the evidence, at most 0.
        seeds: The seed of each draw, with shape (N,).
        tries: The maximum number of attempts per draw.
    """
    return rejection(Sticky(0.0, prior), np.zeros(dimension), log_likelihood, seeds, tries)


def _rows(noise: np.ndarray, count: int) -> np.ndarray:
    """Returns noise with shape (N, D), one row per draw."""
    noise = np.asarray(noise)
    return np.broadcast_to(noise, (count, noise.shape[-1]))


def _take(state: State, rows: np.ndarray) -> State:
    return tuple(part[rows] for part in state)


def _weights(step: float, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the normalized incremental weights and the logarithm of their mean."""
    logs = step * values
    top = logs.max()
    weights = np.exp(logs - top)
    return weights / weights.sum(), float(top + math.log(weights.mean()))


def _temperature_step(values: np.ndarray, most: float, effective: float) -> float:
    """Returns the largest step in beta, up to `most`, that keeps the given share of particles effective."""
    target = effective * np.isfinite(values).sum()

    def size(step: float) -> float:
        weights, _ = _weights(step, values)
        return 1.0 / float((weights**2).sum())

    if size(most) >= target:
        return most
    low, high = 0.0, most
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if size(middle) >= target else (low, middle)
    return low if low > 0.0 else high


def _systematic(weights: np.ndarray, uniform: float) -> np.ndarray:
    """Returns the rows that survive systematic resampling, (N,), ascending."""
    points = (np.arange(len(weights)) + uniform) / len(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights), points), len(weights) - 1)

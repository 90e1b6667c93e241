r"""A small language of counterfactual questions about generated images.

    given: {digit: 3, thick: 0}     what is known of the actual image
    premise: {thick: 1}             what is otherwise in the counterfactual one
    by: observe                     `observe`: it is seen to be; `do`: it is made to be

Asked is: *given this evidence about the actual world, what would we have seen, had the premise held?* The actual
worlds are noises, drawn given the evidence or found for given images; for each of them and each stickiness some
counterfactual noises are drawn given that noise and the premise. A generator without a causal model of its own can
only answer `observe`: nothing in it can be cut from its causes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.noise import derive_seed
from ..scm.noise_kernels import Kernel, LogLikelihood, Prior
from .samplers import Draws, actual_noise, counterfactual_intervention, counterfactual_observation

__all__ = ["Query", "World", "ask", "draw_actual"]


@dataclass(frozen=True)
class Query:
    """One question.

    Arguments:
        given: The evidence about the actual image: for each attribute 0 or 1, for a categorical variable a class.
        premise: What is otherwise in the counterfactual image, likewise; what is set may be any variable's value.
        by: Whether the premise is observed or set.
    """

    given: Mapping[str, int]
    premise: Mapping[str, float]
    by: Literal["observe", "do"] = "observe"


class World(Protocol):
    """A generator and what can be read in its images.

    Arguments:
        dimension: The number D of its noises.
        prior: Their law.
        intervenes: Whether variables can be set: whether there is an :meth:`act`.
    """

    dimension: int
    prior: Prior
    intervenes: bool

    def kernel(self, name: str, stickiness: float) -> Kernel:
        """Returns the law of the counterfactual noise."""

    def images(self, noise: np.ndarray, do: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Returns the images of noises (M, D), uint8 (M, C, H, W), with variables set to `do`, each (M,)."""

    def log_likelihood(self, facts: Mapping[str, int]) -> LogLikelihood:
        """Returns the log-likelihood of facts about the image."""

    def act(self, premise: Mapping[str, float], seeds: Sequence[int]) -> dict[str, np.ndarray]:
        """Returns the values that a premise sets variables to, each (N,), one a seed."""


def draw_actual(
    world: World, given: Mapping[str, int], count: int, seed: int, tries: int = 10_000
) -> tuple[np.ndarray, np.ndarray]:
    """Draws actual noises given evidence.

    Arguments:
        world: The generator.
        given: The evidence.
        count: The number M of noises.
        seed: The seed; each noise is a function of it and of its own number.
        tries: How often each is tried.

    Returns:
        The noises (M, D), and whether the evidence was found for each, bool (M,).
    """
    seeds = [derive_seed(seed, "actual", number) for number in range(count)]
    drawn = actual_noise(world.prior, world.dimension, world.log_likelihood(given), seeds, tries)
    return drawn.noise, drawn.reached


def ask(
    world: World,
    query: Query,
    actual: np.ndarray,
    stickiness: Sequence[float],
    samples: int,
    seed: int,
    kernel: str = "sticky",
    sampler: str = "auto",
    particles: int = 256,
    sweeps: int = 20,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Answers a query.

    Arguments:
        world: The generator.
        query: The query.
        actual: The actual noises, with shape (M, D).
        stickiness: The values of s asked, each in [0, 1].
        samples: Counterfactual images N of each actual one, for each stickiness.
        seed: The seed; an answer is a function of it, of its actual noise and that noise's number, and of s.
        kernel: The law of the counterfactual noise, of :data:`.kernels.KERNELS`.
        sampler: Of :data:`.samplers.SAMPLERS`.
        particles: Particles of smc.
        sweeps: Its moves at each temperature.

    Returns:
        A table with one row an image and the columns `actual` (0 to M - 1), `stickiness` (NaN for the image of the
        actual noise itself), `sample`, `reached`, `log_likelihood` (of the premise; 0 where it is set), `kept`,
        `log_evidence` (NaN where it is set), `calls` and, for what is set, `do_<variable>`; and the images, uint8
        with shape (rows, C, H, W).

    Raises:
        UserError: If the query sets a variable and the world cannot, or asks for a fact that is not known.
    """
    if query.by == "do" and not world.intervenes:
        raise UserError("by: do needs a generator with a causal model of its causes; ask by: observe")
    numbers = range(len(actual))
    rows = [
        pd.DataFrame({"actual": numbers, "stickiness": np.nan, "sample": 0, "reached": True, "kept": 1.0})
    ]
    images = [world.images(actual)]
    likelihood = None if query.by == "do" else world.log_likelihood(query.premise)
    for number in numbers:
        own = derive_seed(seed, "query", number)
        for s in stickiness:
            law, noise = world.kernel(kernel, s), actual[number]
            if likelihood is None:
                seeds = [derive_seed(own, s, sample) for sample in range(samples)]
                copies = counterfactual_intervention(law, noise, seeds)
                # Of no stickiness: along s nothing differs but what is kept.
                do = world.act(query.premise, [derive_seed(own, sample) for sample in range(samples)])
                table = pd.DataFrame({"reached": True, "log_likelihood": 0.0, "log_evidence": np.nan, "calls": 0},
                                     index=range(samples))  # fmt: skip
                table["kept"] = (copies == noise).mean(1)
                table = table.assign(**{f"do_{name}": values for name, values in do.items()})
                images.append(world.images(copies, do))
            else:
                drawn = counterfactual_observation(
                    law, noise, likelihood, derive_seed(own, s), samples, sampler, particles, sweeps
                )
                table = _told(drawn)
                images.append(world.images(drawn.noise))
            rows.append(table.assign(actual=number, stickiness=s, sample=np.arange(samples)))
    return pd.concat(rows, ignore_index=True), np.concatenate(images)


def _told(drawn: Draws) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "reached": drawn.reached,
            "log_likelihood": drawn.log_likelihood,
            "kept": drawn.kept,
            "log_evidence": drawn.log_evidence,
            "calls": drawn.calls,
        }
    )

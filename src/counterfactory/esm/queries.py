r"""A small language of counterfactual questions about generated images.

    given: {digit: 3, thick: 0}     what is known of the actual image
    premise: {thick: 1}             what is otherwise in the counterfactual one
    by: observe                     `observe`: it is seen to be; `do`: it is made to be

Asked is: *given this evidence about the actual world, what would we have seen, had the premise held?* For each
query one actual noise is drawn given the evidence, and for each stickiness some counterfactual noises given that
noise and the premise. A generator without a causal model of its own can only answer `observe`: nothing in it can be
cut from its causes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from ..errors import UserError
from ..noise import derive_seed
from .kernels import PRIORS, LogLikelihood, build_kernel
from .samplers import Draws, actual_noise, counterfactual_intervention, counterfactual_observation

__all__ = ["Query", "World", "ask"]


@dataclass(frozen=True)
class Query:
    """One question.

    Arguments:
        given: The evidence about the actual image: for each attribute 0 or 1, for a categorical variable a class.
        premise: What is otherwise in the counterfactual image, likewise.
        by: Whether the premise is observed or set.
    """

    given: Mapping[str, int]
    premise: Mapping[str, int]
    by: Literal["observe", "do"] = "observe"


class World(Protocol):
    """A generator and what can be read in its images.

    Arguments:
        dimension: The number D of its noises.
        prior: Their law, `normal` or `uniform`.
        intervenes: Whether :meth:`images` takes interventions.
    """

    dimension: int
    prior: str
    intervenes: bool

    def images(self, noise: np.ndarray, do: Mapping[str, int] | None = None) -> np.ndarray:
        """Returns the images of noises (M, D), uint8 (M, C, H, W), with variables set as `do` says."""

    def log_likelihood(self, facts: Mapping[str, int]) -> LogLikelihood:
        """Returns the log-likelihood of facts about the image."""


def ask(
    world: World,
    queries: Mapping[str, Query],
    stickiness: Sequence[float],
    samples: int,
    seed: int,
    kernel: str = "sticky",
    sampler: str = "auto",
    particles: int = 256,
    sweeps: int = 20,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Answers queries.

    Arguments:
        world: The generator.
        queries: The queries, by name.
        stickiness: The values of s asked, each in [0, 1].
        samples: Counterfactual images N for each query and stickiness.
        seed: The seed; an answer is a function of it, the query's name and the stickiness.
        kernel: The law of the counterfactual noise, of :data:`.kernels.KERNELS`.
        sampler: Of :data:`.samplers.SAMPLERS`.
        particles: Particles of smc.
        sweeps: Its moves at each temperature.

    Returns:
        A table with one row an image and the columns `query`, `stickiness` (NaN for the actual image), `sample`,
        `reached`, `log_likelihood` (of the evidence for the actual image, of the premise for the others), `kept`,
        `log_evidence` and `calls`; and the images, uint8 with shape (rows, C, H, W). A query whose evidence was not
        found has one row, not reached.

    Raises:
        UserError: If a query sets a variable and the world cannot, or asks for a fact that is not known.
    """
    rows, images = [], []
    for name, query in queries.items():
        if query.by == "do" and not world.intervenes:
            raise UserError(
                f"{name}: by: do needs a generator with a causal model of its causes; ask by: observe"
            )
        own = derive_seed(seed, "query", name)
        prior, evidence = PRIORS[world.prior], world.log_likelihood(query.given)
        actual = actual_noise(prior, world.dimension, evidence, [derive_seed(own, "actual")])
        noise = actual.noise[0]
        rows.append(_rows(name, np.nan, actual))
        images.append(world.images(actual.noise))
        for s in stickiness if actual.reached[0] else ():
            law = build_kernel(kernel, s, world.prior)
            if query.by == "do":
                seeds = [derive_seed(own, s, number) for number in range(samples)]
                copies = counterfactual_intervention(law, noise, seeds)
                kept = (copies == noise).mean(1)
                table = {
                    "query": name,
                    "stickiness": s,
                    "sample": np.arange(samples),
                    "reached": True,
                    "kept": kept,
                }
                rows.append(pd.DataFrame(table).assign(log_likelihood=0.0, log_evidence=0.0, calls=0))
                images.append(world.images(copies, query.premise))
                continue
            premise, drawing = world.log_likelihood(query.premise), derive_seed(own, s)
            drawn = counterfactual_observation(
                law, noise, premise, drawing, samples, sampler, particles, sweeps
            )
            rows.append(_rows(name, s, drawn))
            images.append(world.images(drawn.noise))
    return pd.concat(rows, ignore_index=True), np.concatenate(images)


def _rows(name: str, stickiness: float, drawn: Draws) -> pd.DataFrame:
    table = {
        "query": name,
        "stickiness": stickiness,
        "sample": np.arange(len(drawn.noise)),
        "reached": drawn.reached,
        "log_likelihood": drawn.log_likelihood,
        "kept": drawn.kept,
        "log_evidence": drawn.log_evidence,
        "calls": drawn.calls,
    }
    return pd.DataFrame(table)

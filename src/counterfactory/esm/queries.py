r"""Counterfactual queries about generated images: evidence, premise and how the premise holds.

.. code-block:: yaml

    given: {digit: 3, thick: 0}     # the evidence about the actual image
    premise: {thick: 1}             # the facts of the counterfactual image
    by: observe                     # observe: the premise is observed; do: it is set by an intervention

The query is: *given the evidence about the actual world, what would have been observed if the premise held?* The actual
worlds are noises that are drawn given the evidence, or found for given images. For each of them and each stickiness,
counterfactual noises are drawn given that noise and the premise. A generator without a causal model supports `observe`
only, because none of its variables can be separated from its causes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.noise import derive_seed
from ..scm.noise_kernels import Kernel, LogLikelihood, Prior
from .samplers import Draws, Sampling, actual_noise, counterfactual_intervention, counterfactual_observation

if TYPE_CHECKING:
    from ..config.queries import QueriesSettings

__all__ = ["Query", "World", "ask", "draw_actual"]


@dataclass(frozen=True)
class Query:
    """One query.

    Arguments:
        given: The evidence about the actual image: for each attribute 0 or 1, for a categorical variable a class.
        premise: The facts of the counterfactual image, in the same form; with `by: do` also values of variables.
        by: Whether the premise is observed or set by an intervention.
    """

    given: Mapping[str, int]
    premise: Mapping[str, float]
    by: Literal["observe", "do"] = "observe"


class World(Protocol):
    """A generator and a classifier of its images.

    Arguments:
        dimension: The number D of its noises.
        prior: The law of the noises.
        intervenes: Whether variables can be set, so that :meth:`act` exists.
    """

    dimension: int
    prior: Prior
    intervenes: bool

    def kernel(self, name: str, stickiness: float) -> Kernel:
        """Returns the law of the counterfactual noise."""

    def images(self, noise: np.ndarray, do: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Returns the images of noises (M, D), uint8 (M, C, H, W), with the variables `do` set, each (M,)."""

    def log_likelihood(self, facts: Mapping[str, int]) -> LogLikelihood:
        """Returns the log-likelihood of facts about the image."""

    def act(self, premise: Mapping[str, float], seeds: Sequence[int]) -> dict[str, np.ndarray]:
        """Returns the values that a premise sets, each (N,), one per seed."""


def draw_actual(
    world: World, given: Mapping[str, int], count: int, seed: int, tries: int = 10_000
) -> tuple[np.ndarray, np.ndarray]:
    """Draws actual noises given evidence.

    Arguments:
        world: The generator.
        given: The evidence.
        count: The number M of noises.
        seed: The seed; each noise is a function of it and of its own index.
        tries: The maximum number of attempts for each.

    Returns:
        The noises (M, D), and whether each of them satisfies the evidence, bool (M,).
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
    settings: "Sampling | QueriesSettings" = Sampling(),  # noqa: B008
) -> tuple[pd.DataFrame, np.ndarray]:
    """Answers a query.

    Arguments:
        world: The generator.
        query: The query.
        actual: The actual noises, with shape (M, D).
        stickiness: The values of s, each in [0, 1].
        samples: The number N of counterfactual images of each actual one, for each stickiness.
        seed: The seed; an answer is a function of it, of its actual noise, of the index of that noise, and of s.
        settings: The settings `kernel`, `sampler`, `particles` and `sweeps`.

    Returns:
        A table with one row per image and the columns `actual` (0 to M - 1), `stickiness` (NaN for the image of the
        actual noise itself), `sample`, `reached`, `log_likelihood` (of the premise; 0 where it is set), `kept`,
        `log_evidence` (NaN where it is set), `calls` and, for what is set, `do_<variable>`; and the images, uint8
        with shape (rows, C, H, W).

    Raises:
        UserError: If the query sets a variable of a world without interventions, or has an unknown fact.
    """
    if query.by == "do" and not world.intervenes:
        raise UserError("by: do needs a generator with a causal model of its causes; use by: observe")
    numbers = range(len(actual))
    rows = [
        pd.DataFrame({"actual": numbers, "stickiness": np.nan, "sample": 0, "reached": True, "kept": 1.0})
    ]
    images = [world.images(actual)]
    likelihood = None
    if query.by == "observe":
        # An observed premise consists of values of binary attributes and of classes.
        likelihood = world.log_likelihood(cast(Mapping[str, int], query.premise))
    for number in numbers:
        own = derive_seed(seed, "query", number)
        for s in stickiness:
            law, noise = world.kernel(settings.kernel, s), actual[number]
            if likelihood is None:
                seeds = [derive_seed(own, s, sample) for sample in range(samples)]
                copies = counterfactual_intervention(law, noise, seeds)
                # The same values at every stickiness.
                do = world.act(query.premise, [derive_seed(own, sample) for sample in range(samples)])
                table = pd.DataFrame({"reached": True, "log_likelihood": 0.0, "log_evidence": np.nan, "calls": 0},
                                     index=range(samples))  # fmt: skip
                table["kept"] = (copies == noise).mean(1)
                table = table.assign(**{f"do_{name}": values for name, values in do.items()})
                images.append(world.images(copies, do))
            else:
                drawn = counterfactual_observation(
                    law, noise, likelihood, derive_seed(own, s), samples, settings
                )
                table = _columns(drawn)
                images.append(world.images(drawn.noise))
            rows.append(table.assign(actual=number, stickiness=s, sample=np.arange(samples)))
    return pd.concat(rows, ignore_index=True), np.concatenate(images)


def _columns(drawn: Draws) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "reached": drawn.reached,
            "log_likelihood": drawn.log_likelihood,
            "kept": drawn.kept,
            "log_evidence": drawn.log_evidence,
            "calls": drawn.calls,
        }
    )

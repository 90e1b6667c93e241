"""Defines the section `queries`: counterfactual queries to a generator, as a function of the stickiness."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ..data.registry import DATASETS, DEFAULT_DATASET
from ..esm.registry import GENERATORS
from .attributes import Name
from .names import GeneratorName, KernelName, SamplerName
from .sections import Count, Positive, Section, Seed, Share, Unique, Whole

__all__ = ["QUERIES", "QueriesSettings", "QueryByName", "QuerySettings", "asked_queries"]

if TYPE_CHECKING:
    from .settings import Settings


class QuerySettings(Section):
    """One query: given this evidence about the actual image, what would it be, had the premise held?"""

    given: dict[str, int] = Field(
        {}, description="Evidence about the actual image: attributes (0 or 1) and classes."
    )
    premise: dict[str, int | float] = Field(
        description="Counterfactual premise: attributes (0 or 1) and classes; with by: do also variables and "
        "values.",
    )
    by: Literal["observe", "do"] = Field(
        "observe",
        description="Whether the premise is an observation or an intervention.",
    )
    generator: GeneratorName = Field(
        "dcgan",
        description="dcgan: unconditional, observations only; gan: with the causal graph, both.",
    )
    actual: Literal["test", "drawn"] = Field(
        "test",
        description="Actual images; test: the first test images that agree with the evidence according to "
        "the classifier, with inferred noise; drawn: sampled from the generator given the evidence.",
    )


QueryByName = dict[Name, QuerySettings | None]
"""Queries by name; null removes one, since a file that is merged into another cannot delete keys."""

QUERIES: QueryByName = {
    name: QuerySettings(**query) for name, query in DATASETS[DEFAULT_DATASET].queries.items()
}
"""The queries that the default data set declares."""


class QueriesSettings(Section):
    """Queries to the extended structural model: over dcgan with the method gan_esm, over gan with the method gan."""

    by_name: QueryByName = Field(
        QUERIES,
        description="The queries: {given: evidence, premise: counterfactual premise, by: observe or do, "
        "generator: dcgan or gan, actual: test or drawn}; see `counterfactory query --help`. null removes "
        "one.",
    )
    stickiness: Unique[Share] = Field(
        [0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99],
        min_length=1,
        description="Values of the stickiness s, the probability that a noise variable keeps its factual "
        "value. Every query is answered at each.",
    )
    images: Whole = Field(12, description="Actual images of each query; 0: no queries.")
    samples: Count = Field(6, description="Counterfactual images per actual image and stickiness.")
    structure: Whole = Field(
        2_000,
        description="Images sampled from each generator to measure how well they agree with the causal "
        "graph; 0: none.",
    )
    seed: Seed = Field(0, description="Seed of all sampling.")
    kernel: KernelName = Field(
        "sticky",
        description="Distribution of the counterfactual noise, as answers.gan_esm.kernel; over gan only "
        "sticky.",
    )
    sharpness: Positive = Field(8.0, description="As answers.gan_esm.sharpness.")
    sampler: SamplerName = Field("auto", description="As answers.gan_esm.sampler.")
    particles: Count = Field(128, description="Minimum number of particles of smc; at least samples.")
    sweeps: Count = Field(10, description="Moves of each particle at each temperature.")
    inversion_steps: Whole = Field(
        100, description="Updates that optimize the latents of a test image under dcgan."
    )


def asked_queries(settings: "Settings") -> dict[str, QuerySettings]:
    """Returns the queries to answer: those whose generator belongs to a chosen method."""
    queries = settings.queries.by_name if settings.queries.images else {}
    return {
        name: query
        for name, query in queries.items()
        if query is not None and GENERATORS[query.generator].method in settings.methods
    }

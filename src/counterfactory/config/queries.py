"""The section `queries`: counterfactual questions in a small language, over generators and the stickiness."""

from typing import Annotated, Literal

from pydantic import Field

from ..esm.registry import KERNELS, SAMPLERS
from .sections import Count, Float, Positive, Section, Seed, Share

__all__ = ["GENERATORS", "QUERIES", "QueriesSettings", "QueryByName", "QuerySettings"]

GENERATORS = {"dcgan": "gan_esm", "gan": "gan"}
"""The generators, and the method that each belongs to: its queries are asked where that method is."""


class QuerySettings(Section):
    """Given this evidence about the actual image, what would we have seen, had the premise held?"""

    given: dict[str, int] = Field(
        {}, description="The evidence about the actual image: attributes, 0 or 1, and classes."
    )
    premise: dict[str, int | Float] = Field(
        description="What is otherwise: attributes, 0 or 1, and classes; for do also variables and their values.",
    )
    by: Literal["observe", "do"] = Field(
        "observe", description="observe: it is seen to be so; do: it is made so."
    )
    generator: Literal[*GENERATORS] = Field(
        "dcgan",
        description="dcgan: of images alone, can only observe; gan: with the causal graph, can do both.",
    )
    actual: Literal["test", "drawn"] = Field(
        "test",
        description="test: the first test images of which the classifier says the evidence, their noise found; "
        "drawn: images drawn from the generator given the evidence.",
    )


QueryByName = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], QuerySettings | None]
"""Queries by name; null leaves one out, since a configuration laid over another can add keys but take none away."""

_DIM = {"given": {"bright": 0}, "premise": {"bright": 1}, "generator": "gan"}
QUERIES = {
    "thicker_seen": QuerySettings(given={"digit": 3, "thick": 0}, premise={"thick": 1}),
    "other_digit": QuerySettings(given={"digit": 3}, premise={"digit": 8}),
    "thicker_made": QuerySettings(
        given={"digit": 3, "thick": 0}, premise={"thick": 1}, by="do", generator="gan"
    ),
    "brighter_seen": QuerySettings(**_DIM),
    "brighter_made": QuerySettings(**_DIM, by="do"),
}
"""Given a thin 3, what if it were thick? Given a dim digit, what if it were bright: seen to be, or made?"""


class QueriesSettings(Section):
    """The extended structural model, asked in words; over dcgan with the method gan_esm, over gan with gan."""

    by_name: QueryByName = Field(
        QUERIES,
        description="The queries: {given: evidence, premise: what is otherwise, by: observe or do, generator: dcgan "
        "or gan, actual: test or drawn}, as explained by `counterfactory query --help`. null leaves one out.",
    )
    stickiness: list[Share] = Field(
        [0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99],
        min_length=1,
        description="The values of s that each is asked at: how probably a noise is kept.",
    )
    images: int = Field(12, ge=0, description="Actual images of each query; 0: no query is asked.")
    samples: Count = Field(6, description="Counterfactual images of each, for every stickiness.")
    structure: int = Field(
        2_000,
        ge=0,
        description="Images of each generator that are measured to see what it knows of the causal structure; 0: none.",
    )
    seed: Seed = Field(0, description="The seed of what is drawn.")
    kernel: Literal[*KERNELS] = Field(
        "sticky",
        description="The law of the counterfactual noise, as answers.gan_esm.kernel; over gan sticky only.",
    )
    sharpness: Positive = Field(8.0, description="As answers.gan_esm.sharpness.")
    sampler: Literal[*SAMPLERS] = Field("auto", description="As answers.gan_esm.sampler.")
    particles: Count = Field(128, description="Particles of smc, at least; as many as samples are returned.")
    sweeps: Count = Field(10, description="Moves of every particle at each temperature.")
    inversion_steps: Annotated[int, Field(ge=0)] = Field(
        100, description="Updates that find the noise of a test image for dcgan."
    )

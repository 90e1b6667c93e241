"""Defines the section `scm`: the mechanisms of the parents."""

from typing import Annotated

from pydantic import Field

from .sections import Count, Section

__all__ = ["ScmSettings"]


class ScmSettings(Section):
    """The mechanisms of the parents: the distribution of each variable given its causes."""

    steps: Count = Field(
        1_000, description="Maximum number of L-BFGS iterations; the fit ends at convergence."
    )
    bins: Annotated[int, Field(ge=2, le=64)] = Field(
        8,
        description="Bins of the spline flow of a continuous variable without causes (Morpho-MNIST: "
        "thickness).",
    )
    hidden: list[Count] = Field(
        [16, 16],
        min_length=1,
        description="Hidden widths of the network that conditions a variable on its causes (Morpho-MNIST: "
        "intensity on thickness).",
    )

"""The section `answers.gan_esm`: the extended structural model over an unconditional GAN."""

from typing import Annotated, Literal

from pydantic import Field

from ..esm.registry import KERNELS, SAMPLERS
from .sections import Count, Positive, Section, Share

__all__ = ["GanEsmSettings"]


class GanEsmSettings(Section):
    """How counterfactual observations over a GAN are drawn."""

    images: Count | None = Field(
        24, description="How many of the suite's images it answers, the first ones; null: all."
    )
    stickiness: Share = Field(
        0.9, description="Probability that a noise is kept; at 1 nothing can be observed to be otherwise."
    )
    kernel: Literal[*KERNELS] = Field(
        "sticky",
        description="sticky: each latent is kept or redrawn; autoregressive: all are moved a little (normal prior); "
        "original_gaussian, original_uniform: the original's samplers, which leave the prior.",
    )
    sharpness: Positive = Field(
        8.0,
        description="What the classifier's logits are multiplied by: the evidence is what it says, not what it half "
        "believes (1: its own probabilities).",
    )
    sampler: Literal[*SAMPLERS] = Field(
        "auto",
        description="rejection; chain: Metropolis; smc: tempered particles; auto: rejection where the target is "
        "common, else smc.",
    )
    particles: Count = Field(128, description="Particles of smc.")
    sweeps: Count = Field(
        10, description="Moves of every particle at each temperature; a chain makes twenty times as many."
    )
    inversion_steps: Annotated[int, Field(ge=0)] = Field(
        100, description="Updates that find the noise of an image."
    )

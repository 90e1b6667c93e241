"""Defines the section `answers.gan_esm`: the extended structural model over an unconditional GAN."""

from pydantic import Field

from .names import KernelName, SamplerName
from .sections import Count, Positive, Section, Share, Whole

__all__ = ["GanEsmSettings"]


class GanEsmSettings(Section):
    """How counterfactual observations over a GAN are sampled."""

    images: Count | None = Field(
        24, description="Number of images of the suite flip to answer, the first ones; null: all."
    )
    stickiness: Share = Field(
        0.9,
        description="Probability that a noise variable keeps its factual value; at 1 no other observation is "
        "possible.",
    )
    kernel: KernelName = Field(
        "sticky",
        description="Distribution of the counterfactual noise; sticky: each latent is kept or redrawn; "
        "autoregressive: all latents move by a small step (normal prior only); original_gaussian, "
        "original_uniform: the samplers of the original code, which do not preserve the prior.",
    )
    sharpness: Positive = Field(
        8.0,
        description="Factor on the classifier's logits; large values turn its probabilities into decisions "
        "(1: its own probabilities).",
    )
    sampler: SamplerName = Field(
        "auto",
        description="rejection; chain: Metropolis; smc: tempered particles (sequential Monte Carlo); auto: "
        "rejection if the target is frequent, else smc.",
    )
    particles: Count = Field(128, description="Particles of smc.")
    sweeps: Count = Field(
        10, description="Moves of each particle at each temperature; chain makes 20 times as many."
    )
    inversion_steps: Whole = Field(100, description="Updates that optimize the latents of an image.")

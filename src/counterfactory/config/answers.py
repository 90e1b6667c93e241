"""Defines the section `answers`: how methods answer questions."""

from typing import Literal

from pydantic import Field

from .causaldiffae import CausalDiffAEAnswers
from .esm import GanEsmSettings
from .explainers import DimeSettings, DimeXSettings, FastDimeSettings
from .sections import Count, NonNegative, Section, Share

__all__ = ["AnswersSettings"]


class OwnTemperatures(Section):
    """The temperatures of one image mechanism; null: those of all methods."""

    latents: NonNegative | None = Field(None, description="In place of answers.latent_temperature.")
    residual: NonNegative | None = Field(None, description="In place of answers.residual_temperature.")


class ReducedResidual(Section):
    """A residual temperature beside that of the other methods, to compare both in one table."""

    residual_temperature: NonNegative = Field(
        0.1, description="Factor on the abducted pixel noise (published: 0.1)."
    )


class AnswersSettings(Section):
    """How methods answer questions. A section that is named like a method belongs to that method alone."""

    chunk_size: Count = Field(
        2_000,
        description="Questions per job, and 20 times as many for methods without networks; does not change "
        "the answers.",
    )
    chunks: Count = Field(
        2,
        description="Number of jobs for a method's answers to the suite flip; does not change the answers.",
    )
    batch_size: Count = Field(
        100, description="Questions per network call; affects only the order of summation."
    )
    latent_temperature: NonNegative = Field(
        0.1,
        description="Factor on the posterior's standard deviation when latents are abducted (published for HVAEs: "
        "0.1); 0: the posterior mean; 1: a draw from the posterior.",
    )
    residual_temperature: NonNegative = Field(
        1.0,
        description="Factor on the abducted pixel noise; with 1, the empty intervention returns the image "
        "exactly.",
    )
    temperatures: dict[Literal["vae", "hvae", "vae_ft", "hvae_ft"], OwnTemperatures] = Field(
        {},
        description="Temperatures of single image mechanisms, such as {vae: {latents: 1, residual: 0.1}}: published "
        "evaluations use other ones for the simple VAE than for the HVAE.",
    )
    effect: Literal["direct", "total", "indirect"] = Field(
        "direct",
        description="Causal path of the intervention; total and indirect require models with a conditional "
        "prior.",
    )
    mediator_weight: Share = Field(
        0.5,
        description="Weight of the factual posterior in the counterfactual mediator (total and indirect "
        "effects).",
    )
    residual: Literal["censored", "clipped"] = Field(
        "censored",
        description="Abducted noise of a pixel; censored: black and white pixels imply only that the prediction lies "
        "at or beyond the end of the range; clipped: predicted locations are clipped to the range first (causal-gen).",
    )
    mediator_variance: Literal["squared", "linear"] = Field(
        "squared",
        description="Weights of the two variances of the mediator: squared, or a and 1 - a, as in the code of "
        "causal-gen's simple VAE (total and indirect effects).",
    )
    mediator_draws: Literal["kept", "fresh"] = Field(
        "kept",
        description="Noise of the mediator; kept: that of the abducted latents; fresh: that of a second draw of the "
        "posterior and of draws of the prior, as in the evaluation of causal-gen (total and indirect effects).",
    )
    stickiness: Share = Field(
        1.0,
        description="Probability that an abducted noise variable is kept; 1: the same individual (Pearl's "
        "counterfactual), 0: all noise is redrawn.",
    )
    vgg19_weights: str = Field(
        "torchvision",
        min_length=1,
        description="Source of the weights of VGG-19, if an explainer has perceptual: vgg19; torchvision "
        "(its download), or the file vgg19-dcbb9e9d.pth.",
    )
    reduced: ReducedResidual = Field(
        ReducedResidual(), description="The HVAE with a smaller residual (method hvae_reduced)."
    )
    causaldiffae: CausalDiffAEAnswers = Field(CausalDiffAEAnswers(), description="CausalDiffAE.")
    dime: DimeSettings = Field(DimeSettings(), description="DiME.")
    fastdime: FastDimeSettings = Field(FastDimeSettings(), description="FastDiME.")
    dime_x: DimeXSettings = Field(
        DimeXSettings(), description="DiME-X, a fast variant of DiME of this project."
    )
    gan_esm: GanEsmSettings = Field(
        GanEsmSettings(), description="The extended structural model over an unconditional GAN."
    )

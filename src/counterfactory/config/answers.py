"""The section `answers`: how questions are answered."""

from typing import Literal

from pydantic import Field

from .causaldiffae import CausalDiffAEAnswers
from .esm import GanEsmSettings
from .explainers import EXPLAINERS, DimeSettings, DimeXSettings, FastDimeSettings
from .sections import Count, NonNegative, Section, Share

__all__ = ["AnswersSettings"]


class AnswersSettings(Section):
    """How questions are answered."""

    chunk_size: Count = Field(
        2_000,
        description="Questions a job, and 20 times as many where no network is asked; changes no byte of any answer.",
    )
    chunks: Count = Field(
        2, description="Jobs that a method's answers to the suite flip are spread over; changes no byte."
    )
    batch_size: Count = Field(100, description="Questions a network call; changes only the order of sums.")
    latent_temperature: NonNegative = Field(
        1.0, description="Factor on the posterior's spread when latents are abducted; 0: its mean."
    )
    residual_temperature: NonNegative = Field(
        1.0,
        description="Factor on the abducted pixel noise; 1 returns the image exactly under no intervention.",
    )
    effect: Literal["direct", "total", "indirect"] = Field(
        "direct", description="Which path acts; total and indirect need models with a conditional prior."
    )
    mediator_weight: Share = Field(
        0.5,
        description="Weight of the factual posterior in the counterfactual mediator (total and indirect effects).",
    )
    stickiness: Share = Field(
        1.0,
        description="Probability that an abducted noise is kept; 1: this very individual (Pearl), 0: all are redrawn, "
        "another individual.",
    )
    vgg19_weights: str = Field(
        "torchvision",
        min_length=1,
        description="Where the weights of vgg19 come from, if an explainer's perceptual distance is its: torchvision "
        "(its download), or that file, vgg19-dcbb9e9d.pth.",
    )
    causaldiffae: CausalDiffAEAnswers = Field(CausalDiffAEAnswers(), description="CausalDiffAE.")
    dime: DimeSettings = Field(EXPLAINERS["dime"], description="DiME.")
    fastdime: FastDimeSettings = Field(EXPLAINERS["fastdime"], description="FastDiME.")
    dime_x: DimeXSettings = Field(EXPLAINERS["dime_x"], description="Our own fast relative of DiME.")
    gan_esm: GanEsmSettings = Field(
        GanEsmSettings(), description="The extended structural model over an unconditional GAN."
    )

"""How networks are trained: what every training is told, and what only that of an image model with latents is."""

from typing import Annotated, Literal

from pydantic import Field

from .sections import Count, Float, NonNegative, Positive, Section, Share

__all__ = ["IMAGE_TRAINING", "ImageTrainingSettings", "TrainingSettings"]


class TrainingSettings(Section):
    """How one network is trained. The results are a function of these and of the seed alone."""

    steps: Count = Field(description="Updates at most.")
    batch_size: Count = Field(description="Images an update.")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw",
        description="What moves the weights: AdamW; or Muon, and AdamW only vectors (biases, scales).",
    )
    learning_rate: Positive = Field(description="Its learning rate after the warm-up.")
    warmup: int = Field(ge=0, description="Updates over which the learning rate rises linearly from zero.")
    schedule: Literal["constant", "cosine"] = Field(description="The learning rate after the warm-up.")
    weight_decay: NonNegative = Field(description="Its decoupled weight decay.")
    betas: tuple[Annotated[Float, Field(ge=0, lt=1)], Annotated[Float, Field(ge=0, lt=1)]] = Field(
        description="AdamW's two decay rates."
    )
    ema: Annotated[Float, Field(ge=0, lt=1)] = Field(
        description="Decay of the moving average of the weights, which is what is kept; 0: the weights themselves."
    )
    clip: Positive = Field(description="Gradients are scaled down to this norm.")
    skip: Positive = Field(
        description="Updates whose gradient norm reaches this (or is not a number) are skipped."
    )
    valid_every: Count = Field(
        description="Updates between two validations; the best validated weights are kept."
    )
    patience: int = Field(ge=0, description="Stop after this many validations without gain; 0: never.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        description="Arithmetic of the forward pass; auto: bfloat16 where the hardware computes with it, else float32."
    )
    compile: Literal["never", "gpu", "always"] = Field(
        "never",
        description="When PyTorch's compiler fuses the network's operations: minutes at the start, then fewer and "
        "larger kernels. For long trainings on a GPU.",
    )
    threads: Count = Field(description="CPU threads; fixed, because the order of sums depends on it.")


class ImageTrainingSettings(TrainingSettings):
    """How an image model is trained: as every network, and what only its loss knows."""

    shift: Annotated[int, Field(ge=0, le=8)] = Field(
        description="Training images are moved at random by up to this many px (published: 4)."
    )
    beta: Positive = Field(description="Weight of the KL divergence in the end; 1: the evidence lower bound.")
    beta_start: Positive = Field(
        description="Its weight at the start; while that is high, the decoder learns what the parents tell."
    )
    beta_until: Share = Field(
        description="Share of the steps in which it falls (or rises) geometrically to beta; 0: beta throughout."
    )
    scale_hold: Share = Field(
        description="Share of the steps in which the scale of the pixels' noise is fixed."
    )
    scale_release: Share = Field(
        description="Share of the steps after which that scale is wholly the network's own; at least scale_hold."
    )
    independence: NonNegative = Field(
        description="Weight of what the latents know of the parents, which noise should not (published: 0)."
    )
    free_bits: NonNegative = Field(description="Nats of KL that each latent channel is not penalised for.")
    conditioning_dropout: Share = Field(
        description="Share of training images whose digit is hidden from the prior or from the decoder."
    )


IMAGE_TRAINING = ImageTrainingSettings(
    steps=3_000,
    batch_size=64,
    learning_rate=0.003,
    warmup=100,
    schedule="cosine",
    weight_decay=0.01,
    betas=(0.9, 0.99),
    ema=0.998,
    clip=10.0,
    skip=1_000.0,
    valid_every=500,
    patience=0,
    precision="auto",
    threads=1,
    shift=0,
    beta=1.0,
    beta_start=4.0,
    beta_until=0.4,
    scale_hold=0.35,
    scale_release=0.7,
    independence=20.0,
    free_bits=0.0,
    conditioning_dropout=0.0,
)
"""The training of an image model by default; a model says only where its own differs."""

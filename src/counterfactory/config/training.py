"""Defines how networks are trained: the keys of every training, and those of image models with latents."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model

from .sections import Count, Mirror, NonNegative, Positive, Section, Share, Shift, Whole

__all__ = ["IMAGE_TRAINING", "ImageTrainingSettings", "TrainingDefaults", "TrainingSettings"]


class TrainingSettings(Section):
    """The training of one network. The result depends on these values and on the seed only."""

    steps: Count = Field(description="Maximum number of updates.")
    batch_size: Count = Field(description="Images per update.")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw",
        description="adamw; or muon, which uses Muon for weight matrices and AdamW for vectors (biases, "
        "scales).",
    )
    learning_rate: Positive = Field(description="Learning rate after the warm-up.")
    warmup: Whole = Field(description="Updates over which the learning rate rises linearly from zero.")
    schedule: Literal["constant", "cosine"] = Field(
        description="Learning rate after the warm-up: constant, or decayed to zero along a cosine."
    )
    weight_decay: NonNegative = Field(description="Decoupled weight decay.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        description="The two decay rates of AdamW."
    )
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="Decay rate of the exponential moving average of the weights. The average is validated "
        "and saved; 0: the weights themselves."
    )
    clip: Positive = Field(description="Gradients with a larger norm are scaled down to this norm.")
    skip: Positive = Field(
        description="Updates are skipped whose gradient norm reaches this value or is not a number."
    )
    valid_every: Count = Field(
        description="Updates between two validations. The weights with the best validation loss are saved."
    )
    patience: Whole = Field(
        description="Early stopping after this many validations without improvement; 0: no early stopping."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        description="Arithmetic of the forward pass; auto: bfloat16 where the hardware supports it, else "
        "float32."
    )
    compile: Literal["never", "gpu", "always"] = Field(
        "never",
        description="When torch.compile is used: never, on a GPU, or always. It costs minutes at the start "
        "and pays off in long trainings.",
    )
    threads: Count = Field(
        description="CPU threads. The order of summation depends on them, so results are reproducible only "
        "for an equal number."
    )


if TYPE_CHECKING:
    TrainingDefaults = Section
else:
    TrainingDefaults = create_model(
        "TrainingDefaults",
        __base__=Section,
        __doc__="Values for the training of every model; null: each model's own default.",
        **{
            name: (
                (Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation) | None,
                Field(None, description=field.description),
            )
            for name, field in TrainingSettings.model_fields.items()
        },
    )


class ImageTrainingSettings(TrainingSettings):
    """The training of an image mechanism with latents: every training's keys, and those of its loss."""

    shift: Shift = Field(
        description="Training images are shifted at random by up to this many px (published: 4)."
    )
    mirror: Mirror = False
    beta: Positive = Field(
        description="Final weight of the KL divergence; 1: the loss is the negative evidence lower bound."
    )
    beta_start: Positive = Field(
        description="Initial weight of the KL divergence. While it is high, the decoder uses the parents "
        "rather than the latents."
    )
    beta_until: Share = Field(
        description="Share of the steps over which that weight changes geometrically from beta_start to "
        "beta; 0: beta throughout."
    )
    scale_hold: Share = Field(
        description="Share of the steps during which the scale of the pixel noise is fixed."
    )
    scale_release: Share = Field(
        description="Share of the steps after which that scale is entirely the network's output; at least "
        "scale_hold."
    )
    independence: NonNegative = Field(
        description="Weight of the adversarial penalty on information about the parents in the latents "
        "(published: 0)."
    )
    free_bits: NonNegative = Field(
        description="KL divergence of each latent channel, in nats, that is not penalized."
    )
    conditioning_dropout: Share = Field(
        description="Share of training images whose categorical parents are hidden from the prior or from the decoder."
    )
    conditioning_dropout_unit: Literal["image", "batch"] = Field(
        "image",
        description="What is drawn for conditioning_dropout: each image; or each batch (causal-gen), whose posterior "
        "receives all parents.",
    )
    likelihood: Literal["exact", "capped"] = Field(
        "exact",
        description="Likelihood of a pixel; capped: at most 27.63 nats, without gradient beyond (causal-gen); slower, "
        "because no compiled kernels compute it.",
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
"""The default training of an image mechanism; other models only name the values that differ."""

"""Defines `models.vae_ft` and `models.hvae_ft`: fine-tuning of a trained image mechanism on counterfactuals."""

from typing import Literal

from pydantic import Field

from .sections import NonNegative, Positive, Section
from .training import TrainingSettings

__all__ = ["FINETUNING", "FinetuneSettings", "FinetuneTraining"]


class FinetuneTraining(TrainingSettings):
    """Fine-tuning: every training's keys, and those of the constrained objective."""

    damping: NonNegative = Field(
        description="Weight of the squared violation of the constraint on the NELBO (negative evidence lower "
        "bound; published: 100)."
    )
    multiplier_rate: Positive = Field(
        description="AdamW's learning rate of the Lagrange multiplier (published: 0.01)."
    )
    intervene: Literal["batch", "image"] = Field(
        description="Whether the parent to intervene on is drawn for each batch (published) or for each "
        "image."
    )
    constraint: Literal["image", "set"] = Field(
        description="Upper bound of the NELBO; set: the trained model's mean on the train split (published); "
        "image: the trained model's value for each image, shifted to the same mean."
    )
    slack: float = Field(
        description="Nats per pixel added to the bound (published: 0). A negative value tightens it, so that "
        "a bound met on the valid split is also met on the train split."
    )
    categorical_weight: Positive = Field(
        description="Weight of the log-likelihood of categorical parents (published: 1). The log-likelihood "
        "of a continuous parent grows without limit as predictions become exact, and would outweigh wrong "
        "classes."
    )


FINETUNING = FinetuneTraining(
    steps=800,
    batch_size=32,
    learning_rate=0.0003,
    warmup=25,
    schedule="cosine",
    weight_decay=0.01,
    betas=(0.9, 0.99),
    ema=0.99,
    clip=350.0,
    skip=1e6,
    valid_every=100,
    patience=0,
    precision="auto",
    threads=1,
    damping=1_000.0,
    multiplier_rate=2.0,
    intervene="image",
    constraint="image",
    slack=-0.001,
    categorical_weight=10.0,
)
"""The default fine-tuning. Published: 1e-4, batches of 32, clip 350, skip 500, EMA 0.999, without a fixed end."""


class FinetuneSettings(Section):
    """Fine-tuning on counterfactuals. The network is that of the trained model."""

    training: FinetuneTraining = Field(FINETUNING, description="Its training.")

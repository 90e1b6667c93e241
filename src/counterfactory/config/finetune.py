"""The sections `models.vae_ft` and `models.hvae_ft`: how a trained image model is fine-tuned on counterfactuals."""

from typing import Literal

from pydantic import Field

from .sections import NonNegative, Positive, Section
from .training import TrainingSettings

__all__ = ["FINETUNING", "FinetuneSettings", "FinetuneTraining"]


class FinetuneTraining(TrainingSettings):
    """How an image model is fine-tuned: as every network is trained, and what only the constrained objective knows."""

    damping: NonNegative = Field(
        description="Weight of the square of what the NELBO exceeds its constraint by (published: 100)."
    )
    multiplier_rate: Positive = Field(
        description="AdamW's learning rate of the Lagrange multiplier (published: 0.01)."
    )
    intervene: Literal["batch", "image"] = Field(
        description="Whether one parent to set is drawn for each batch (published) or for each image."
    )
    constraint: Literal["image", "set"] = Field(
        description="What the NELBO may not exceed; set: the trained model's mean on the train split (published); "
        "image: its own of each image, with the same mean."
    )
    slack: float = Field(
        description="Nats per pixel by which it may be exceeded (published: 0); below 0: by which it is to be "
        "undercut, so that what holds on the valid split holds on train too."
    )
    categorical_weight: Positive = Field(
        description="Weight of the log-likelihood of categorical parents (published: 1). That of a continuous one "
        "rewards ever finer agreement; beside it a class that is read wrong weighs little."
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
"""Fine-tuning by default. Published: 1e-4, batches of 32, clip 350, skip 500, EMA 0.999, until stopped."""


class FinetuneSettings(Section):
    """Fine-tuning on counterfactuals; the network is that of the model it starts from."""

    training: FinetuneTraining = Field(FINETUNING, description="Its training.")

"""Defines `models.gan` (conditional, with an encoder) and `models.dcgan` (unconditional): adversarial networks."""

from typing import Literal

from pydantic import Field

from .sections import EXPOSURE, Count, Exposure, NonNegative, Section, Share
from .training import TrainingSettings

__all__ = [
    "AdversarialNetwork",
    "DcganNetwork",
    "DcganSettings",
    "EncoderTraining",
    "GanNetwork",
    "GanSettings",
    "GanTraining",
]


class AdversarialNetwork(Section):
    """The sizes of the discriminator."""

    hidden: Count = Field(128, description="Width of the discriminator's dense layers.")
    spectral: bool = Field(
        True,
        description="Whether the discriminator has spectral normalization, which keeps it from winning early "
        "(published: false).",
    )
    dropout: Share = Field(0.0, description="Dropout rate of the discriminator's features.")


class DcganNetwork(AdversarialNetwork):
    """Generator, discriminator, and an optional encoder."""

    latent: Count = Field(64, description="Latent variables per image (published: 100).")
    prior: Literal["normal", "uniform"] = Field(
        "normal",
        description="Prior of the latents: standard normal, or uniform from -1 to 1 (published).",
    )
    widths: list[Count] = Field(
        [24, 48, 96],
        min_length=1,
        description="Channels at each resolution, from half the image size downwards (published, for 64 px: "
        "64, 128, 256, 512).",
    )
    encoder: bool = Field(
        True,
        description="Whether an encoder is trained too, with a discriminator of pairs of image and latents. "
        "It speeds up training and gives the latents of an image without optimization (published: false).",
    )


class GanNetwork(AdversarialNetwork):
    """Generator, encoder and discriminator, conditioned on the parents."""

    latent: Count = Field(64, description="Latent variables per image (published: 512).")
    prior: Literal["normal", "uniform"] = Field(
        "normal",
        description="Prior of the latents: standard normal (published), or uniform from -1 to 1.",
    )
    widths: list[Count] = Field(
        [24, 48, 96],
        min_length=1,
        description="Channels at each resolution, from half the image size downwards (published: 64, 128, "
        "256, 512).",
    )
    exposure: Exposure = EXPOSURE


ADVERSARIAL = TrainingSettings(
    steps=3_500,
    batch_size=32,
    learning_rate=0.001,
    warmup=100,
    schedule="cosine",
    weight_decay=0.0,
    betas=(0.5, 0.99),
    ema=0.998,
    clip=100.0,
    skip=1e6,
    valid_every=500,
    patience=0,
    precision="auto",
    threads=1,
)


class GanTraining(TrainingSettings):
    """The adversarial training of all networks together."""

    cycle: NonNegative = Field(
        description="Weight of the reconstruction error in the adversarial phase (published: 0). Without an "
        "encoder it has no effect."
    )


class EncoderTraining(TrainingSettings):
    """The training of the encoder with a fixed generator."""

    code: NonNegative = Field(
        description="Weight of the error of latents that are decoded and encoded again (published: 1)."
    )


class GanSettings(Section):
    """The conditional GAN with an encoder (ALI, as in ImageCFGen)."""

    network: GanNetwork = Field(GanNetwork(), description="The networks.")
    training: GanTraining = Field(
        GanTraining(**dict(ADVERSARIAL), cycle=10.0), description="The adversarial phase."
    )
    encoder: EncoderTraining = Field(
        EncoderTraining(**dict(ADVERSARIAL) | {"steps": 1_000, "valid_every": 250}, code=0.02),
        description="The encoder phase: cycles from images and from latents, with a fixed generator.",
    )


class DcganSettings(Section):
    """The unconditional GAN."""

    network: DcganNetwork = Field(DcganNetwork(), description="The networks.")
    training: GanTraining = Field(GanTraining(**dict(ADVERSARIAL), cycle=10.0), description="Its training.")

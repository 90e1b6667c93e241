"""The section `models`: the image models, each with its network and its training."""

from typing import Annotated, Literal

from pydantic import Field

from .attributes import ClassifierSettings
from .causaldiffae import CausalDiffAESettings
from .ddpm import DdpmSettings
from .finetune import FinetuneSettings
from .gan import DcganSettings, GanSettings
from .sections import Count, Exposure, Float, Section
from .training import IMAGE_TRAINING, ImageTrainingSettings

__all__ = ["HvaeNetwork", "HvaeSettings", "ModelsSettings", "VaeNetwork", "VaeSettings"]

# What every VAE of an image has, with its default: a key of each network, told once.
Prior = Annotated[
    Literal["exogenous", "conditional"],
    Field(
        "exogenous",
        description="exogenous: latents are noise, kept in a counterfactual; conditional: they mediate the parents.",
    ),
]
LogScale = Annotated[
    Float,
    Field(
        -1.5,
        ge=-9,
        le=2,
        description="Log of the scale of the pixels' noise before training, in half the grey range (published: 0).",
    ),
]

Sharpen = Annotated[
    bool,
    Field(
        True,
        description="Whether predicted images, which are means and so blurred, are sharpened until their edges are as "
        "steep as those of the training images (published: false).",
    ),
]


class VaeNetwork(Section):
    """The simple VAE."""

    channels: Count = Field(32, description="Channels of the convolutions (published: 32).")
    hidden: Count = Field(128, description="Width of the dense layers (published: 128).")
    latent: Count = Field(16, description="Latent variables an image (published: 16).")
    prior: Prior
    exposure: Exposure
    log_scale: LogScale
    sharpen: Sharpen


class VaeSettings(Section):
    """The simple VAE: its network and training."""

    network: VaeNetwork = Field(VaeNetwork(), description="The network.")
    training: ImageTrainingSettings = Field(IMAGE_TRAINING, description="Its training.")


class HvaeNetwork(Section):
    """The hierarchical VAE; each list has one entry for each resolution."""

    resolutions: list[Count] = Field(
        [16, 8, 4, 1],
        min_length=1,
        description="Sizes of the feature maps in px, finest first; the first is image_size / patch "
        "(published: 32, 16, 8, 4, 1).",
    )
    widths: list[Count] = Field(
        [32, 64, 64, 64], description="Channels at each resolution (published: 16, 32, 64, 128, 256)."
    )
    encoder_blocks: list[Count] = Field(
        [1, 1, 1, 1], description="Blocks of the encoder (published: 4 each)."
    )
    decoder_blocks: list[Count] = Field(
        [1, 1, 1, 1], description="Blocks of the decoder, that is stochastic layers (published: 4 each)."
    )
    latents: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 0, 8, 8],
        description="Latent channels of a layer at each resolution; 0: its blocks only refine (published: 16 each).",
    )
    bottleneck: Count = Field(1, description="Inside a block the width is divided by this (published: 4).")
    block: Literal["heavy", "light"] = Field(
        "light", description="heavy: convolutions of 1, 3, 3 and 1 px (published); light: two of 3 px."
    )
    prior: Prior
    patch: Count = Field(
        2, description="Squares of this many px are folded into channels at both ends (published: 1)."
    )
    exposure: Exposure
    log_scale: LogScale
    sharpen: Sharpen


class HvaeSettings(Section):
    """The hierarchical VAE: its network and training."""

    network: HvaeNetwork = Field(HvaeNetwork(), description="The network.")
    training: ImageTrainingSettings = Field(
        IMAGE_TRAINING.model_copy(
            update={"steps": 7_000, "batch_size": 32, "learning_rate": 0.004, "valid_every": 1_000}
        ),
        description="Its training.",
    )


class ModelsSettings(Section):
    """The image models. Only those that a chosen method asks are trained."""

    vae: VaeSettings = Field(VaeSettings(), description="The simple VAE.")
    hvae: HvaeSettings = Field(HvaeSettings(), description="The hierarchical VAE.")
    vae_ft: FinetuneSettings = Field(
        FinetuneSettings(), description="The simple VAE, fine-tuned on counterfactuals."
    )
    hvae_ft: FinetuneSettings = Field(
        FinetuneSettings(), description="The hierarchical VAE, fine-tuned on counterfactuals."
    )
    causaldiffae: CausalDiffAESettings = Field(
        CausalDiffAESettings(), description="The diffusion autoencoder with causal codes."
    )
    classifier: ClassifierSettings = Field(
        ClassifierSettings(), description="The classifier that explanations explain."
    )
    ddpm: DdpmSettings = Field(DdpmSettings(), description="The denoising diffusion model.")
    gan: GanSettings = Field(GanSettings(), description="The conditional GAN with an encoder.")
    dcgan: DcganSettings = Field(DcganSettings(), description="The unconditional GAN.")

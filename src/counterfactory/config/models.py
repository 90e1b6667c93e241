"""Defines the section `models`: the trained models that methods use, each with its network and its training."""

from typing import Annotated, Literal

from pydantic import Field

from .attributes import ClassifierSettings
from .causaldiffae import CausalDiffAESettings
from .ddpm import DdpmSettings
from .finetune import FinetuneSettings
from .gan import DcganSettings, GanSettings
from .imported import Importable
from .sections import EXPOSURE, Count, Exposure, Section, Unique, Whole
from .training import IMAGE_TRAINING, ImageTrainingSettings

__all__ = ["HvaeNetwork", "HvaeSettings", "ModelsSettings", "VaeNetwork", "VaeSettings"]

# Keys of both VAEs.
Prior = Annotated[
    Literal["exogenous", "conditional"],
    Field(
        description="exogenous: the latents are noise, which a counterfactual keeps; conditional: they "
        "mediate the effect of the parents.",
    ),
]
LogScale = Annotated[
    float,
    Field(
        ge=-9,
        le=2,
        description="Initial log standard deviation of the pixel noise; images range from -1 to 1 "
        "(published: 0).",
    ),
]
Sharpen = Annotated[
    bool,
    Field(
        description="Whether predicted images, which are means and therefore blurred, are sharpened until "
        "their edges are as steep as those of the training images (published: false).",
    ),
]


Centred = Annotated[
    bool,
    Field(
        description="Whether the linear dependence of the latents on the parents is removed during the training, so "
        "that the decoder reads from the parents what they determine; requires prior: exogenous (published: false).",
    ),
]


Transported = Annotated[
    bool,
    Field(
        description="Whether the noise of the latents is moved between the classes of a categorical parent by "
        "optimal transport, fitted on the train split after training; requires prior: exogenous (published: false).",
    ),
]


Levelled = Annotated[
    bool,
    Field(
        description="Whether the white level and the peak of a counterfactual image follow from those of the image "
        "and the variables in exposure, instead of the network alone; requires exposure (published: false).",
    ),
]


Calibrated = Annotated[
    bool,
    Field(
        description="Whether interventions on continuous parents outside of exposure are calibrated: the decoder "
        "receives the parents with which answers have the measured parents that were asked for; requires levels and "
        "a simulated data set, which measures images (published: false).",
    ),
]


Debias = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="The share of the bias of abducted latents that is removed from them; the bias is estimated by "
        "abducting from the predicted image. Above 0 it requires prior: exogenous (published: 0).",
    ),
]


class VaeNetwork(Section):
    """The network of the simple VAE."""

    channels: Count = Field(32, description="Channels of the convolutions (published: 32).")
    hidden: Count = Field(128, description="Width of the dense layers (published: 128).")
    latent: Count = Field(16, description="Latent variables per image (published: 16).")
    prior: Prior = "exogenous"
    patch: Count = Field(
        1,
        description="Squares of this many px a side are folded into channels at the input and unfolded at "
        "the output (published: 1). 2 saves three quarters of the time at 64 px.",
    )
    exposure: Exposure = EXPOSURE
    log_scale: LogScale = -1.5
    sharpen: Sharpen = True
    centred: Centred = True
    transport: Transported = True
    levels: Levelled = True
    calibrate: Calibrated = True
    debias: Debias = 0.5


class VaeSettings(Importable):
    """The simple VAE."""

    network: VaeNetwork = Field(VaeNetwork(), description="The network.")
    training: ImageTrainingSettings = Field(
        IMAGE_TRAINING.model_copy(
            update={
                "optimizer": "muon",
                "steps": 2_700,
                "learning_rate": 0.006,
                "valid_every": 900,
                "beta": 2.0,
                "beta_until": 0.5,
            }
        ),
        description="Its training.",
    )


class HvaeNetwork(Section):
    """The network of the hierarchical VAE. Each list has one entry for each resolution."""

    resolutions: Unique[Count] = Field(
        [16, 8, 4, 1],
        min_length=1,
        description="Sizes of the feature maps in px, finest first. The first one is image_size / patch "
        "(published: 32, 16, 8, 4, 1).",
    )
    widths: list[Count] = Field(
        [32, 64, 64, 64], description="Channels at each resolution (published: 16, 32, 64, 128, 256)."
    )
    encoder_blocks: list[Count] = Field(
        [1, 1, 1, 1], description="Blocks of the encoder at each resolution (published: 4)."
    )
    decoder_blocks: list[Count] = Field(
        [1, 1, 1, 1],
        description="Blocks of the decoder at each resolution; each one is a stochastic layer if it has "
        "latents (published: 4).",
    )
    latents: list[Whole] = Field(
        [0, 0, 8, 8],
        description="Latent channels of each stochastic layer at each resolution; 0: no latents (published: "
        "16).",
    )
    bottleneck: Count = Field(1, description="Divisor of the width inside a block (published: 4).")
    block: Literal["heavy", "light"] = Field(
        "light",
        description="Convolutions of a block; heavy: kernels of 1, 3, 3 and 1 px (published); light: two of "
        "3 px.",
    )
    prior: Prior = "exogenous"
    patch: Count = Field(
        2,
        description="Squares of this many px a side are folded into channels at the input and unfolded at "
        "the output (published: 1).",
    )
    prior_log_scale: Annotated[float, Field(ge=-9, le=20)] | None = Field(
        2.0,
        description="The largest log standard deviation of the prior of a latent; null: no limit (published). "
        "Without a limit the scales of unused latents can grow until gradients diverge.",
    )
    exposure: Exposure = EXPOSURE
    log_scale: LogScale = -1.5
    sharpen: Sharpen = True
    centred: Centred = True
    transport: Transported = True
    levels: Levelled = True
    calibrate: Calibrated = True
    debias: Debias = 0.5


class HvaeSettings(Importable):
    """The hierarchical VAE."""

    network: HvaeNetwork = Field(HvaeNetwork(), description="The network.")
    training: ImageTrainingSettings = Field(
        IMAGE_TRAINING.model_copy(
            update={
                "optimizer": "muon",
                "steps": 2_700,
                "learning_rate": 0.008,
                "valid_every": 900,
                "beta": 2.0,
                "beta_until": 0.5,
                "independence": 40.0,
            }
        ),
        description="Its training.",
    )


class ModelsSettings(Section):
    """The models that methods use. A model is trained only if a chosen method uses it."""

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
        ClassifierSettings(), description="The classifier whose decisions are explained."
    )
    ddpm: DdpmSettings = Field(DdpmSettings(), description="The denoising diffusion model.")
    gan: GanSettings = Field(GanSettings(), description="The conditional GAN with an encoder.")
    dcgan: DcganSettings = Field(DcganSettings(), description="The unconditional GAN.")

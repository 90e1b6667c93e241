"""Defines the section `models.ddpm`: the denoising diffusion model, its network, diffusion and training."""

from typing import Annotated, Literal

from pydantic import Field

from .imported import Importable
from .sections import LARGEST, Count, NonNegative, Section, Share, Unique
from .training import IMAGE_TRAINING, TrainingSettings

__all__ = ["DdpmDiffusion", "DdpmNetwork", "DdpmSettings", "DdpmTraining", "DiffusionSteps"]

DiffusionSteps = Annotated[int, Field(ge=21, le=LARGEST)]


class DdpmNetwork(Section):
    """The U-Net. Published sizes are those of DiME for faces of 128 px."""

    width: Count = Field(
        32, description="Channels at the finest resolution, before multiplication (published: 128)."
    )
    multipliers: list[Count] = Field(
        [1, 2, 3],
        min_length=1,
        description="Factors on width, one for each resolution. The finest resolution, image_size / patch, "
        "comes first; each one is half the one before (published: 1, 1, 2, 3, 4).",
    )
    blocks: Count = Field(1, description="Residual blocks at each resolution (published: 2).")
    attention: Unique[Count] = Field(
        [],
        description="Resolutions in px whose blocks are followed by self-attention. If there are any, the "
        "middle block has self-attention too (published: 32, 16, 8).",
    )
    heads: Count = Field(4, description="Attention heads (published: 4).")
    patch: Count = Field(
        2,
        description="Squares of this many px a side are folded into channels at the input and unfolded at "
        "the output (published: 1).",
    )
    groups: Count = Field(
        1, description="Groups of the group normalization (published: 32). More than 1 is slow on a CPU."
    )
    skips: Literal["block", "level"] = Field(
        "level",
        description="Skip connections; block: from every block, with learned resampling (published); level: "
        "from the last block of each resolution, with fixed resampling.",
    )
    dropout: Share = Field(0.0, description="Dropout rate of the features of each block.")


class DdpmDiffusion(Section):
    """The diffusion process."""

    schedule: Literal["linear", "cosine"] = Field("linear", description="Noise schedule (published: linear).")
    steps: DiffusionSteps = Field(500, description="Diffusion steps (published: 500).")
    prediction: Literal["noise", "velocity"] = Field(
        "noise",
        description="Output of the network: noise (published), or velocity, which trains faster at high "
        "noise levels and slower at low ones.",
    )
    variance: Literal["learned", "fixed"] = Field(
        "learned",
        description="Variance of a reverse step: learned by the network (published), or that of the "
        "posterior.",
    )
    vlb_weight: NonNegative = Field(
        0.001,
        description="Weight of the variational bound, which trains the learned variance (published: 0.001 by "
        "Nichol and Dhariwal; 0.002885 is DiME's, which adds bits at 500 steps).",
    )


class DdpmTraining(TrainingSettings):
    """The training of the denoising diffusion model: every training's keys, and its augmentation."""

    mirror: bool = Field(
        description="Whether half of the training images are mirrored left to right (published, for faces: "
        "true)."
    )


class DdpmSettings(Importable):
    """The unconditional denoising diffusion model, on which the explainers are based."""

    network: DdpmNetwork = Field(DdpmNetwork(), description="The U-Net.")
    diffusion: DdpmDiffusion = Field(DdpmDiffusion(), description="The diffusion process.")
    training: DdpmTraining = Field(
        DdpmTraining(
            **{name: getattr(IMAGE_TRAINING, name) for name in TrainingSettings.model_fields}
            | {
                "optimizer": "muon",
                "steps": 1_100,
                "learning_rate": 0.006,
                "ema": 0.995,
                "clip": 1.0,
                "valid_every": 275,
                "mirror": False,
            }
        ),
        description="Its training.",
    )

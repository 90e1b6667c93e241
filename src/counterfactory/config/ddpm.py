"""The section `models.ddpm`: the denoising diffusion model, its network, its diffusion and its training."""

from typing import Literal

from pydantic import Field

from .sections import Count, NonNegative, Section, Share
from .training import IMAGE_TRAINING, TrainingSettings

__all__ = ["DdpmDiffusion", "DdpmNetwork", "DdpmSettings", "DdpmTraining"]


class DdpmNetwork(Section):
    """The U-Net that predicts noise. Published: that of DiME for faces of 128 px."""

    width: Count = Field(
        32, description="Channels at the finest resolution, before multiplying (published: 128)."
    )
    multipliers: list[Count] = Field(
        [1, 2, 3],
        min_length=1,
        description="Factors on width, one a resolution, finest (image_size / patch) first, each half the one before "
        "(published: 1, 1, 2, 3, 4).",
    )
    blocks: Count = Field(1, description="Residual blocks at each resolution (published: 2).")
    attention: list[Count] = Field(
        [],
        description="Resolutions in px whose blocks are followed by self-attention, and so is the middle block then "
        "(published: 32, 16, 8).",
    )
    heads: Count = Field(4, description="Attention heads (published: 4).")
    patch: Count = Field(
        2, description="Squares of this many px are folded into channels at both ends (published: 1)."
    )
    groups: Count = Field(
        1, description="Groups of the normalisations (published: 32); on CPUs more than 1 are slow."
    )
    skips: Literal["block", "level"] = Field(
        "level",
        description="block: the decoder is handed every block's output, and blocks resample (published); level: it is "
        "handed each resolution's last, and nothing is learned in resampling.",
    )
    dropout: Share = Field(0.0, description="Share of features dropped in each block in training.")


class DdpmDiffusion(Section):
    """The diffusion that the network is trained to undo."""

    schedule: Literal["linear", "cosine"] = Field(
        "linear", description="How noise grows (published: linear)."
    )
    steps: int = Field(500, ge=21, description="Steps of the diffusion (published: 500).")
    prediction: Literal["noise", "velocity"] = Field(
        "noise",
        description="What the network predicts: noise (published), or velocity, which learns the noisy end sooner and "
        "the clean end later.",
    )
    variance: Literal["learned", "fixed"] = Field(
        "learned",
        description="The variance of a step back: the network's own (published), or the posterior's.",
    )
    vlb_weight: NonNegative = Field(
        0.001,
        description="Weight of the variational bound, which teaches the learned variance (published: 0.001).",
    )


class DdpmTraining(TrainingSettings):
    """How the denoising network is trained: as every network, and how its images are varied."""

    mirror: bool = Field(
        description="Training images are mirrored left to right half of the time (published, for faces: true)."
    )


class DdpmSettings(Section):
    """The denoising diffusion model of images alone, which explainers walk back with."""

    network: DdpmNetwork = Field(DdpmNetwork(), description="The network.")
    diffusion: DdpmDiffusion = Field(DdpmDiffusion(), description="The diffusion.")
    training: DdpmTraining = Field(
        DdpmTraining(
            **{name: getattr(IMAGE_TRAINING, name) for name in TrainingSettings.model_fields}
            | {
                "steps": 2_200,
                "learning_rate": 0.002,
                "ema": 0.995,
                "clip": 1.0,
                "valid_every": 550,
                "mirror": False,
            }
        ),
        description="Its training.",
    )

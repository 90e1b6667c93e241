"""The sections `models.causaldiffae` and `answers.causaldiffae`: the diffusion autoencoder with causal codes."""

from typing import Annotated, Literal

from pydantic import Field

from .ddpm import DdpmNetwork
from .sections import Count, Exposure, NonNegative, Positive, Section, Share
from .training import IMAGE_TRAINING, TrainingSettings

__all__ = ["CausalDiffAEAnswers", "CausalDiffAESettings", "CausalDiffAETraining"]


class CausalDiffAENetwork(DdpmNetwork):
    """The denoiser, which is also told the codes."""

    exposure: Exposure


class CausalDiffAECodes(Section):
    """Encoder, causal layer and prior of the codes."""

    width: Count = Field(16, description="Dimensions of each variable's code (published: 256 or 128).")
    hidden: Count = Field(
        64, description="Hidden units of each mechanism of the causal layer (published: 512)."
    )
    encoder: list[Count] = Field(
        [32, 64, 64],
        min_length=1,
        description="Channels after each convolution of the encoder (published: 16, 32, 64, 128).",
    )
    form: Literal["recursive", "one_shot"] = Field(
        "recursive",
        description="recursive: a code follows from its causes' codes; one_shot: from their noises (published code).",
    )
    mechanism: Literal["affine", "additive"] = Field(
        "affine",
        description="affine: causes shift and scale an effect's noise; additive: they shift it (published code).",
    )
    prior: Literal["fixed", "learned"] = Field(
        "fixed",
        description="fixed: a code lies around its label (published code); learned: around a network of it (paper).",
    )
    prior_scale: Positive = Field(
        0.1, description="Standard deviation of a code around its label (published: 1)."
    )


class CausalDiffAEDiffusion(Section):
    """The diffusion that the denoiser is trained to undo."""

    schedule: Literal["linear", "cosine"] = Field(
        "cosine", description="How noise grows (published: linear)."
    )
    steps: int = Field(500, ge=21, description="Steps of the diffusion (published: 1,000).")
    prediction: Literal["noise", "velocity"] = Field(
        "velocity",
        description="What the network predicts: noise (published), or velocity, which learns the noisy end sooner.",
    )


class CausalDiffAETraining(TrainingSettings):
    """How the diffusion autoencoder is trained: as every network, and what only its loss knows."""

    kl_label: NonNegative = Field(
        description="Weight of what codes know beside their labels, in nats beside a mean over pixels (published: 1)."
    )
    kl_noise: NonNegative = Field(
        description="Weight of what teaches the causal layer: how far noises are from standard normal ones, likewise "
        "(published: 1)."
    )
    ramp: Share = Field(
        description="Share of the steps in which both weights rise from 0 (published: 50,000 steps)."
    )
    posterior: Literal["consistent", "published"] = Field(
        description="consistent: codes are drawn from the distribution that is penalised; published: from one of a "
        "thousandth of its variance."
    )
    labels: Literal["given", "read"] = Field(
        description="given: the denoiser is told codes moved to show the very labels; read: as the encoder reads them "
        "off the image (published)."
    )
    drop: Share = Field(
        description="Share of training images whose codes are hidden from the denoiser (published: 0.5)."
    )
    labelled: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Share of the train split that has labels; of other images the denoiser is told no codes."
    )


class CausalDiffAESettings(Section):
    """The diffusion autoencoder: its denoiser, its codes, its diffusion and its training."""

    network: CausalDiffAENetwork = Field(CausalDiffAENetwork(), description="The denoiser.")
    codes: CausalDiffAECodes = Field(CausalDiffAECodes(), description="The codes.")
    diffusion: CausalDiffAEDiffusion = Field(CausalDiffAEDiffusion(), description="The diffusion.")
    training: CausalDiffAETraining = Field(
        CausalDiffAETraining(
            **{name: getattr(IMAGE_TRAINING, name) for name in TrainingSettings.model_fields}
            | {
                "steps": 4_400,
                "batch_size": 32,
                "learning_rate": 0.002,
                "ema": 0.998,
                "valid_every": 1_100,
                "kl_label": 0.005,
                "kl_noise": 0.005,
                "ramp": 0.1,
                "posterior": "consistent",
                "labels": "given",
                "drop": 0.1,
                "labelled": 1.0,
            }
        ),
        description="Its training.",
    )


class CausalDiffAEAnswers(Section):
    """How CausalDiffAE answers."""

    steps: Count = Field(
        25, description="Steps each way, of those trained with (published: 250, and only back)."
    )
    abduction: Literal["invert", "noise"] = Field(
        "invert",
        description="Where the way back starts; invert: the diffusion is inverted with the factual codes; noise: at "
        "random (published code).",
    )
    labels: Literal["given", "read"] = Field(
        "given",
        description="Factual codes; given: moved to show the parents that are known; read: as the encoder reads them "
        "off the image (published).",
    )
    action: Literal["move", "replace"] = Field(
        "move",
        description="The code of a variable that is set; move: keeps what it says beside its label; replace: its "
        "label's mean (published).",
    )
    corrections: int = Field(
        1,
        ge=0,
        le=20,
        description="Fixed-point iterations in each step of the inversion; with more, it is exact at fewer steps.",
    )
    guidance: NonNegative = Field(
        1.2, description="Strength; 1: as trained, more exaggerates the change (published: 1)."
    )
    guide_from: Literal["factual", "null"] = Field(
        "factual",
        description="What is exaggerated: the change from the factual codes, or from no codes (published).",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Arithmetic of the denoiser; auto: bfloat16 where the hardware computes with it, else float32.",
    )

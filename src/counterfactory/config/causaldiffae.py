"""Defines `models.causaldiffae` and `answers.causaldiffae`: the diffusion autoencoder with causal codes."""

from typing import Annotated, Literal

from pydantic import Field

from .ddpm import DdpmNetwork, DiffusionSteps
from .sections import EXPOSURE, Count, Exposure, NonNegative, Positive, Section, Share
from .training import IMAGE_TRAINING, TrainingSettings

__all__ = ["CausalDiffAEAnswers", "CausalDiffAESettings", "CausalDiffAETraining"]


class CausalDiffAENetwork(DdpmNetwork):
    """The denoiser, conditioned on the codes."""

    exposure: Exposure = EXPOSURE


class CausalDiffAECodes(Section):
    """Encoder, causal layer and prior of the codes."""

    width: Count = Field(16, description="Dimension of the code of each variable (published: 256 or 128).")
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
        description="recursive: a code is computed from the codes of its causes; one_shot: from their noises "
        "(published code).",
    )
    mechanism: Literal["affine", "additive"] = Field(
        "affine",
        description="affine: causes shift and scale the noise of an effect; additive: they shift it "
        "(published code).",
    )
    prior: Literal["fixed", "learned"] = Field(
        "fixed",
        description="Mean of the prior of a code; fixed: the label (published code); learned: a network's "
        "function of the label (paper).",
    )
    prior_scale: Positive = Field(
        0.1, description="Standard deviation of the prior of a code (published: 1)."
    )


class CausalDiffAEDiffusion(Section):
    """The diffusion process of the denoiser."""

    schedule: Literal["linear", "cosine"] = Field("cosine", description="Noise schedule (published: linear).")
    steps: DiffusionSteps = Field(500, description="Diffusion steps (published: 1,000).")
    prediction: Literal["noise", "velocity"] = Field(
        "velocity",
        description="Output of the network: noise (published), or velocity, which trains faster at high "
        "noise levels.",
    )


class CausalDiffAETraining(TrainingSettings):
    """The training of the diffusion autoencoder: every training's keys, and those of its loss."""

    kl_label: NonNegative = Field(
        description="Weight of the KL divergence of codes from their prior given the labels, in nats, "
        "relative to a mean over pixels (published: 1)."
    )
    kl_noise: NonNegative = Field(
        description="Weight of the KL divergence of the noises of the causal layer from standard normal "
        "ones, relative to a mean over pixels (published: 1)."
    )
    ramp: Share = Field(
        description="Share of the steps over which both weights rise from 0 (published: 50,000 steps)."
    )
    posterior: Literal["consistent", "published"] = Field(
        description="Distribution that codes are drawn from; consistent: the one in the KL terms; published: "
        "one with a thousandth of its variance."
    )
    labels: Literal["given", "read"] = Field(
        description="Codes that condition the denoiser; given: moved so that they encode the true labels; "
        "read: as encoded from the image (published)."
    )
    drop: Share = Field(
        description="Share of training images for which the denoiser is not conditioned on the codes "
        "(published: 0.5)."
    )
    labelled: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Share of the train split that has labels. For other images the denoiser is not "
        "conditioned on codes."
    )


class CausalDiffAESettings(Section):
    """The diffusion autoencoder: denoiser, codes, diffusion and training."""

    network: CausalDiffAENetwork = Field(CausalDiffAENetwork(), description="The denoiser.")
    codes: CausalDiffAECodes = Field(CausalDiffAECodes(), description="The codes.")
    diffusion: CausalDiffAEDiffusion = Field(CausalDiffAEDiffusion(), description="The diffusion process.")
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
    """How CausalDiffAE answers questions."""

    steps: Count = Field(
        25,
        description="Diffusion steps in each direction, a subset of those of the training (published: 250, "
        "backwards only).",
    )
    abduction: Literal["invert", "noise"] = Field(
        "invert",
        description="Start of the reverse process; invert: the image, encoded by the inverted diffusion "
        "under the factual codes; noise: random noise (published code).",
    )
    labels: Literal["given", "read"] = Field(
        "given",
        description="Factual codes; given: moved so that they encode the known parents; read: as encoded "
        "from the image (published).",
    )
    action: Literal["move", "replace"] = Field(
        "move",
        description="Code of a variable that is intervened on; move: shifted by the change of its prior "
        "mean; replace: its prior mean (published).",
    )
    corrections: Annotated[int, Field(ge=0, le=20)] = Field(
        1,
        description="Fixed-point iterations in each step of the inversion. With more of them the inversion "
        "is exact with fewer steps.",
    )
    guidance: NonNegative = Field(
        1.2,
        description="Guidance scale; 1: as trained, larger values amplify the change (published: 1).",
    )
    guide_from: Literal["factual", "null"] = Field(
        "factual",
        description="Reference of the guidance: the prediction under the factual codes, or without codes "
        "(published).",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Arithmetic of the denoiser; auto: bfloat16 where the hardware supports it, else float32.",
    )

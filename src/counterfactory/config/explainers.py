"""The sections `answers.dime`, `answers.fastdime` and `answers.dime_x`: how explainers walk, under published names."""

from typing import Annotated, Literal

from pydantic import Field

from .sections import Count, Float, NonNegative, Positive, Section

__all__ = ["EXPLAINERS", "DimeSettings", "DimeXSettings", "FastDimeSettings"]

Scales = Annotated[list[Positive], Field(min_length=1)]


class ExplainerSettings(Section):
    """What all explainers have in common."""

    images: Count | None = Field(
        None, description="How many of the suite's images it answers, the first ones; null: all."
    )
    timestep_respacing: int = Field(
        200, ge=0, description="Steps kept of the diffusion's (published: 200 of 500); 0: all."
    )
    start_step: Count = Field(
        60, description="The step, of those kept, that images are noised to (published: 60)."
    )
    use_logits: bool = Field(
        True, description="true: the loss is minus the target's log odds; false: minus its log probability."
    )
    l1_loss: NonNegative = Field(
        0.05, description="Weight of the L1 distance of noisy image from image (published: 0.05)."
    )
    l2_loss: NonNegative = Field(0.0, description="Weight of the L2 distance, likewise (published: 0).")
    l_perc: NonNegative = Field(
        30.0, description="Weight of the perceptual distance of clean image from image (published: 30)."
    )
    perceptual: Literal["vgg19", "lpips_vgg", "lpips_alex", "classifier", "oracle", "none"] = Field(
        "classifier",
        description="The network of the perceptual distance: vgg19 (published), an LPIPS trunk, the explained "
        "classifier, the oracle (which then judges its own work), or none.",
    )
    l_perc_layer: Count = Field(
        2,
        description="How many layers of vgg19 are run (published: 18), or convolutions of the classifier or oracle.",
    )
    batch_size: Count = Field(50, description="Images a network call; changes only the order of sums.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Arithmetic of the denoiser; auto: bfloat16 where the hardware computes with it, else float32.",
    )


class DimeSettings(ExplainerSettings):
    """DiME (Jeanneret et al., 2022)."""

    images: Count | None = Field(
        20,
        description="How many of the suite's images it answers, the first ones, at two to three CPU seconds a "
        "question; null: all.",
    )
    classifier_scales: Scales = Field(
        [2.0, 4.0, 8.0],
        description="Weights of the classifier, tried in turn until it flips (published, for faces of 128 px: 8, 10, "
        "15, which on digits change more than the question asks).",
    )
    use_sampling_on_x_t: bool = Field(
        True, description="Whether the inner walks add noise (published: true) or follow the means only."
    )
    guided_iterations: Count = Field(
        9_999_999, description="Outer steps that are guided, from the first (published: all)."
    )
    clip_denoised: bool = Field(
        True, description="Whether the outer walk clips its clean images; the inner ones always do."
    )
    reuse_calls: bool = Field(
        True,
        description="Whether network calls that are known to be the same are made once; changes no byte.",
    )


class FastDimeSettings(ExplainerSettings):
    """FastDiME (Weng et al., 2024)."""

    classifier_scales: Scales = Field(
        [2.0, 4.0, 8.0],
        description="Weights of the classifier, tried in turn until it flips (published, for faces of 128 px: 8, 10, "
        "15, which on digits change more than the question asks).",
    )
    scale_grads: bool = Field(
        False, description="Whether gradients at clean images are scaled as in DiME (published: false)."
    )
    form: Literal["fastdime", "fastdime-2", "fastdime-2+"] = Field(
        "fastdime",
        description="fastdime: the region follows the walk; -2: a second walk keeps to the region of a first one "
        "without any; -2+: of a first one with its own.",
    )
    masked: bool = Field(True, description="Whether the walk of the form fastdime has a region at all.")
    warmup_mask: int = Field(30, ge=0, description="Steps before the region (published: 30).")
    dilation: Annotated[int, Field(ge=1, le=63)] = Field(
        5, description="Side of the square that the region is spread by, odd, in px (published: 5)."
    )
    threshold: Annotated[Float, Field(gt=0, le=1)] = Field(
        0.15, description="Share of the largest change above which a px is in the region (published: 0.15)."
    )


class DimeXSettings(ExplainerSettings):
    """Our own fast relative of DiME: two walks side by side, and no image walks longer than it must."""

    timestep_respacing: int = Field(50, ge=0, description="Steps kept of the diffusion's; 0: all.")
    start_step: Count = Field(
        15, description="Steps of a walk; 15 of 50 begin about where DiME's 60 of 200 do."
    )
    classifier_scale: Positive = Field(2.0, description="Weight of the classifier at the first step.")
    boost: Annotated[Float, Field(ge=1)] = Field(
        1.1, description="Factor on that weight at every step that has not reached the margin."
    )
    margin: NonNegative = Field(
        4.0, description="Log odds of the target that are enough: 0 is even, 4 is fifty to one."
    )
    stop_step: int = Field(
        15, ge=0, description="From this step down a walk ends as soon as the margin is reached."
    )
    restart_step: Count = Field(
        15, description="Steps of a walk that is repeated, because the first has not flipped."
    )
    restarts: int = Field(2, ge=0, description="How many times at most.")
    copies: int = Field(
        8, ge=0, description="Noisy copies of a clean image that the classifier pulls at; 0: at itself."
    )
    jitter: NonNegative = Field(0.3, description="The noise of the copies, in half the grey range.")
    l_perc: NonNegative = Field(
        60.0, description="Weight of the perceptual distance of clean image from image."
    )
    dilation: Annotated[int, Field(ge=1, le=63)] = Field(
        3, description="Side of the square that the region is spread by, odd, in px."
    )
    threshold: Annotated[Float, Field(ge=0, le=1)] = Field(
        0.2, description="Share of the largest change above which a px is in the region; 0: no region."
    )
    shrink: Count = Field(
        8,
        description="Points of the way from image to answer that are tried, nearest first; 1: its end only.",
    )


EXPLAINERS = {"dime": DimeSettings(), "fastdime": FastDimeSettings(), "dime_x": DimeXSettings()}
"""The sections of `answers` that belong to one method each, with their defaults."""

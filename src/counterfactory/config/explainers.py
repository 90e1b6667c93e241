"""Defines `answers.dime`, `answers.fastdime` and `answers.dime_x`: diffusion explainers, under the published names.

Defaults are those for digits of 28 px, chosen on the split `valid`. Photographs have other ones
(:mod:`counterfactory.data.registry`), and `protocol: dime` sets the published ones.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from .sections import Count, NonNegative, Positive, Section, Share, Whole

__all__ = ["EXPLAINERS", "DimeSettings", "DimeXSettings", "FastDimeSettings"]

Scales = Annotated[list[Positive], Field(min_length=1)]
SCALES = (
    "Weights of the classifier gradient, tried in this order until the decision flips (published, for faces "
    "of 128 px: 8, 10, 15; on digits 4 flips a part of the decisions, and larger weights change more of the image)."
)


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("even", "must be an odd number")
    return value


Side = Annotated[int, Field(ge=1, le=63, json_schema_extra={"not": {"multipleOf": 2}}), AfterValidator(_odd)]


class ExplainerSettings(Section):
    """The keys that all explainers have."""

    images: Count | None = Field(
        None, description="Number of images of the suite flip to answer, the first ones; null: all."
    )
    timestep_respacing: Whole = Field(
        50, description="Number of diffusion steps that are kept (published: 200 of 500); 0: all."
    )
    start_step: Count = Field(
        15,
        description="Kept step to which images are noised before denoising (published: 60 of 200, which has about the "
        "noise of 15 of 50).",
    )
    use_logits: bool = Field(
        True,
        description="Classifier loss; true: negative log odds of the target; false: negative log probability.",
    )
    l1_loss: NonNegative = Field(
        1.0,
        description="Weight of the L1 distance between the noisy image and the input image (published: 0.05).",
    )
    l2_loss: NonNegative = Field(0.0, description="Weight of the L2 distance between them (published: 0).")
    l_perc: NonNegative = Field(
        1000.0,
        description="Weight of the perceptual distance between the denoised image and the input image "
        "(published: 30, with vgg19).",
    )
    perceptual: Literal["vgg19", "lpips_vgg", "lpips_alex", "classifier", "oracle", "none"] = Field(
        "classifier",
        description="Network of the perceptual distance: vgg19 (published), a trunk of LPIPS, the explained "
        "classifier, the oracle (which also scores the answers), or none.",
    )
    l_perc_layer: Count = Field(
        2,
        description="Number of layers of vgg19 (published: 18), or of convolutions of the classifier or "
        "oracle, that compute the perceptual features.",
    )
    batch_size: Count = Field(50, description="Images per network call; affects only the order of summation.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Arithmetic of the denoiser; auto: bfloat16 where the hardware supports it, else float32.",
    )


Rounding = Annotated[
    Literal["nearest", "down"],
    Field(
        description="How grey levels of an answer become whole numbers; nearest; or down: truncated (the code of DiME "
        "and FastDiME), which is half a grey level darker on average.",
    ),
]


class DimeSettings(ExplainerSettings):
    """DiME (Jeanneret et al., 2022, arXiv:2203.15636)."""

    classifier_scales: Scales = Field([4.0, 8.0, 16.0, 32.0], description=SCALES)
    use_sampling_on_x_t: bool = Field(
        True,
        description="Whether the inner denoising adds noise (published: true) or uses the means of the steps.",
    )
    guided_iterations: Count = Field(
        9_999_999, description="Number of outer steps that are guided, the first ones (published: all)."
    )
    clip_denoised: bool = Field(
        True,
        description="Whether denoised images of the outer steps are clipped to the grey range. Those of the "
        "inner steps always are.",
    )
    rounding: Rounding = "nearest"
    reuse_calls: bool = Field(
        True,
        description="Whether identical network calls are computed once; does not change the answers.",
    )


class FastDimeSettings(ExplainerSettings):
    """FastDiME (Weng et al., 2024, arXiv:2312.14223)."""

    timestep_respacing: Whole = Field(
        100, description="Number of diffusion steps that are kept (published: 200 of 500); 0: all."
    )
    start_step: Count = Field(
        30,
        description="Kept step to which images are noised before denoising (published: 60 of 200, which has about the "
        "noise of 30 of 100).",
    )
    classifier_scales: Scales = Field([4.0, 8.0, 16.0, 32.0], description=SCALES)
    scale_grads: bool = Field(
        False,
        description="Whether gradients at denoised images are scaled as in DiME (published: false).",
    )
    form: Literal["fastdime", "fastdime-2", "fastdime-2+"] = Field(
        "fastdime",
        description="fastdime: the mask is updated at every step; fastdime-2: a second pass uses the mask of "
        "a first pass without one; fastdime-2+: of a first pass with its own.",
    )
    masked: bool = Field(True, description="Whether the form fastdime has a mask at all.")
    warmup_mask: Whole = Field(15, description="Steps before the mask is applied (published: 30 of 60).")
    dilation: Side = Field(
        5, description="Side in px of the square by which the mask is dilated; odd (published: 5)."
    )
    threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        0.15,
        description="Pixels are in the mask whose change exceeds this share of the largest change "
        "(published: 0.15).",
    )
    rounding: Rounding = "nearest"


class DimeXSettings(ExplainerSettings):
    """DiME-X, a fast variant of DiME of this project."""

    start_step: Count = Field(
        25, description="Kept step to which images are noised before both walks (DiME: 15 of 50)."
    )
    l1_loss: NonNegative = Field(
        1.5, description="Weight of the L1 distance between the states of the two walks."
    )
    classifier_scale: Positive = Field(
        8.0, description="Weight of the classifier gradient at the first step."
    )
    boost: Annotated[float, Field(ge=1)] = Field(
        1.05, description="Factor on that weight after each step at which the margin is not reached."
    )
    margin: NonNegative = Field(
        4.5, description="Least required log odds of the target; 0: even odds, 4.5: about 90 to 1."
    )
    confidence: NonNegative = Field(
        1.0,
        description="Required log odds of a class, as a multiple of those of the classifier's decision for the input "
        "image, if that is more than `margin`. 1: the new class is predicted as confidently as the old one; 0: "
        "`margin` alone, as for binary attributes.",
    )
    stop_step: Whole = Field(
        1, description="From this step on, denoising ends as soon as the margin is reached."
    )
    restart_step: Count = Field(
        25, description="Step to which images are noised again if the decision has not flipped."
    )
    restarts: Whole = Field(4, description="Maximum number of such restarts.")
    copies: Whole = Field(
        4,
        description="Noisy copies of the denoised image over which the classifier gradient is averaged, with new noise "
        "in every step; 0: the image itself.",
    )
    jitter: NonNegative = Field(
        0.3,
        description="Standard deviation of the noise of the copies; images range from -1 to 1.",
    )
    l_perc: NonNegative = Field(
        800.0,
        description="Weight of the perceptual distance between the denoised image and the input image.",
    )
    dilation: Side = Field(3, description="Side in px of the square by which the mask is dilated; odd.")
    threshold: Share = Field(
        0.03,
        description="Pixels are in the mask whose change exceeds this share of the largest change; 0: no "
        "mask.",
    )
    shrink: Count = Field(
        16,
        description="Number of points on the line from the input to the answer that are tried; the nearest "
        "one that flips the decision is returned. 1: the end only.",
    )


EXPLAINERS: dict[str, ExplainerSettings] = {
    "dime": DimeSettings(),
    "fastdime": FastDimeSettings(),
    "dime_x": DimeXSettings(),
}
"""The explainers' sections of `answers`, with their defaults."""

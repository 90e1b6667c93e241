"""Defines `attributes`, `models.classifier`, `oracle` and `identity`: binary attributes and the networks about them."""

from typing import Annotated, Literal

from pydantic import Field

from ..data.registry import DATASETS, DEFAULT_DATASET
from .imported import Importable
from .sections import Count, Erase, Mirror, Section, Seed, Shift, Unique
from .training import IMAGE_TRAINING, TrainingSettings

__all__ = [
    "ATTRIBUTES",
    "AttributeSettings",
    "AttributesByName",
    "ClassifierNetwork",
    "ClassifierSettings",
    "IdentityNetwork",
    "IdentitySettings",
    "Name",
    "OracleSettings",
    "POSITIVE_WEIGHT",
    "PositiveWeight",
]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z_0-9]*$", max_length=60)]


class AttributeSettings(Section):
    """One binary attribute: an image has it if a quantity is above a threshold."""

    of: str = Field(
        min_length=1,
        description="The quantity: a parent of the images, an annotated label, or a quantity that the simulated "
        "world measures in the pixels.",
    )
    above: float = Field(description="The threshold, in the unit of the quantity.")


AttributesByName = dict[Name, AttributeSettings | None]
"""Attributes by name; null removes one, since a file that is merged into another cannot delete keys."""

ATTRIBUTES: AttributesByName = {
    name: AttributeSettings(of=of, above=above)
    for name, (of, above) in DATASETS[DEFAULT_DATASET].attributes.items()
}
"""The attributes that the default data set declares."""

TRAINING = TrainingSettings(
    **{name: getattr(IMAGE_TRAINING, name) for name in TrainingSettings.model_fields}
    | {
        "steps": 1_500,
        "batch_size": 128,
        "learning_rate": 0.004,
        "betas": (0.9, 0.999),
        "ema": 0.99,
        "valid_every": 250,
    }
)


PositiveWeight = Annotated[float, Field(ge=1, le=1_000)]
POSITIVE_WEIGHT = (
    "Limit of the weight of images with a rare value: the ratio of negative to positive training images, clipped to "
    "[1 / limit, limit]. 1: all images have the same weight."
)


class ClassifierNetwork(Section):
    """Strided convolutions, followed by a dense layer."""

    width: Count = Field(
        16, description="Channels of the first convolution; each further one has twice as many."
    )
    halvings: Annotated[int, Field(ge=1, le=8)] = Field(
        3, description="Number of convolutions, each of which halves the image; 3 for images of 32 px."
    )
    features: Count = Field(64, description="Features before the last layer.")


class ClassifierSettings(Importable):
    """The classifier whose decisions are explained: it predicts all attributes and all categorical variables."""

    network: ClassifierNetwork = Field(ClassifierNetwork(), description="The network.")
    shift: Shift = Field(1, description="Training images are shifted at random by up to this many px.")
    mirror: Mirror = False
    erase: Erase = 0
    positive_weight: PositiveWeight = Field(1.0, description=POSITIVE_WEIGHT)
    training: TrainingSettings = Field(TRAINING, description="Its training.")


class OracleSettings(ClassifierSettings):
    """The oracle: predicts the attributes like the classifier, but is trained on the judges split."""

    held_out: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="Share of the judges split that selects the weights and is not trained on."
    )
    seed: Seed = Field(0, description="Seed of the oracle, which is the same for all training seeds.")
    training: TrainingSettings = Field(
        TRAINING.model_copy(update={"steps": 2_000}), description="Its training."
    )


class IdentityNetwork(ClassifierNetwork):
    """A network trained here, or a published one for faces."""

    name: Literal["trained", "vggface2_resnet50", "mobilefacenet"] = Field(
        "trained",
        description="trained: a network of these sizes, trained on renderings of the simulated world; or a "
        "published network for faces: vggface2_resnet50 (the one of published FVA), or mobilefacenet "
        "(ArcFace).",
    )
    weights: str = Field(
        "package",
        min_length=1,
        description="Source of the weights of a published network: package (an archive on the Python package "
        "index, mobilefacenet only), or a file, resnet50_ft_weight.pkl or w600k_mbf.onnx.",
    )

    landmarks: Annotated[list[tuple[float, float]], Field(min_length=5, max_length=5)] | None = Field(
        None,
        description="Left eye, right eye, nose, left and right corner of the mouth in every image, as shares of its "
        "side, by which mobilefacenet aligns images; null: they are aligned as for ArcFace.",
    )


class IdentitySettings(Section):
    """The identity network: an embedding in which images of the same individual are close."""

    network: IdentityNetwork = Field(
        IdentityNetwork(), description="The network. Its features are the embedding."
    )
    temperature: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="Temperature of the softmax over cosine similarities."
    )
    shift: Shift = Field(1, description="Training images are shifted at random by up to this many px.")
    splits: Annotated[Unique[Literal["judges", "train"]], Field(min_length=1)] = Field(
        ["judges"],
        description="Splits whose persons train and verify the network, where the data set has identities; train as "
        "well: more persons, who are also seen by the models that are scored, but not those of the split test. A "
        "simulated data set uses judges only.",
    )
    sources: Count = Field(6_000, description="Maximum number of images of these splits to train on.")
    renderings: Count = Field(
        2,
        description="New renderings of each image, with other values of its continuous parents; 2 ms each on one "
        "core.",
    )
    held_out: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1,
        description="Share of the images, or of the persons with two images or more, that is not trained on; of "
        "persons at least 4. One half of it selects the weights and the threshold, the other half measures the error "
        "rates.",
    )
    false_accept: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01,
        description="False acceptance rate that sets the threshold: the share of pairs of different "
        "individuals of the same class whose similarity is above it.",
    )
    seed: Seed = Field(
        0, description="Seed of the identity network, which is the same for all training seeds."
    )
    training: TrainingSettings = Field(
        TRAINING.model_copy(update={"steps": 1_000}), description="Its training."
    )

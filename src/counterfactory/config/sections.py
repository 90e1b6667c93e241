"""Defines the base class of all configuration sections and the value types that several sections share."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from ..data.registry import DATASETS, DEFAULT_DATASET

__all__ = [
    "EXPOSURE",
    "Count",
    "Exposure",
    "NonNegative",
    "Positive",
    "Section",
    "Seed",
    "Share",
    "Shift",
    "Unique",
    "Whole",
]

LARGEST = 10**9
"""The largest value of any integer: larger ones are typing errors, and overflow in NumPy and PyTorch."""


class Section(BaseModel):
    """A section of the configuration: unknown keys are refused, and values cannot be changed after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _without_duplicates(values: list[Any]) -> list[Any]:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise PydanticCustomError("duplicate", "contains {value} twice", {"value": repr(value)})
    return values


Entry = TypeVar("Entry")
Unique = Annotated[
    list[Entry], AfterValidator(_without_duplicates), Field(json_schema_extra={"uniqueItems": True})
]
"""A list without duplicates."""

Count = Annotated[int, Field(ge=1, le=LARGEST)]
Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Shift = Annotated[int, Field(ge=0, le=8)]

EXPOSURE = list(DATASETS[DEFAULT_DATASET].exposure)
"""The variables that the default data set declares as exposure."""

# Keys that several sections have, with their description.
Mirror = Annotated[
    bool,
    Field(
        description="Whether half of the training images are mirrored left to right; for images that have the same "
        "parents as their mirror images, such as faces."
    ),
]
Erase = Annotated[
    int,
    Field(
        ge=0,
        le=256,
        description="Side in px of a square at a random position that is erased from each training image; delays "
        "overfitting if there are few images; 0: none.",
    ),
]
Exposure = Annotated[
    Unique[str],
    Field(
        description="Variables that act on the image like the exposure of a photograph: each scales the grey "
        "levels linearly in the last layer (published: none).",
    ),
]

"""What every section of the configuration is made of: its base class and the types that several share."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Count", "Exposure", "Float", "NonNegative", "Positive", "Section", "Seed", "Share", "Switch"]


class Section(BaseModel):
    """A section: no key that is not declared, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3, without a dot, as text: it is meant as a number."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def _switch(value: Any) -> Any:
    """Snakemake hands `--config key=true` on as text: it is meant as the truth value."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_switch)]
Float = Annotated[float, BeforeValidator(_number)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[Float, Field(gt=0)]
NonNegative = Annotated[Float, Field(ge=0)]
Share = Annotated[Float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# A key of every image model that has a last layer with one.
Exposure = Annotated[
    list[str],
    Field(
        ["intensity"],
        description="Variables that act on the image only as exposure does on a photograph, linearly "
        "(published: none).",
    ),
]

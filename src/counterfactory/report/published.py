"""Reads and validates the published values, each with unit, protocol, source and size of the data.

The values are in `published.yaml`, whose header describes the format. A value without source, protocol or statement of
comparability is rejected.
"""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core.errors import UserError

__all__ = ["EVERY", "PUBLISHED", "Size", "Source", "Study", "Value", "read_published"]

EVERY = "every"
"""The intervention of a value that covers all interventions together; ours is the mean over those of the run."""

PUBLISHED = Path(__file__).with_name("published.yaml")
"""The file of published values in the package."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """The source of published values."""

    authors: str = Field(min_length=3)
    year: int = Field(ge=1990, le=2100)
    title: str = Field(min_length=5)
    kind: Literal["paper", "repository", "slides"]
    note: str = ""
    where: str = Field(min_length=5)
    link: str = Field(pattern=r"^https://")

    @property
    def citation(self) -> str:
        """Authors, year, title, location and note in one line."""
        where = "" if self.link.endswith(self.where) else f", {self.where}"
        note = f" ({self.note})" if self.note else ""
        return f"{self.authors} {self.year}, {self.title}{where}{note}"


class Size(_Strict):
    """The data set of a study; the numbers of images are `None` if the source does not state them."""

    name: str = Field(min_length=3)
    train: int | None = Field(ge=1)
    test: int | None = Field(ge=1)

    def __str__(self) -> str:
        counts = [
            f"{count:,} {kind}" for kind, count in (("train", self.train), ("test", self.test)) if count
        ]
        return ", ".join([self.name, " / ".join(counts) or "sizes not stated"])


class Value(_Strict):
    """One published value, and the score of this package that it is compared with."""

    method: str = Field(min_length=1)
    ours: str
    suite: Literal["do", "null", "reverse", "flip", "judges", "mechanisms"]
    intervention: str
    protocol: str
    cycles: int = Field(ge=1)
    metric: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    value: float
    spread: float | None = Field(default=None, ge=0)


class Study(_Strict):
    """Values with a common source and protocol."""

    source: str
    title: str = Field(min_length=5)
    protocol: str = Field(min_length=20)
    spread_of: str = ""
    dataset: Size
    datasets: tuple[str, ...] = ("morphomnist",)
    comparable: bool
    only_with_ours: bool = False
    why: str = Field(min_length=20)
    values: tuple[Value, ...] = Field(min_length=1)


class _File(_Strict):
    sources: dict[str, Source]
    studies: tuple[Study, ...]


def read_published(path: Path | str | None = None) -> tuple[dict[str, Source], tuple[Study, ...]]:
    """Reads and validates published values.

    Arguments:
        path: A file in the format of :data:`PUBLISHED`; None: that file.

    Returns:
        The sources by name, and the studies in the order of the file.

    Raises:
        UserError: If the file is missing, or a key is wrong or missing.
    """
    path = Path(path or PUBLISHED)
    try:
        file = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for study in file.studies:
        if study.source not in file.sources:
            raise UserError(
                f"{path}: {study.title}: source: {study.source} is not one of {', '.join(file.sources)}"
            )
    return file.sources, file.studies

"""A data set on disk, as every later room reads it.

A folder `results/<dataset>/data/` holds `dataset.json` (variables, causal graph, image shape) and, for each
split, `<split>/images.npy` (uint8, memory-mapped) and `<split>/attributes.parquet` (one row an image, physical
units, and the exogenous noises where the world is simulated). Nothing here knows any one data set.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import read_json, read_table, write_json

__all__ = [
    "SPLITS",
    "Dataset",
    "Split",
    "Variable",
    "encode_parents",
    "load_dataset",
    "load_split",
    "save_dataset",
]

SPLITS = ("train", "valid", "judges", "test")


@dataclass(frozen=True)
class Variable:
    """One variable of the causal graph.

    Arguments:
        name: Its column in the attributes.
        kind: Continuous, or categorical with classes 0, 1, ..., `classes` - 1.
        unit: Its physical unit, such as `px` or `grey levels`.
        low: The value that networks see as -1 (continuous only).
        high: The value that networks see as +1 (continuous only).
        classes: The number of classes (categorical only).
    """

    name: str
    kind: Literal["continuous", "categorical"]
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    classes: int = 0

    @property
    def width(self) -> int:
        """The number of columns this variable takes in :func:`encode_parents`."""
        return self.classes if self.kind == "categorical" else 1


@dataclass(frozen=True)
class Dataset:
    """What a data set is: its variables, its causal graph, its images' shape.

    Arguments:
        name: Its name in the configuration.
        variables: The images' parents, in the order in which networks see them.
        edges: Causal edges (cause, effect) among the variables; every variable is also a cause of the image.
        shape: The shape (C, H, W) of an image.
        simulated: Whether true counterfactuals can be rendered.
    """

    name: str
    variables: tuple[Variable, ...]
    edges: tuple[tuple[str, str], ...]
    shape: tuple[int, int, int]
    simulated: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The variables' names, in order."""
        return tuple(variable.name for variable in self.variables)

    @property
    def width(self) -> int:
        """The width of the vector of encoded parents."""
        return sum(variable.width for variable in self.variables)

    def variable(self, name: str) -> Variable:
        """Returns the variable called `name`."""
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise UserError(f"{name}: not a variable of {self.name}; it has {', '.join(self.names)}")


@dataclass(frozen=True)
class Split:
    """One split: uint8 images (N, C, H, W) and their attributes, row by row."""

    images: np.ndarray
    attributes: pd.DataFrame


def encode_parents(dataset: Dataset, parents: pd.DataFrame | dict[str, np.ndarray]) -> np.ndarray:
    """Encodes parents as networks see them.

    Continuous variables are mapped linearly so that `low` becomes -1 and `high` +1 (values outside stay
    outside); categorical variables are one-hot.

    Arguments:
        dataset: The data set.
        parents: The columns of the parents, each with shape :math:`(N,)`, in physical units.

    Returns:
        Float32 parents with shape :math:`(N, P)`, where P is `dataset.width`.
    """
    columns = []
    for variable in dataset.variables:
        value = np.asarray(parents[variable.name])
        if variable.kind == "categorical":
            columns.append(np.eye(variable.classes, dtype=np.float32)[value.astype(np.int64)])
        else:
            scaled = 2.0 * (value.astype(np.float64) - variable.low) / (variable.high - variable.low) - 1.0
            columns.append(scaled.astype(np.float32)[:, None])
    return np.concatenate(columns, axis=1)


def save_dataset(folder: Path | str, dataset: Dataset) -> None:
    """Writes `dataset.json` in `folder`."""
    write_json(Path(folder) / "dataset.json", asdict(dataset))


def load_dataset(folder: Path | str) -> Dataset:
    """Reads `dataset.json` in `folder`.

    Raises:
        UserError: If it is missing or damaged.
    """
    path = Path(folder) / "dataset.json"
    fields = read_json(path)
    try:
        fields["variables"] = tuple(Variable(**variable) for variable in fields["variables"])
        fields["edges"] = tuple(tuple(edge) for edge in fields["edges"])
        fields["shape"] = tuple(fields["shape"])
        return Dataset(**fields)
    except (KeyError, TypeError):
        raise UserError(f"{path}: does not describe a data set; delete it and run again") from None


def load_split(folder: Path | str, split: str) -> Split:
    """Reads one split of the data set in `folder`; its images are memory-mapped.

    Raises:
        UserError: If the split is unknown, missing, damaged or its two files disagree.
    """
    if split not in SPLITS:
        raise UserError(f"{split}: not a split; choose one of {', '.join(SPLITS)}")
    path = Path(folder) / split
    attributes = read_table(path / "attributes.parquet")
    try:
        images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path / 'images.npy'}: cannot be read ({error}); delete it and run again") from None
    if len(images) != len(attributes):
        raise UserError(
            f"{path}: {len(images)} images but {len(attributes)} rows of attributes; delete it and run again"
        )
    return Split(images, attributes)

"""A data set on disk: its description, its splits, and the encoding of parents for networks.

A folder `<results>/<dataset>/data/` holds `dataset.json` (variables, causal graph, image shape) and, for each split,
`<split>/images.npy` (uint8, memory-mapped when read) and `<split>/attributes.parquet` (one row per image, physical
units, with the exogenous noises where the world is simulated).
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.errors import BadFile, UserError
from ..core.files import read_json, read_table, write_array, write_json, write_table
from ..core.foreign.npy import load_npy
from .checksums import check_split, checksums
from .registry import DATASETS, DatasetEntry, described
from .variable import SPLITS, Variable

__all__ = [
    "SPLITS",
    "Dataset",
    "Split",
    "Variable",
    "declared",
    "described_by",
    "encode_parents",
    "load_dataset",
    "load_split",
    "save_dataset",
    "save_split",
    "variable_columns",
]


@dataclass(frozen=True)
class Dataset:
    """The description of a data set: its variables, its causal graph and the shape of its images.

    Arguments:
        name: The name in the configuration.
        variables: The parents of the image, in the order in which networks receive them.
        edges: Causal edges (cause, effect) between the variables. Every variable is also a cause of the image.
        shape: The shape (C, H, W) of an image.
        simulated: Whether true counterfactuals can be rendered.
        labels: Annotated columns of the attributes that are no parents of the image and no inputs of a network.
    """

    name: str
    variables: tuple[Variable, ...]
    edges: tuple[tuple[str, str], ...]
    shape: tuple[int, int, int]
    simulated: bool
    labels: tuple[Variable, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variables, in order."""
        return tuple(variable.name for variable in self.variables)

    @property
    def width(self) -> int:
        """The width P of the vector of encoded parents."""
        return sum(variable.width for variable in self.variables)

    def variable(self, name: str) -> Variable:
        """Returns the variable called `name`.

        Raises:
            UserError: If there is none.
        """
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise UserError(f"{name}: not a variable of {self.name}; it has {', '.join(self.names)}")


@dataclass(frozen=True)
class Split:
    """The images of one split, uint8 (N, C, H, W), and their attributes, row by row."""

    images: np.ndarray
    attributes: pd.DataFrame


def declared(name: str, image_size: int = 32) -> Dataset:
    """Returns the description of a data set as :data:`counterfactory.data.registry.DATASETS` declares it.

    Arguments:
        name: The name of a data set whose variables do not depend on the configuration.
        image_size: Height and width of an image in px.
    """
    return described_by(name, DATASETS[name], image_size)


def described_by(name: str, entry: DatasetEntry, image_size: int) -> Dataset:
    """Returns the description of the data set `name`, with the declaration `entry` and images of `image_size` px."""
    shape = (entry.channels, image_size, image_size)
    return Dataset(name, entry.variables, entry.edges, shape, entry.simulated, entry.labels)


def variable_columns(dataset: Dataset) -> list[slice]:
    """Returns the columns of the encoded parents (:func:`encode_parents`) that belong to each variable."""
    ends = np.cumsum([variable.width for variable in dataset.variables]).tolist()
    return [slice(end - variable.width, end) for variable, end in zip(dataset.variables, ends, strict=True)]


def encode_parents(dataset: Dataset, parents: pd.DataFrame | dict[str, np.ndarray]) -> np.ndarray:
    r"""Encodes parents for networks.

    A continuous variable is mapped linearly,

    .. math:: v \mapsto 2\, \frac{v - \mathrm{low}}{\mathrm{high} - \mathrm{low}} - 1,

    and values outside of [`low`, `high`] are not clipped. A categorical variable is one-hot.

    Arguments:
        dataset: The data set.
        parents: The columns of the parents, each (N,), in physical units.

    Returns:
        Float32 (N, P), where P is `dataset.width`.
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
    """Writes `dataset.json` in `folder`, with checksums of the files of the splits that are there."""
    fields = asdict(dataset)
    for key in ("variables", "labels"):
        fields[key] = [described(variable) for variable in getattr(dataset, key)]
    if not dataset.labels:
        del fields["labels"]
    if found := checksums(Path(folder)):
        fields["crc32"] = found
    write_json(Path(folder) / "dataset.json", fields)


def save_split(folder: Path | str, split: str, images: np.ndarray, attributes: pd.DataFrame) -> None:
    """Writes one split of the data set in `folder`.

    Arguments:
        folder: The folder of the data set.
        split: Its name.
        images: Uint8 images with shape (N, C, H, W).
        attributes: The attributes, N rows.
    """
    write_array(Path(folder) / split / "images.npy", images)
    write_table(Path(folder) / split / "attributes.parquet", attributes)


def load_dataset(folder: Path | str) -> Dataset:
    """Reads `dataset.json` in `folder`.

    Raises:
        UserError: If it is missing, cannot be read or does not describe a data set.
    """
    path = Path(folder) / "dataset.json"
    fields = read_json(path)
    try:
        variables = tuple(_variable(**variable) for variable in fields["variables"])
        edges = tuple((str(cause), str(effect)) for cause, effect in fields["edges"])
        channels, height, width = (int(size) for size in fields["shape"])
        labels = tuple(_variable(**label) for label in fields.get("labels", ()))
        shape = (channels, height, width)
        fields.pop("crc32", None)
        typed = {"variables": variables, "edges": edges, "shape": shape, "labels": labels}
        return Dataset(**{**fields, **typed})
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadFile(f"{path}: does not describe a data set; delete it and run again") from None


def load_split(folder: Path | str, split: str) -> Split:
    """Reads one split of the data set in `folder`; its images are memory-mapped.

    Raises:
        UserError: If the split is unknown, or one of its files is missing, cannot be read, is damaged, or has another
            shape, type or other columns, or is that of another split, or the two have different numbers of rows.
    """
    if split not in SPLITS:
        raise UserError(f"{split}: not a split; choose one of {', '.join(SPLITS)}")
    path = Path(folder) / split
    attributes = read_table(path / "attributes.parquet")
    if (Path(folder) / "dataset.json").exists():
        _check_columns(path / "attributes.parquet", attributes, load_dataset(folder))
    images = load_npy(path / "images.npy", mapped=True)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise BadFile(
            f"{path / 'images.npy'}: holds {images.dtype} {images.shape}, not uint8 (N, C, H, W); "
            "delete it and run again"
        )
    if len(images) != len(attributes):
        raise BadFile(
            f"{path}: {len(images)} images but {len(attributes)} rows of attributes; delete it and run again"
        )
    check_split(Path(folder), split)
    return Split(images, attributes)


def _check_columns(path: Path, attributes: pd.DataFrame, dataset: Dataset) -> None:
    """Raises a UserError if a table of attributes lacks a column of the data set, or holds another type."""
    labels = [label.name for label in dataset.labels]
    for name in [*dataset.names, *labels]:
        if name not in attributes:
            kind = "label" if name in labels else "variable"
            raise BadFile(
                f"{path}: has no column {name}, a {kind} of {dataset.name}; delete it and run again"
            )
        if not pd.api.types.is_numeric_dtype(attributes[name]):
            raise BadFile(
                f"{path}: column {name} holds {attributes[name].dtype}, not numbers; delete it and run again"
            )


def _variable(**fields: object) -> Variable:
    """Returns a variable, its fields checked for their types.

    Raises:
        TypeError: If a field is unknown or of another type.
        ValueError: If the kind is unknown, or a range or a number of classes is impossible.
    """
    names = tuple(map(str, fields.get("names", ())))  # type: ignore[call-overload]
    variable = Variable(**{**fields, "names": names})  # type: ignore[arg-type]
    numbers = isinstance(variable.low, int | float) and isinstance(variable.high, int | float)
    if not (isinstance(variable.name, str) and isinstance(variable.classes, int) and numbers):
        raise TypeError(f"{variable}: fields of another type")
    if variable.kind == "continuous" and variable.low < variable.high:
        return variable
    if variable.kind == "categorical" and variable.classes > 0 and len(names) in (0, variable.classes):
        return variable
    raise ValueError(f"{variable}: an impossible kind, range or number of classes")

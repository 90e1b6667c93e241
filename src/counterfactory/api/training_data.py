"""Describes the training data: the ranges of its variables, the values of flips, and which images are typical."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import reading
from ..core.files import read_json, read_table, write_json, writing
from ..data.dataset import Dataset, load_split
from ..data.typical import Typical, fit_typical, ranges

__all__ = ["Typical", "describe", "fit_typical", "load_description", "load_typical", "save_training_data"]

DESCRIPTION, TYPICAL = "training.json", "training.safetensors"


def describe(data: Path, dataset: Dataset, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ranges of the train split and the values that flips set.

    Arguments:
        data: The folder of the data set.
        dataset: Its description.
        attributes: `of` and `above` of each binary attribute.

    Returns:
        `variables`: for each variable its smallest and largest value (`low`, `high`), or its `classes` if it is
        categorical. `flips`: for each attribute of a variable the median of the values on either side of its threshold
        (`0` and `1`), null where no training image is on that side.
    """
    table = read_table(data / "train" / "attributes.parquet")
    variables = ranges(data, dataset)
    flips = {}
    for name, attribute in attributes.items():
        if attribute["of"] in variables:
            values = table[attribute["of"]].to_numpy(np.float64)
            above = values > attribute["above"]
            medians = [float(np.median(values[side])) if side.any() else None for side in (~above, above)]
            flips[name] = {**attribute, "0": medians[0], "1": medians[1]}
    return {"variables": variables, "flips": flips}


def load_description(data: Path, dataset: Dataset, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the description of the train split, from its file in a bundle, else computed by :func:`describe`."""
    path = data / DESCRIPTION
    return read_json(path) if path.exists() else describe(data, dataset, attributes)


def load_typical(data: Path) -> Typical:
    """Returns the distribution of the training images, from its file in a bundle, else fitted to the train split."""
    path = data / TYPICAL
    if not path.exists():
        return fit_typical(load_split(data, "train").images)
    from safetensors.numpy import load_file

    with reading(path, "not a description of training images", "make the bundle again"):
        found = {name: values.astype(np.float64) for name, values in load_file(path).items()}
        rest, limit = found.pop("scalars").tolist()
        return Typical(**found, rest=rest, limit=limit)


def save_training_data(folder: Path, description: Mapping[str, Any], typical: Typical) -> None:
    """Writes both descriptions to the folder `data` of a bundle."""
    from safetensors.numpy import save_file

    write_json(folder / DESCRIPTION, description)
    tensors = {
        "mean": typical.mean.astype(np.float32),
        "components": typical.components.astype(np.float32),
        "variances": typical.variances.astype(np.float32),
        "scalars": np.array([typical.rest, typical.limit]),
    }
    with writing(folder / TYPICAL) as temporary:
        save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, temporary)

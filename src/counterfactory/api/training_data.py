r"""Describes the training data: the ranges of its variables, the values of flips, and which images are typical.

The images are described by probabilistic principal components (Tipping and Bishop, 1999): with mean :math:`\mu`,
components :math:`w_k` of variance :math:`\lambda_k`, and variance :math:`\sigma^2` in the other directions,

.. math:: d^2(x) = \sum_k \frac{(w_k^\top (x - \mu))^2}{\lambda_k}
    + \frac{\lVert x - \mu - W W^\top (x - \mu) \rVert^2}{\sigma^2}.

An image is outside of the training data if d exceeds the 99.9 % quantile of d over training images that the fit did not
use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import reading
from ..core.files import read_json, read_table, write_json, writing
from ..data.dataset import Dataset, load_split

__all__ = ["Typical", "describe", "fit_typical", "load_description", "load_typical", "save_training_data"]

DESCRIPTION, TYPICAL = "training.json", "training.safetensors"
ROWS, COMPONENTS, QUANTILE = 400, 32, 0.999


@dataclass(frozen=True)
class Typical:
    """The distribution of the training images; D is the number of values of an image.

    Arguments:
        mean: Float64 (D,).
        components: Float64 (K, D), orthonormal.
        variances: Float64 (K,).
        rest: The variance in the other directions.
        limit: The largest typical distance.
    """

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float

    def distance(self, images: np.ndarray) -> np.ndarray:
        """Returns the distance d of uint8 images (N, C, H, W), float64 (N,)."""
        centred = images.reshape(len(images), -1).astype(np.float64) - self.mean
        along = centred @ self.components.T
        across = (centred**2).sum(1) - (along**2).sum(1)
        return np.sqrt((along**2 / self.variances).sum(1) + across.clip(0.0) / self.rest)


def fit_typical(images: np.ndarray) -> Typical:
    """Fits the distribution to training images, uint8 (N, C, H, W), at most 800 evenly spaced ones."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(2 * ROWS, len(images))).astype(np.int64))
    chosen = np.asarray(images[rows])
    fitted, others = chosen[::2].reshape(-1, chosen[0].size).astype(np.float64), chosen[1::2]
    mean = fitted.mean(0)
    centred = fitted - mean
    # The eigenvectors of the small matrix of inner products give those of the covariance.
    values, vectors = _eigh(centred @ centred.T / len(fitted))
    count = min(COMPONENTS, int((values > 1.0).sum()))
    variances = values[::-1][:count]
    components = (vectors[:, ::-1][:, :count].T @ centred) / np.sqrt(variances * len(fitted))[:, None]
    rest = max(1.0, (values.sum() - variances.sum()) / max(1, centred.shape[1] - count))
    typical = Typical(mean, components, variances, float(rest), np.inf)
    distances = typical.distance(others if len(others) else chosen)
    return Typical(mean, components, variances, float(rest), float(np.quantile(distances, QUANTILE)))


def _eigh(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns eigenvalues, ascending, and eigenvectors, computed on one thread like the networks."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        values, vectors = torch.linalg.eigh(torch.from_numpy(matrix))
    finally:
        torch.set_num_threads(threads)
    return values.numpy(), vectors.numpy()


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
    variables: dict[str, Any] = {}
    for variable in dataset.variables:
        values = table[variable.name].to_numpy(np.float64)
        if variable.kind == "categorical":
            variables[variable.name] = {"classes": sorted({int(value) for value in values})}
        else:
            variables[variable.name] = {"low": float(values.min()), "high": float(values.max())}
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

r"""Describes training images and variables, so that a question outside of them can be recognised.

The images are described by probabilistic principal components (Tipping and Bishop, 1999): with mean :math:`\mu`,
components :math:`w_k` of variance :math:`\lambda_k`, and variance :math:`\sigma^2` in the other directions,

.. math:: d^2(x) = \sum_k \frac{(w_k^\top (x - \mu))^2}{\lambda_k}
    + \frac{\lVert x - \mu - W W^\top (x - \mu) \rVert^2}{\sigma^2}.

An image is outside of the training data if d exceeds the 99.9 % quantile of d over training images that the fit did not
use. A value is outside if no training image has a smaller or larger one, or none is of its class.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.files import read_table
from .dataset import Dataset

__all__ = ["CARRIED", "EXTRAPOLATES", "INVERTED", "Typical", "fit_typical", "ranges"]

ROWS, COMPONENTS, QUANTILE = 400, 32, 0.999

INVERTED = ": looks inverted, black and white exchanged, beside the training images; set invert"
EXTRAPOLATES = "; the answer extrapolates"
CARRIED = " and its whole residual is carried over; compare with residual_temperature=0.1 and several samples"
"""The words of warnings about an image, after its name, or after its distance."""


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


def ranges(data: Path, dataset: Dataset) -> dict[str, Any]:
    """Returns the values of the train split: `low` and `high` of each variable, or its `classes` if it is categorical.

    Arguments:
        data: The folder of the data set.
        dataset: Its description.
    """
    table = read_table(data / "train" / "attributes.parquet")
    found: dict[str, Any] = {}
    for variable in dataset.variables:
        values = table[variable.name].to_numpy(np.float64)
        if variable.kind == "categorical":
            found[variable.name] = {"classes": sorted({int(value) for value in values})}
        else:
            found[variable.name] = {"low": float(values.min()), "high": float(values.max())}
    return found

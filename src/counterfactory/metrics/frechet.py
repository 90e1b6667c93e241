r"""Distances between two sets of features: Frechet distance, its split variant, and kernel distance.

The Frechet distance between two normal distributions with the means and covariances of the sets (Heusel et al., 2017,
arXiv:1706.08500; Dowson & Landau, 1982) is

.. math:: d^2 = \| \mu_1 - \mu_2 \|^2 + \mathrm{tr}\, \Sigma_1 + \mathrm{tr}\, \Sigma_2
   - 2\, \mathrm{tr}\, (\Sigma_1 \Sigma_2)^{1/2}

With centred features :math:`A, B` divided by :math:`\sqrt{n - 1}`, so that :math:`\Sigma_1 = A^\top A`, the last trace
is the sum of the singular values of :math:`A B^\top`. This avoids the matrix square root, which loses precision or
becomes complex if there are fewer images than features.

The distance decreases with the number of images: two small samples of one distribution are far apart. Compare values
at equal numbers only. The kernel distance (KID; Binkowski et al., 2018, arXiv:1801.01401)

.. math:: \widehat{\mathrm{MMD}}^2 = \overline{k(x, x')} + \overline{k(y, y')} - 2\, \overline{k(x, y)}, \qquad
   k(x, y) = \big( x^\top y / D + 1 \big)^3

with means over pairs of different images is unbiased and can be negative.
"""

import numpy as np

from ..core.noise import generator

__all__ = ["frechet_distance", "kernel_distance", "note_on", "split_frechet_distance"]


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the squared Frechet distance between two sets of features; of Inception features it is called FID.

    Arguments:
        first: Features with shape (N, D), N at least 2.
        second: Features with shape (M, D), M at least 2.

    Returns:
        The distance, 0 or more.

    Raises:
        ValueError: If a set has fewer than two images.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("a covariance requires at least two images")
    difference = first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)
    roots = [_root(np.asarray(features, np.float64)) for features in (first, second)]
    traces = [float(np.square(root).sum()) for root in roots]
    mixed = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return max(float(difference @ difference + sum(traces) - 2.0 * mixed), 0.0)


def split_frechet_distance(
    real: np.ndarray, made: np.ndarray, pairs: np.ndarray, repeats: int, seed: int
) -> float:
    """Returns sFID: the mean Frechet distance between real images of one half and answers of the other half.

    An answer shares content with its factual image, which lowers the distance between the two sets (Jeanneret et al.,
    2023, arXiv:2303.09962). The factual images are split at random into two halves, both assignments are scored, and
    the split is repeated.

    Arguments:
        real: Features of the factual images, with shape (N, D).
        made: Features of the answers, with shape (M, D).
        pairs: For each answer the row of its factual image in `real`, with shape (M,).
        repeats: The number of random splits.
        seed: The seed of the splits.

    Returns:
        The mean distance; NaN if a half has fewer than two factual images or answers.
    """
    values = []
    for repeat in range(repeats):
        order = generator(seed, "halves", repeat).permutation(len(real))
        first = np.zeros(len(real), dtype=bool)
        first[order[: len(real) // 2]] = True
        for half in (first, ~first):
            answers = made[~half[pairs]]
            if half.sum() < 2 or len(answers) < 2:
                return np.nan
            values.append(frechet_distance(real[half], answers))
    return float(np.mean(values))


def kernel_distance(real: np.ndarray, made: np.ndarray, pairs: np.ndarray | None = None) -> float:
    """Returns KID: the unbiased estimate of the squared maximum mean discrepancy with a cubic kernel.

    Arguments:
        real: Features with shape (N, D), N at least 2.
        made: Features with shape (M, D), M at least 2.
        pairs: For each row of `made` the row of `real` that it was made from. These pairs are not independent and are
            left out of the mean. None: there are none.

    Returns:
        The distance; its expectation is 0 for two samples of one distribution.
    """
    real, made = np.asarray(real, np.float64), np.asarray(made, np.float64)
    width = real.shape[1]

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / width + 1.0) ** 3

    def mean_off_diagonal(values: np.ndarray) -> float:
        return float((values.sum() - np.trace(values)) / (len(values) * (len(values) - 1)))

    mixed = kernel(real, made)
    own = 0.0 if pairs is None else mixed[pairs, np.arange(len(made))].sum()
    count = mixed.size - (0 if pairs is None else len(made))
    return (
        mean_off_diagonal(kernel(real, real))
        + mean_off_diagonal(kernel(made, made))
        - 2.0 * float((mixed.sum() - own) / count)
    )


def note_on(count: int, enough: int) -> str:
    """Returns the sample-size warning of a Frechet distance of `count` images; empty if `count` is `enough`."""
    return f"of {count:,} images, fewer than {enough:,}: compare at equal n only" if count < enough else ""


def _root(features: np.ndarray) -> np.ndarray:
    """Returns a matrix (K, D), K at most D, whose Gram matrix over columns is the covariance."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    # The triangular factor of a QR decomposition has the same Gram matrix.
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else centred

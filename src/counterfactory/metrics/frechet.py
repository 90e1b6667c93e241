r"""Distances between two sets of features: Frechet, in halves, and by a kernel.

The Frechet distance of the two normal distributions with the sets' means and covariances (Heusel et al., 2017,
arXiv:1706.08500; Dowson & Landau, 1982),

.. math:: d^2 = \| \mu_1 - \mu_2 \|^2 + \mathrm{tr}\, \Sigma_1 + \mathrm{tr}\, \Sigma_2
   - 2\, \mathrm{tr}\, (\Sigma_1 \Sigma_2)^{1/2}

With centred features :math:`A, B` divided by :math:`\sqrt{n - 1}`, so that :math:`\Sigma_1 = A^\top A`, the last trace
is the sum of the singular values of :math:`A B^\top`. That needs no root of a matrix, which the usual way loses digits
in, or gets complex, when there are fewer images than features.

The value falls with the number of images: two sets drawn from one distribution are far apart when they are small.
Compare at equal numbers only. The kernel distance (KID; Binkowski et al., 2018, arXiv:1801.01401),

.. math:: \widehat{\mathrm{MMD}}^2 = \overline{k(x, x')} + \overline{k(y, y')} - 2\, \overline{k(x, y)}, \qquad
   k(x, y) = \big( x^\top y / D + 1 \big)^3

with means over different images only, has no such bias and may fall below 0.
"""

import numpy as np

from ..core.noise import generator

__all__ = ["frechet_distance", "kernel_distance", "note_on", "split_frechet_distance"]


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the squared Frechet distance of two sets of features, which is what is called FID.

    Arguments:
        first: Features with shape (N, D), N at least 2.
        second: Features with shape (M, D), M at least 2.

    Returns:
        The distance, 0 or more.

    Raises:
        ValueError: If there are fewer than two images in a set.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("a covariance needs two images at least")
    difference = first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)
    roots = [_root(np.asarray(features, np.float64)) for features in (first, second)]
    traces = [float(np.square(root).sum()) for root in roots]
    mixed = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return max(float(difference @ difference + sum(traces) - 2.0 * mixed), 0.0)


def _root(features: np.ndarray) -> np.ndarray:
    """Returns a matrix (K, D), K at most D, whose Gram matrix over columns is the covariance."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    # The triangle of a QR decomposition has the same Gram matrix.
    return np.linalg.qr(centred, mode="r") if len(centred) > centred.shape[1] else centred


def split_frechet_distance(
    real: np.ndarray, made: np.ndarray, pairs: np.ndarray, repeats: int, seed: int
) -> float:
    """Returns sFID: the mean Frechet distance between one half's real images and the answers to the other half.

    An answer shares its content with its own original, which flatters a distance between the two sets (Jeanneret et
    al., 2023, arXiv:2303.09962). The originals are shuffled and halved, both halves are taken, and the whole is
    repeated.

    Arguments:
        real: Features of the originals, with shape (N, D).
        made: Features of the answers, with shape (M, D).
        pairs: For each answer the row of its original in `real`, with shape (M,).
        repeats: How many times it is shuffled.
        seed: Where the orders come from.

    Returns:
        The mean distance; NaN if some half has fewer than two originals or answers.
    """
    values = []
    for repeat in range(repeats):
        order = generator(seed, "halves", repeat).permutation(len(real))
        half = np.zeros(len(real), dtype=bool)
        half[order[: len(real) // 2]] = True
        for side in (half, ~half):
            answers = made[~side[pairs]]
            if side.sum() < 2 or len(answers) < 2:
                return np.nan
            values.append(frechet_distance(real[side], answers))
    return float(np.mean(values))


def kernel_distance(real: np.ndarray, made: np.ndarray, pairs: np.ndarray | None = None) -> float:
    """Returns KID: the unbiased squared maximum mean discrepancy under a cubic kernel.

    Arguments:
        real: Features with shape (N, D), N at least 2.
        made: Features with shape (M, D), M at least 2.
        pairs: For each row of `made` the row of `real` that it was made from, left out of the mean since the two are
            not drawn independently; None: there is none.

    Returns:
        The distance; about 0 for two sets from one distribution, and then as often below 0 as above.
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
    """Returns what to mind about a Frechet distance of `count` images, fewer than `enough`; else nothing."""
    return f"of {count:,} images, fewer than {enough:,}: compare at equal n only" if count < enough else ""

r"""Packs the moments of a transport of latents for a page, which computes the maps between classes from them.

The map from class s to class t is the optimal transport between two Gaussians
(:mod:`counterfactory.models.image.transport`). With the symmetric roots :math:`R = \Sigma^{1/2}` of their covariances
it is

.. math:: A = R_t\, (R_t R_s R_s R_t)^{-1/2} R_t, \qquad T(u) = A u + (\mu_t - A \mu_s).

K classes have K roots but K (K - 1) maps. A page therefore holds the roots, as 16-bit integers, and computes a map when
it is first asked for. The products of a root with itself are positive definite in spite of the rounding.
"""

from typing import Any

import numpy as np

from .blobs import quantised

__all__ = ["MOST_LATENTS", "packed_moments"]

MOST_LATENTS = 256
"""The largest number of latents of an image whose maps a browser computes, in about two seconds each."""


def packed_moments(transport: Any) -> tuple[dict[str, Any], bytes]:
    """Returns the moments of the classes whose noises are moved.

    Arguments:
        transport: A fitted :class:`counterfactory.models.image.transport.Transport` of D latents.

    Returns:
        `size` (D), `classes` (the M joint classes that are moved), and `low` and `step` of the integers; and the bytes:
        means, float32 (M, D), then the upper triangles of the roots, uint16 (M, D (D + 1) / 2), both little-endian.
    """
    classes = transport.moved.nonzero()[:, 0].tolist()
    means = transport.means[classes].double().numpy(force=True)
    values, vectors = np.linalg.eigh(transport.covariances[classes].double().numpy(force=True))
    roots = (vectors * np.sqrt(values.clip(min=0.0))[:, None]) @ vectors.transpose(0, 2, 1)
    size = means.shape[1]
    whole, low, step = quantised(roots[:, *np.triu_indices(size)])
    described = {"size": size, "classes": classes, "low": low, "step": step}
    return described, means.astype("<f4").tobytes() + whole.tobytes()

r"""The exposure of an image mechanism, fitted to the training images in closed form.

With :math:`w(x)` the white level of an image, the median of those of its pixels that are at least half as bright as the
brightest,

.. math:: w(x) \approx c_0 + \sum_k c_k\, \mathrm{pa}_k, \qquad g_k = c_k / \bar{w}_0

by least squares over *all* parents, for the parents k that act as exposure; :math:`\bar{w}_0` is the fit at
0 for them and at the mean for all others. Parents are correlated, and only a joint fit does not credit one
parent's effect to another: a network that learns the slopes along with its features lets the other parents
predict part of the brightness, and is then wrong wherever an intervention breaks the correlation.
"""

import torch
from torch import Tensor

from ...nets.head import Head

__all__ = ["fit_exposure", "white_level"]


def white_level(images: Tensor) -> Tensor:
    """Returns the median of each image's pixels that are at least half as bright as its brightest.

    Arguments:
        images: uint8 images with shape :math:`(N, C, H, W)`.

    Returns:
        Grey levels in [0, 255], float64 with shape :math:`(N,)`.
    """
    pixels = images.flatten(1).float()
    bright = torch.where(pixels >= pixels.amax(1, keepdim=True) / 2, pixels, torch.nan)
    return bright.nanmedian(1).values.double()


@torch.no_grad()
def fit_exposure(head: Head, images: Tensor, parents: Tensor) -> None:
    """Sets the exposure of `head`, in place; does nothing where it has none.

    Arguments:
        head: The last layer of an image mechanism.
        images: Training images, uint8 with shape :math:`(N, C, H, W)`.
        parents: Their encoded parents, with shape :math:`(N, P)`.
    """
    if not head.columns:
        return
    white = torch.cat([white_level(part) for part in images.split(4096)])
    mean = parents.double().mean(0)
    design = torch.cat([parents.double() - mean, torch.ones(len(parents), 1, dtype=torch.float64)], dim=1)
    # One-hot parents make the design singular: the solution of least norm is as good as any.
    solution = torch.linalg.lstsq(design, white[:, None], driver="gelsd").solution[:, 0]
    slopes = solution[head.columns]
    base = solution[-1] - (slopes * mean[head.columns]).sum()
    head.exposure.copy_((slopes / base).float())

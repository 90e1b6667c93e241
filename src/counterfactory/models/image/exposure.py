r"""Fits the slopes of the exposure of an image mechanism to the training images, in closed form.

The white level :math:`w(x)` of an image is the median of its pixels that are at least half as bright as the brightest.
It is regressed on *all* parents by least squares, and the slopes :math:`g_k` of the parents k that act as exposure
(:mod:`counterfactory.nets.exposure`) are

.. math:: w(x) \approx c_0 + \sum_k c_k\, \mathrm{pa}_k, \qquad g_k = c_k / \bar{w}_0

where :math:`\bar{w}_0` is the fitted white level at 0 for these parents and at the mean for all others. Parents are
correlated; the joint fit prevents that the effect of one parent is attributed to another. If the network learned the
slopes together with its features, other parents would predict a part of the brightness, which is wrong wherever an
intervention breaks the correlation.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["fit_exposure", "white_level"]


def white_level(images: Tensor) -> Tensor:
    """Returns the median of the pixels that are at least half as bright as the brightest one, for each image.

    Arguments:
        images: uint8 images with shape :math:`(N, C, H, W)`.

    Returns:
        Grey levels in [0, 255], float64 with shape :math:`(N,)`.
    """
    pixels = images.flatten(1).float()
    bright = pixels >= pixels.amax(1, keepdim=True) / 2
    if torch.compiler.is_exporting():
        # A graph has no median. This is the same pixel in ascending order, which takes twice as long.
        count = bright.sum(1, keepdim=True)
        place = pixels.shape[1] - count + (count - 1) // 2
        return pixels.sort(1).values.gather(1, place)[:, 0].double()
    return torch.where(bright, pixels, torch.nan).nanmedian(1).values.double()


@torch.no_grad()
def fit_exposure(head: Any, images: Tensor, parents: Tensor) -> None:
    """Sets the exposure slopes of `head` in place; does nothing if no parent acts as exposure.

    Arguments:
        head: The output layer of an image mechanism, or another network with `columns` and `exposure`.
        images: Training images, uint8 with shape :math:`(N, C, H, W)`.
        parents: Their encoded parents, with shape :math:`(N, P)`.
    """
    if not head.columns:
        return
    white = torch.cat([white_level(part) for part in images.split(4096)])
    mean = parents.double().mean(0)
    design = torch.cat([parents.double() - mean, torch.ones(len(parents), 1, dtype=torch.float64)], dim=1)
    # One-hot parents make the design matrix singular; the minimum-norm solution gives the same predictions.
    solution = torch.linalg.lstsq(design, white[:, None], driver="gelsd").solution[:, 0]
    slopes = solution[head.columns]
    base = solution[-1] - (slopes * mean[head.columns]).sum()
    head.exposure.copy_((slopes / base).float())

r"""Where the exposure of a network starts: at the least-squares fit of the images' white level to the parents.

With :math:`w(x)` the 98th percentile of an image's brightness above black,

.. math:: w(x) \approx c_0 + \sum_k c_k\, \mathrm{pa}_k, \qquad g_k = c_k / \bar{w}_0

for the parents k that act as exposure, :math:`\bar{w}_0` being the fit at 0 for them and at the mean for all
others, and :math:`m' = (1 + g)(m + 1) - 1`: black stays black. Parents are correlated, and the fit is joint,
so that one parent's effect is not credited to another. Started at 0 instead, the features take up the
brightness that other parents predict, and give it back only slowly.
"""

import torch
from torch import Tensor

from ..nets.head import Head

__all__ = ["start_exposure"]


@torch.no_grad()
def start_exposure(head: Head, images: Tensor, parents: Tensor) -> None:
    """Sets the exposure of `head`, in place; does nothing where it has none.

    Arguments:
        head: The last layer of an image mechanism.
        images: Training images, uint8 with shape :math:`(N, C, H, W)`.
        parents: Their encoded parents, with shape :math:`(N, P)`.
    """
    if head.exposure is None:
        return
    white = torch.quantile(images.flatten(1).float() / 127.5, 0.98, dim=1).double()
    mean = parents.double().mean(0)
    design = torch.cat([parents.double() - mean, torch.ones(len(parents), 1, dtype=torch.float64)], dim=1)
    # One-hot parents make the design singular: the solution of least norm is as good as any.
    solution = torch.linalg.lstsq(design, white[:, None], driver="gelsd").solution[:, 0]
    slopes = solution[head.columns]
    base = solution[-1] - (slopes * mean[head.columns]).sum()
    head.exposure.weight.copy_((slopes / base).float().expand_as(head.exposure.weight))
    head.exposure.bias.zero_()

r"""Sharpening that neither overshoots nor rings: an unsharp mask kept between its neighbours.

.. math:: b' = \operatorname{clip}\big(b + a\,(b - G b),\ \min_{N} b,\ \max_{N} b\big)

with G the binomial 3x3 filter and N the 3x3 neighbourhood of a pixel. The unsharp mask
:math:`b + a (b - G b)` steepens edges and, left alone, makes plateaus brighter beside them; held between the
darkest and the brightest of its neighbours (the filter of Kramer and Bruckner, 1975, taken part of the way, and one
step of a shock filter: Osher and Rudin, 1990, doi:10.1137/0727053) an edge gets steeper in its place and a plateau
keeps its level. At a = 0 it changes nothing; scaling b scales b'.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["sharpened"]


def sharpened(brightness: Tensor, amount: Tensor | float) -> Tensor:
    """Returns the sharpened image.

    What is below black is left alone: how far below is no part of the picture.

    Arguments:
        brightness: Brightness above black, with shape :math:`(B, C, H, W)`; outside the image it is black.
        amount: The strength a of the mask, at least 0.
    """
    seen = brightness.clamp(min=0.0)
    binomial = seen.new_tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(binomial, binomial).expand(seen.shape[1], 1, 3, 3)
    blurred = F.conv2d(seen, kernel, padding=1, groups=seen.shape[1])
    brightest = F.max_pool2d(seen, 3, stride=1, padding=1)
    darkest = -F.max_pool2d(-F.pad(seen, (1, 1, 1, 1)), 3, stride=1)
    steeper = seen + amount * (seen - blurred)
    return torch.minimum(torch.maximum(steeper, darkest), brightest) + brightness.clamp(max=0.0)

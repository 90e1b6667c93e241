r"""Unsharp mask limited to the range of the neighbouring pixels, which neither overshoots nor rings.

.. math:: b' = \operatorname{clip}\big(b + a\,(b - G b),\ \min_{N} b,\ \max_{N} b\big)

with G the binomial 3x3 filter, N the 3x3 neighbourhood of a pixel and b the brightness above black. The unsharp mask
:math:`b + a (b - G b)` steepens edges, but also brightens plateaus next to them. Clipped to the darkest and the
brightest neighbour, it steepens an edge without moving it and leaves plateaus unchanged. This is a partial step of the
filter of Kramer and Bruckner (1975) and one step of a shock filter (Osher and Rudin, 1990, doi:10.1137/0727053). With
a = 0 it is the identity, and it is homogeneous: scaling b scales b'.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Sharpening", "sharpened"]


def sharpened(brightness: Tensor, amount: Tensor | float) -> Tensor:
    """Returns the sharpened image, with shape :math:`(B, C, H, W)`.

    Negative brightness (below black) is returned unchanged, because it is not visible.

    Arguments:
        brightness: Brightness above black, with shape :math:`(B, C, H, W)`; the surroundings of the
            image count as black.
        amount: The strength a of the mask, at least 0.
    """
    return Sharpening(brightness)(amount)


class Sharpening:
    """Sharpens the same images by several amounts; the filters are applied once.

    Arguments:
        brightness: Brightness above black, as in :func:`sharpened`.
    """

    def __init__(self, brightness: Tensor) -> None:
        seen = brightness.clamp(min=0.0)
        binomial = seen.new_tensor([0.25, 0.5, 0.25])
        kernel = torch.outer(binomial, binomial).expand(seen.shape[1], 1, 3, 3)
        blurred = F.conv2d(seen, kernel, padding=1, groups=seen.shape[1])
        self.brightest = F.max_pool2d(seen, 3, stride=1, padding=1)
        self.darkest = -F.max_pool2d(-F.pad(seen, (1, 1, 1, 1)), 3, stride=1)
        self.seen, self.edges, self.unseen = seen, seen - blurred, brightness.clamp(max=0.0)

    def __call__(self, amount: Tensor | float) -> Tensor:
        """Returns the images sharpened by `amount`."""
        steeper = self.seen + amount * self.edges
        return torch.minimum(torch.maximum(steeper, self.darkest), self.brightest) + self.unseen

r"""Parents that act on an image like the exposure of a photograph.

Such a parent multiplies the brightness above black by a gain that is linear in the encoded parents,

.. math:: x' = g(\mathrm{pa})\,(x + 1) - 1, \qquad g(\mathrm{pa}) = \max\Big(0.05,\ 1 + \sum_k g_k\, \mathrm{pa}_k\Big)

where k runs over the columns that act as exposure and black is -1. The networks do not receive these columns. The
effect of such a parent is therefore independent of all other parents, also for combinations that do not occur in
confounded training data. The slopes :math:`g_k` are fitted in closed form before training
(:mod:`counterfactory.models.image.exposure`).
"""

from collections.abc import Sequence

from torch import Tensor

__all__ = ["develop", "expose", "exposure_gain", "hide_columns"]


def exposure_gain(parents: Tensor, columns: Sequence[int], slopes: Tensor) -> Tensor:
    """Returns the gain of each image, at least 0.05.

    Arguments:
        parents: Encoded parents with shape (B, P).
        columns: The K columns that act as exposure.
        slopes: Their slopes, with shape (K,).

    Returns:
        Gains with shape (B, 1, 1, 1).
    """
    gain = 1.0 + parents[:, columns].float() @ slopes
    return gain.clamp(min=0.05)[:, None, None, None]


def expose(x: Tensor, gain: Tensor) -> Tensor:
    """Multiplies the brightness above black of images (B, C, H, W), with black at -1, by a gain (B, 1, 1, 1)."""
    return gain * (x + 1.0) - 1.0


def develop(x: Tensor, gain: Tensor) -> Tensor:
    """Inverts :func:`expose`."""
    return (x + 1.0) / gain - 1.0


def hide_columns(parents: Tensor, columns: Sequence[int]) -> Tensor:
    """Returns the parents (B, P) with the given columns set to zero; the same tensor if there are none."""
    if not columns:
        return parents
    hidden = parents.clone()
    hidden[:, columns] = 0.0
    return hidden

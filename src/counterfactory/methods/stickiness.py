r"""Applies the stickiness of the extended structural model to the noises that a method abducts.

.. math:: u'_i = m_i u_i + (1 - m_i) v_i, \qquad m_i \sim \mathrm{Bern}(s),\ v_i \sim P(u_i)

(:mod:`counterfactory.scm.noise_kernels`). With s = 1 every abducted noise is kept, which is Pearl's counterfactual of
the same individual. With s = 0 all noises are redrawn, which is an interventional sample of another individual. In
between, the image of a null intervention differs from the factual one by design.

Which noises are redrawn is a function of the question's seed, the step and the noise's name.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..core.noise import Seeds
from ..scm.noise_kernels import PRIORS, Sticky, streams

__all__ = ["Copy", "kept_rows", "sticky_copy"]

Copy = Callable[[str, Tensor], Tensor]
"""`copy(name, noise)` returns the counterfactual noise, of the same shape ``(B, *)``, given the abducted one."""


def sticky_copy(stickiness: float, seeds: Seeds, step: int, prior: str = "normal") -> Copy:
    """Returns the function that draws the counterfactual noises of a batch of questions.

    Arguments:
        stickiness: The probability that a noise is kept, in [0, 1]; at 1 noises are returned unchanged.
        seeds: The seed of each question, with shape (B,).
        step: The number of actions already applied to these questions.
        prior: The law of the noises, `normal` or `uniform` on [-1, 1].
    """
    kernel = Sticky(stickiness, PRIORS[prior])

    def copy(name: str, noise: Tensor) -> Tensor:
        if stickiness == 1.0:
            return noise
        keep, value = kernel.draw(noise[0].numel(), streams(seeds, "stickiness", name, step))
        kept = torch.from_numpy(keep).to(noise.device).view(noise.shape)
        return torch.where(kept, noise, torch.from_numpy(value).to(noise).view(noise.shape))

    return copy


def kept_rows(copy: Copy, name: str, x: Tensor) -> Tensor:
    """Returns for which images (B, C, H, W) a noise that is one variable of the image is kept, bool (B,).

    It serves noises whose value is not needed to know what the counterfactual is once they are redrawn.

    Arguments:
        copy: The law of the counterfactual noises.
        name: The name of the noise.
        x: The images.
    """
    # A redrawn value is a number.
    return copy(name, x.new_full((len(x), 1), torch.nan)).isnan()[:, 0]

r"""The Gumbel-max mechanism: a categorical variable as a function of its causes and of Gumbel noise.

With normalized or unnormalized logits :math:`\ell_1, \ldots, \ell_K` the mechanism is

.. math:: y = \arg\max_k \; \ell_k + \epsilon_k, \qquad \epsilon_k \sim \mathrm{Gumbel}(0, 1),

with :math:`P(y = k) = e^{\ell_k} / \sum_j e^{\ell_j}`. Given :math:`y = k`, the noise is drawn from its posterior. The
maximum is independent of the class that attains it, and the other terms are Gumbels truncated at the maximum:

.. math::
    T = \log \sum_j e^{\ell_j} + G_k, \qquad
    \epsilon_k = T - \ell_k, \qquad
    \epsilon_j = -\log\big(e^{-(\ell_j + G_j)} + e^{-T}\big) - \ell_j \quad (j \neq k),

with independent standard Gumbels :math:`G` (Maddison, Tarlow & Minka, 2014, arXiv:1411.0030; as a causal mechanism:
Oberst & Sontag, 2019, arXiv:1905.05824). With the same logits the noise always gives the observed class. With other
logits the counterfactual class is random, and class k changes to j only if the odds of j against k have increased.
"""

import numpy as np
import torch
from torch import Tensor

from ..core.noise import Seeds, generator

__all__ = ["gumbel_max", "gumbel_noise", "gumbel_posterior"]

MARGIN = 1e-9
"""The least margin of the observed class, relative to the scores: larger than rounding errors, of negligible effect."""


def gumbel_noise(seeds: Seeds, classes: int, *names: str | int) -> Tensor:
    """Draws standard Gumbel noise, one independent stream per row.

    Arguments:
        seeds: The seed of each row, with shape :math:`(N,)`.
        classes: The number of classes K.
        names: The names of the stream.

    Returns:
        Float64 noise with shape :math:`(N, K)`.
    """
    noise = np.empty((len(seeds), classes))
    for row, seed in zip(noise, seeds, strict=True):
        row[:] = generator(int(seed), *names).gumbel(size=classes)
    return torch.from_numpy(noise)


def gumbel_max(logits: Tensor, noise: Tensor) -> Tensor:
    """Returns the class of each row.

    Arguments:
        logits: The logits, with shape :math:`(N, K)` or :math:`(K,)`.
        noise: The exogenous Gumbel noise, with shape :math:`(N, K)`.

    Returns:
        Int64 classes with shape :math:`(N,)`.
    """
    return (logits + noise).argmax(dim=-1)


def gumbel_posterior(logits: Tensor, observed: Tensor, gumbels: Tensor) -> Tensor:
    """Draws the noise given the observed class.

    Arguments:
        logits: Finite logits, with shape :math:`(N, K)` or :math:`(K,)`.
        observed: The observed classes (int64), with shape :math:`(N,)`.
        gumbels: Independent standard Gumbels, with shape :math:`(N, K)`.

    Returns:
        The noise, with shape :math:`(N, K)`; `gumbel_max(logits, noise)` is `observed`.
    """
    logits = logits.expand_as(gumbels)
    winner = observed.unsqueeze(-1)
    top = logits.logsumexp(-1, keepdim=True) + gumbels.gather(-1, winner)
    scores = -torch.logaddexp(-(logits + gumbels), -top)
    # In exact arithmetic they are below the maximum; the margin ensures it with rounding, also in gumbel_max.
    margin = MARGIN * (1.0 + top.abs() + logits.abs().amax(-1, keepdim=True))
    scores = torch.minimum(scores, top - margin).scatter(-1, winner, top)
    return scores - logits

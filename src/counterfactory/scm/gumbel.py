r"""A categorical variable as a function of its causes and of Gumbel noise.

The Gumbel-max mechanism with normalised or unnormalised logits :math:`\ell_1, \ldots, \ell_K` is

.. math:: y = \arg\max_k \; \ell_k + \epsilon_k, \qquad \epsilon_k \sim \mathrm{Gumbel}(0, 1),

for which :math:`P(y = k) = e^{\ell_k} / \sum_j e^{\ell_j}`. Given :math:`y = k`, the noise is drawn from its
posterior from the top down: the maximum does not depend on which class attains it, and the others are Gumbels
cut off at it,

.. math::
    T = \log \sum_j e^{\ell_j} + G_k, \qquad
    \epsilon_k = T - \ell_k, \qquad
    \epsilon_j = -\log\big(e^{-(\ell_j + G_j)} + e^{-T}\big) - \ell_j \quad (j \neq k),

with independent standard Gumbels :math:`G` (Maddison, Tarlow & Minka, 2014, arXiv:1411.0030; as a causal
mechanism: Oberst & Sontag, 2019, arXiv:1905.05824). Under the same logits the noise returns the observed class,
always. Under other logits the counterfactual class is random, and k gives way to j only if the odds of j against
k have risen.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..core.noise import generator

__all__ = ["gumbel_max", "gumbel_noise", "gumbel_posterior"]

MARGIN = 1e-9
"""The least lead of the observed class, relative to the scores: far above rounding, far below chance."""


def gumbel_noise(seeds: Sequence[int], classes: int, *names: str | int) -> Tensor:
    """Draws standard Gumbel noise, one independent stream a row.

    Arguments:
        seeds: The seed of each row, with shape :math:`(N,)`.
        classes: The number of classes K.
        names: What the noise is for.

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
    """Draws the noise given the class that was observed.

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
    # Mathematically below the top already; the margin keeps them there through rounding, also in gumbel_max.
    margin = MARGIN * (1.0 + top.abs() + logits.abs().amax(-1, keepdim=True))
    scores = torch.minimum(scores, top - margin).scatter(-1, winner, top)
    return scores - logits

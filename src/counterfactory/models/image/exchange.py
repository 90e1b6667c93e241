"""Draws interventions for the corrections that are fitted to answers: parents are exchanged between images."""

import torch
from torch import Tensor

__all__ = ["exchange_parents"]


def exchange_parents(parents: Tensor, columns: list[slice], generator: torch.Generator) -> Tensor:
    """Returns parents of which some are those of another image: each variable with probability 1/2, independently.

    Arguments:
        parents: Encoded parents with shape (B, P).
        columns: The columns of each variable.
        generator: The source of the permutation of the images and of what is exchanged, on the CPU.
    """
    others = parents[torch.randperm(len(parents), generator=generator).to(parents.device)]
    after = parents.clone()
    for own in columns:
        exchanged = (torch.rand(len(parents), 1, generator=generator) < 0.5).to(parents.device)
        after[:, own] = torch.where(exchanged, others[:, own], parents[:, own])
    return after

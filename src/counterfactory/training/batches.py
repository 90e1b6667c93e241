"""The batches of a training: the order of the rows is a function of seed and step only."""

import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.noise import derive_seed
from .distributed import rank, world_size

__all__ = ["Batches", "rows_of_batch"]


def rows_of_batch(count: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Returns the rows of the batch of one step, from a permutation of all rows that (seed, epoch) determines.

    Arguments:
        count: The number of rows; those left over in an epoch are not used in it.
        batch_size: Rows per batch.
        seed: The training seed.
        step: The step, from 0.

    Returns:
        Int64 rows with shape (batch_size,).
    """
    per_epoch = max(1, count // batch_size)
    epoch, position = divmod(step, per_epoch)
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    return torch.randperm(count, generator=generator)[position * batch_size : (position + 1) * batch_size]


class Batches:
    """The batches of a split, of which each process of a distributed training takes an equal share.

    Arguments:
        data: Tensors of equal first dimension, one row per image, on the device of the training.
        batch_size: Rows per batch, over all processes.
        seed: The training seed.

    Raises:
        UserError: If a batch is larger than the split, or cannot be divided equally among the processes.
    """

    def __init__(self, data: dict[str, Tensor], batch_size: int, seed: int) -> None:
        first = next(iter(data.values()))
        self.data, self.batch_size, self.seed = data, batch_size, seed
        self.count, self.device = len(first), first.device
        if self.count < batch_size:
            raise UserError(
                f"training.batch_size: {batch_size} is more than the {self.count} images of the split; lower it"
            )
        share, remainder = divmod(batch_size, world_size())
        if remainder:
            raise UserError(
                f"training.batch_size: {batch_size} cannot be shared evenly by {world_size()} processes; "
                "make it a multiple of that"
            )
        self.part = slice(rank() * share, (rank() + 1) * share)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Returns the part of the batch of a step that this process trains on."""
        rows = rows_of_batch(self.count, self.batch_size, self.seed, step)[self.part].to(self.device)
        return {name: tensor[rows] for name, tensor in self.data.items()}

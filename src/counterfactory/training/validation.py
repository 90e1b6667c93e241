"""Validation: the mean loss of the averaged weights on the validation split."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core.noise import derive_seed

__all__ = ["Loss", "evaluate", "validate_average"]

Loss = Callable[[nn.Module, dict[str, Tensor], torch.Generator, float], tuple[Tensor, dict[str, Tensor]]]
"""`loss(model, batch, generator, progress)` returns the scalar to minimize and the scores to log, each a scalar tensor.
`progress` is the share of completed steps, for schedules; it is 1 in validation."""


@torch.no_grad()
def evaluate(
    model: nn.Module, loss: Loss, data: dict[str, Tensor], batch_size: int, seed: int
) -> dict[str, float]:
    """Returns the mean loss and scores over a split, always with the same noise.

    Arguments:
        model: The model; it is evaluated in evaluation mode and left in training mode.
        loss: The loss.
        data: Tensors of equal first dimension, one row per image.
        batch_size: Rows per batch.
        seed: The training seed.
    """
    model.eval()
    first = next(iter(data.values()))
    count, device = len(first), first.device
    totals: dict[str, float] = {}
    for start in range(0, count, batch_size):
        batch = {name: tensor[start : start + batch_size] for name, tensor in data.items()}
        generator = torch.Generator(device).manual_seed(derive_seed(seed, "valid", start))
        value, scores = loss(model, batch, generator, 1.0)
        size = len(next(iter(batch.values())))
        for name, score in {"loss": value, **scores}.items():
            totals[name] = totals.get(name, 0.0) + float(score) * size / count
    model.train()
    return totals


def validate_average(
    model: nn.Module,
    average: dict[str, Tensor],
    loss: Loss,
    data: dict[str, Tensor],
    batch_size: int,
    seed: int,
) -> dict[str, float]:
    """Evaluates a model with its averaged weights; afterwards it has its own weights again. See :func:`evaluate`."""
    current = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(average)
    means = evaluate(model, loss, data, batch_size, seed)
    model.load_state_dict(current)
    return means

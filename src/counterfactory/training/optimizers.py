r"""The optimizers: AdamW; or Muon for weight matrices and AdamW for all other weights.

AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) scales the step of each weight separately. Muon (Jordan et al.,
2024, https://kellerjordan.github.io/posts/muon) updates a matrix of shape (m, n) as a whole: it averages the gradient
:math:`M` with decay 0.95 and Nesterov momentum and sets all its singular values to about 1, by five Newton-Schulz steps
in bfloat16. Directions with low gradient variance are then learned as well:

.. math:: W \leftarrow (1 - \eta\lambda) W - 0.2\,\eta \sqrt{\max(m, n)}\; U V^\top,
   \qquad M = U \Sigma V^\top

The factor matches the step size of AdamW (Liu et al., 2025, arXiv:2502.16982), so that both use one learning rate;
Muon does not use the decay rates of AdamW. A weight with more than two dimensions, such as a convolution, is treated as
the matrix (first dimension, all others).
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

if TYPE_CHECKING:
    from ..config.training import TrainingSettings

__all__ = ["learning_rate", "make_optimizers", "set_learning_rate"]


def learning_rate(step: int, settings: "TrainingSettings") -> float:
    """Returns the learning rate of a step: linear warm-up, then constant or half a cosine down to 0."""
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup))
    if settings.schedule == "cosine":
        rate *= 0.5 * (1.0 + math.cos(math.pi * step / settings.steps))
    return rate


def set_learning_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    """Sets the learning rate of all optimizers."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def make_optimizers(parameters: Sequence[nn.Parameter], settings: "TrainingSettings") -> list[Optimizer]:
    """Returns the optimizers; every parameter belongs to exactly one of them.

    Arguments:
        parameters: The weights, on their device. Their memory must not be replaced.
        settings: `optimizer` is `adamw` or `muon`.
    """
    matrices = [weight for weight in parameters if weight.ndim > 1] if settings.optimizer == "muon" else []
    moved = {id(weight) for weight in matrices}
    rest = [weight for weight in parameters if id(weight) not in moved]
    optimizers: list[Optimizer] = []
    if matrices:
        optimizers.append(_Muon(matrices, settings.learning_rate, settings.weight_decay))
    if rest:
        optimizers.append(
            AdamW(
                rest,
                lr=settings.learning_rate,
                betas=(settings.betas[0], settings.betas[1]),
                weight_decay=settings.weight_decay,
                fused=True,
            )
        )
    return optimizers


class _Muon(torch.optim.Muon):
    """torch's Muon, which accepts matrices only, for weights with any number of dimensions."""

    def __init__(self, weights: Sequence[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        self._weights = weights
        # Views of the weights' memory: an update of one is an update of the other.
        self._matrices = [nn.Parameter(_as_matrix(weight.detach(), weight)) for weight in weights]
        if any(m.data_ptr() != w.data_ptr() for m, w in zip(self._matrices, weights, strict=True)):
            raise ValueError("Muon requires weights with contiguous or channels-last memory")
        super().__init__(
            self._matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure
        """Updates the weights from their gradients."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad, weight)
        super().step()
        for matrix in self._matrices:
            matrix.grad = None  # releases the memory of the weights' gradients


def _as_matrix(values: Tensor, weight: Tensor) -> Tensor:
    """Returns values shaped as `weight` as a matrix (first, rest), with columns in the order of the weight's memory."""
    # In channels-last memory the channels come last. Singular values do not depend on the order of the columns.
    ordered = values if weight.is_contiguous() else values.movedim(1, -1)
    return ordered.reshape(len(values), -1)

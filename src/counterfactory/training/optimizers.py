r"""What moves the weights: AdamW, or Muon for the matrices among them and AdamW for the rest.

AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) scales each weight's step by itself. Muon (Jordan et al., 2024,
https://kellerjordan.github.io/posts/muon) moves a matrix of shape (m, n) as a whole: against its gradient :math:`M`
(averaged with decay 0.95, and looking ahead as Nesterov's does) with all singular values made about 1, by five
Newton-Schulz steps in bfloat16, so that directions which gradients seldom speak of are learned as well,

.. math:: W \leftarrow (1 - \eta\lambda) W - 0.2\,\eta \sqrt{\max(m, n)}\; U V^\top,
   \qquad M = U \Sigma V^\top

where the factor makes its steps as large as AdamW's (Liu et al., 2025, arXiv:2502.16982), so that one learning rate
serves both; AdamW's decay rates are not Muon's. What has more dimensions than two, such as a convolution, is the matrix
(first dimension, all others).
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

__all__ = ["OptimizerSettings", "make_optimizers"]


class OptimizerSettings(Protocol):
    """What is read of a training's settings."""

    optimizer: str
    learning_rate: float
    weight_decay: float
    betas: tuple[float, float]


def make_optimizers(parameters: Sequence[nn.Parameter], settings: OptimizerSettings) -> list[Optimizer]:
    """Returns the optimisers that together move all `parameters`, each of them by one.

    Arguments:
        parameters: The weights, on their device; they must stay where they are in memory.
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
                betas=tuple(settings.betas),
                weight_decay=settings.weight_decay,
                fused=True,
            )
        )
    return optimizers


class _Muon(torch.optim.Muon):
    """torch's Muon, which takes matrices only, over weights of any number of dimensions."""

    def __init__(self, weights: Sequence[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        self._weights = weights
        # Of the weights' own memory: what moves the one moves the other.
        self._matrices = [nn.Parameter(_as_matrix(weight.detach(), weight)) for weight in weights]
        if any(m.data_ptr() != w.data_ptr() for m, w in zip(self._matrices, weights, strict=True)):
            raise ValueError("Muon needs weights whose memory is contiguous, or has the channels last")
        super().__init__(
            self._matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )

    @torch.no_grad()
    def step(self) -> None:
        """Moves the weights by their gradients."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad, weight)
        super().step()
        for matrix in self._matrices:
            matrix.grad = None  # else the weights' gradients would outlive their zeroing


def _as_matrix(values: Tensor, weight: Tensor) -> Tensor:
    """Returns values shaped as `weight` as a matrix (first, rest), columns as the memory of `weight` has them."""
    # Channels may come last there. Singular values do not depend on the order of columns.
    ordered = values if weight.is_contiguous() else values.movedim(1, -1)
    return ordered.reshape(len(values), -1)

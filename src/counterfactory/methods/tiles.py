r"""Splits rows into tiles of one fixed size, so that the output of a row does not depend on the other rows.

An explainer finishes some images earlier than others, and filling their places saves most of its time. But the
arithmetic of a network depends on the shape of its input, and thus on the number of remaining images. Rows are always
run in tiles of :math:`M` rows; the last tile is filled with copies of its first row. A row can have any position
in a tile, so the position must not matter either. This is tested once, on noise. Where it matters (some convolution
kernels treat the first and the last rows differently), rows are run one by one, which is slower.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["place_matters", "tiles"]


def tiles(rows: Tensor, size: int) -> Iterator[tuple[Tensor, int]]:
    """Yields the rows in tiles of exactly `size`.

    Arguments:
        rows: Row numbers, int64 with shape (R,).
        size: The number of rows of a tile.

    Yields:
        The row numbers of a tile, with shape (size,), and how many of them are not filling. Filling comes last.
    """
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield torch.cat([part, part[:1].expand(size - len(part))]), len(part)


def place_matters(function: Callable[..., Any], *inputs: Tensor) -> bool:
    """Returns whether a row's output depends on its position in the batch, or on the other rows.

    Arguments:
        function: A function from tensors with shape ``(M, *)`` to one or several tensors with shape ``(M, *)``.
        inputs: Inputs to test it on, such as noise. All rows should differ.
    """
    count = len(inputs[0])
    plain = _flat(function(*inputs))
    orders = [torch.arange(count).roll(1), torch.arange(count).flip(0), torch.zeros(count, dtype=torch.int64)]
    return any(
        not torch.equal(
            _flat(function(*(values[order.to(values.device)] for values in inputs))), plain[order]
        )
        for order in orders
    )


def _flat(outputs: Any) -> Tensor:
    parts = outputs if isinstance(outputs, tuple | list) else (outputs,)
    return torch.cat([part.detach().reshape(len(part), -1).double().cpu() for part in parts], 1)

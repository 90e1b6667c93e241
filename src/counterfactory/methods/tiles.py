r"""Networks run on tiles of one fixed shape, so that a row's bytes do not depend on the rows beside it.

An explainer stops with some images earlier than with others, and filling the gaps saves most of its time. But the
arithmetic of a network depends on the shape of its input, and so on how many images are left. So rows are always run
in tiles of :math:`M` rows, the last one filled up with copies of its first; and since a row may stand in any place of
a tile, the place must not matter either. That is tried out once, on noise, and where it does matter (some convolution
kernels treat the first and the last rows differently) rows are run one by one: slower, but the same everywhere.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["place_matters", "tiles"]


def tiles(rows: Tensor, size: int) -> Iterator[tuple[Tensor, int]]:
    """Yields the rows in tiles of exactly `size`.

    Arguments:
        rows: Numbers of rows, int64 with shape (R,).
        size: Rows in a tile.

    Yields:
        The numbers of a tile's rows, with shape (size,), and how many of them, from the front, are meant; the others
        fill up.
    """
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield torch.cat([part, part[:1].expand(size - len(part))]), len(part)


def place_matters(function: Callable[..., Any], *inputs: Tensor) -> bool:
    """Tries whether a row's output depends on its place in the batch, or on the other rows.

    Arguments:
        function: From tensors with shape (M, *) to a tensor, or several, with shape (M, *).
        inputs: What to try it on, such as noise; no two rows should be alike.
    """
    count = len(inputs[0])
    plain = _flat(function(*inputs))
    turned = [torch.arange(count).roll(1), torch.arange(count).flip(0), torch.zeros(count, dtype=torch.int64)]
    return any(
        not torch.equal(
            _flat(function(*(values[order.to(values.device)] for values in inputs))), plain[order]
        )
        for order in turned
    )


def _flat(outputs: Any) -> Tensor:
    parts = outputs if isinstance(outputs, tuple | list) else (outputs,)
    return torch.cat([part.detach().reshape(len(part), -1).double().cpu() for part in parts], 1)

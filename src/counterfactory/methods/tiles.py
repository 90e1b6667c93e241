r"""Splits rows into tiles of a few fixed sizes, so that the output of a row does not depend on the other rows.

An explainer finishes some images earlier than others, and filling their places saves most of its time. But the
arithmetic of a network depends on the shape of its input, and thus on the number of remaining images. Rows are always
run in tiles of :math:`M` rows; the last tile is filled with copies of its first row. A row can have any position
in a tile, so the position must not matter either. This is tested once, on noise. Where it matters (some convolution
kernels treat the first and the last rows differently), rows are run one by one, which is slower.

A last tile of few rows would cost as much as a full one. Tiles of :math:`M / 2, M / 4, \dots` rows are used too if a
row has exactly the same output in them as in the full tile, which is tested on the same noise. The machine decides
which sizes pass this test; the output of a row does not depend on them.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["Sizes", "largest", "place_matters", "smaller", "tiles"]

Sizes = int | tuple[int, ...]
"""The numbers of rows that a tile can have, the largest first; or one number."""


def tiles(rows: Tensor, sizes: Sizes) -> Iterator[tuple[Tensor, int]]:
    """Yields the rows in full tiles of the largest size, and the rest in a tile of the smallest size that holds it.

    Arguments:
        rows: Row numbers, int64 with shape (R,).
        sizes: The numbers of rows that a tile can have.

    Yields:
        The row numbers of a tile, with shape (size,), and how many of them are not filling. Filling comes last.
    """
    size = largest(sizes)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        fitting = size if isinstance(sizes, int) else min(one for one in sizes if one >= len(part))
        yield torch.cat([part, part[:1].expand(fitting - len(part))]), len(part)


def largest(sizes: Sizes) -> int:
    """Returns the largest number of rows of a tile."""
    return sizes if isinstance(sizes, int) else max(sizes)


def smaller(function: Callable[..., Any], *inputs: Tensor, together: int = 1) -> Iterator[int]:
    """Yields the sizes of smaller tiles in which the outputs of a row are those in the full tile.

    Arguments:
        function: A function from tensors with shape ``(M, *)`` to one or several tensors with shape ``(M, *)``.
        inputs: Inputs of a full tile to test it on, such as noise.
        together: The number of tiles that a network receives in one call; 2: calls of twice the rows are tested too.
    """

    def same(part: slice, tiles: int = 1) -> bool:
        found = _flat(function(*(torch.cat([one[part]] * tiles) for one in inputs)))
        return torch.equal(found, torch.cat([plain[part]] * tiles))

    count = len(inputs[0])
    plain = _flat(function(*inputs))
    if together > 1 and not same(slice(count), together):
        return
    tested, size = {count}, count // 2
    while size > 1:
        parts = (slice(0, size), slice(count - size, count))
        if not all(same(part) for part in parts):
            return
        tested.add(size)
        # Two tiles of this size have the rows of a tile that was tested already, unless a size is odd.
        if together * size not in tested and not all(same(part, together) for part in parts):
            return
        yield size
        size //= 2


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

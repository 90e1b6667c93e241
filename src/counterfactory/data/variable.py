"""A variable of a causal graph, and the names of the splits; imports nothing, so that planning stays fast."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["SPLITS", "Variable"]

SPLITS = ("train", "valid", "judges", "test")
"""The splits of every data set. `judges` trains evaluation networks only; nothing is selected by `test`."""


@dataclass(frozen=True)
class Variable:
    """One variable of the causal graph, a parent of the image.

    Arguments:
        name: The name of its column in the attributes.
        kind: `continuous`, or `categorical` with the classes 0, 1, ..., `classes` - 1.
        unit: The physical unit, such as `px` or `grey levels`.
        low: The value that networks receive as -1 (continuous only).
        high: The value that networks receive as +1 (continuous only).
        classes: The number of classes (categorical only).
        names: The classes in words, in order, such as `("no", "yes")`; empty if they are only numbered.
    """

    name: str
    kind: Literal["continuous", "categorical"]
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    classes: int = 0
    names: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """The number of columns of this variable in :func:`counterfactory.data.dataset.encode_parents`."""
        return self.classes if self.kind == "categorical" else 1

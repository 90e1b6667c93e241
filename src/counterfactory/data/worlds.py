"""Simulated worlds by the name of their data set: where true counterfactuals are known.

A world is a module with these functions; which one a data set has is written here and nowhere else.

- `counterfactual_parents(attributes, do)`: the true parents after an intervention, a dict of float64 (N,), from the
  factual attributes (a table or a dict of columns) and a dict of values, (N,), NaN where nothing is done.
- `render_counterfactual(data, attributes, parents, threads=1)`: the true images, uint8 (N, C, H, W), of the rows
  `attributes` of a split of the data set in the folder `data`, at other parents, and which of them mean anything.
- `measure(images, threads=1)`: a table of the parents that the pixels of uint8 images (N, C, H, W) show, and maybe of
  more.
"""

from types import ModuleType

__all__ = ["world"]


def world(name: str) -> ModuleType | None:
    """Returns the world of the data set called `name`, or None if it is not simulated."""
    if name == "morphomnist":
        from . import morphomnist

        return morphomnist
    return None

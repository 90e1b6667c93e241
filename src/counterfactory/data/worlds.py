"""Simulated worlds by the name of their data set: where true counterfactuals are known.

The data set called `x` is the module `counterfactory.data.x`; it is a world if it has these functions.

- `counterfactual_parents(attributes, do)`: the true parents after an intervention, a dict of float64 (N,), from the
  factual attributes (a table or a dict of columns) and a dict of values, (N,), NaN where nothing is done.
- `render_counterfactual(data, attributes, parents, threads=1)`: the true images, uint8 (N, C, H, W), of the rows
  `attributes` of a split of the data set in the folder `data`, at other parents, and which of them mean anything.
- `measure(images, threads=1)`: a table of the parents that the pixels of uint8 images (N, C, H, W) show, and maybe of
  more; NaN where nothing of a quantity is there to measure.

It may have a `BLANK`, a dict: what a quantity counts as where nothing of it is there. Where it does not say, such an
image has no score.

A world is imported by its name, so the code hash of a step that asks one does not see it: who plans the step adds it.
"""

from importlib import import_module
from types import ModuleType

__all__ = ["FUNCTIONS", "world"]

FUNCTIONS = ("counterfactual_parents", "render_counterfactual", "measure")


def world(name: str) -> ModuleType | None:
    """Returns the world of the data set called `name`, or None if it is not simulated."""
    full = f"{__package__}.{name}"
    try:
        module = import_module(full)
    except ModuleNotFoundError as error:
        if error.name != full:
            raise
        return None
    return module if all(hasattr(module, function) for function in FUNCTIONS) else None

"""Looks up the simulated world of a data set, where true counterfactuals are known.

The data set `x` is the module `counterfactory.data.x`. Every data set has the function

- `synthesise(settings, confounded, digits, out, threads=1)`, which writes the four splits and `dataset.json` in the
  folder `out` from the section `data` of the configuration.

It is a simulated world if it also has the functions

- `counterfactual_parents(attributes, do)`: the true parents after an intervention, a dict of float64 (N,), from the
  factual attributes (a table or a dict of columns) and a dict of values, (N,), NaN where a variable is not set;
- `render_counterfactual(data, attributes, parents, threads=1)`: the true images, uint8 (N, C, H, W), of the rows
  `attributes` of a split of the data set in the folder `data`, at other parents, and for each row whether the image is
  determined, bool (N,);
- `measure(images, threads=1)`: a table of the quantities measured in the pixels of uint8 images (N, C, H, W), NaN
  where a quantity cannot be measured.

A world may have `log_density(**parents)`, the log density of the true process in nats, one column per variable, and a
dict `BLANK`: the value of a quantity for an image that does not show it. Without a value such an image has no score.
It may have a tuple `UNDETERMINED` of the variables whose setting leaves the true image undetermined (by default all
categorical ones); :func:`undetermined` returns it.

A world is imported by its name at run time, so its code is not part of the static imports of a step; the workflow adds
it to the code hash of the steps that use this module.
"""

from types import ModuleType
from typing import TYPE_CHECKING

from ..core.plugins import imported
from .registry import module_of

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["FUNCTIONS", "undetermined", "world"]

FUNCTIONS = ("counterfactual_parents", "render_counterfactual", "measure")


def world(name: str) -> ModuleType | None:
    """Returns the world of the data set called `name`, or None if the data set is not simulated."""
    own = module_of(name)
    try:
        module = imported(own)
    except ModuleNotFoundError as error:
        if error.name not in (own, f"counterfactory.{own}"):
            raise
        return None
    return module if all(hasattr(module, function) for function in FUNCTIONS) else None


def undetermined(dataset: "Dataset") -> tuple[str, ...]:
    """Returns the variables of a simulated data set whose setting leaves the true image undetermined, in order.

    An image whose variable is set to its factual value counts as undetermined too: otherwise the scores of the true
    images would be those of such questions only.
    """
    declared = getattr(world(dataset.name), "UNDETERMINED", None)
    return tuple(
        variable.name
        for variable in dataset.variables
        if (variable.kind == "categorical" if declared is None else variable.name in declared)
    )

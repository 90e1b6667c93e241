"""The methods: each answers questions, one file a method.

A method is a module `methods/<name>.py` with one function,

    load(seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer

which reads what the method needs (trained networks, the world) and returns a function from a batch of
questions to its answers. :mod:`counterfactory.methods.run` drives that function; methods know neither questions'
files nor scores. Modules are imported when asked for, so that one method's libraries are no other's burden.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError

if TYPE_CHECKING:  # names of methods are asked where numpy would be a burden
    import numpy as np

__all__ = ["Answer", "Batch", "Columns", "load_method"]


@dataclass(frozen=True)
class Batch:
    r"""Some questions of one aligned batch, at one step of each.

    Question q of a suite always sits in slot q mod `size` of batch :math:`\lfloor q / \text{size} \rfloor`,
    but only the slots that are asked for are here. A network whose arithmetic depends on the shape of its
    input, or on the place in it, is to run on :meth:`align` of its inputs and to keep :meth:`pick` of its
    outputs: then the bytes of an answer do not depend on which other questions are asked along with it.

    Arguments:
        images: The images to start from, uint8 with shape :math:`(B, C, H, W)`.
        parents: The parents to start from, in physical units, each float64 with shape :math:`(B,)`.
        do: For every variable the value it is set to, float64 with shape :math:`(B,)`, NaN where it is left
            alone.
        seeds: The seed of each question, int64 with shape :math:`(B,)`, the same at every step of the
            question.
        rows: The row of each question's image in the test split, int64 with shape :math:`(B,)`.
        slots: The slot of each question in the aligned batch, int64 with shape :math:`(B,)`, ascending.
        size: The number of slots in the aligned batch.
        step: How many actions of these questions have been applied before.
        attribute: In the suite `flip`, the name of the attribute to be turned over, with shape :math:`(B,)`.
        label: In the suite `flip`, the factual side (0 or 1) or class, int64 with shape :math:`(B,)`.
        target: In the suite `flip`, the side or class asked for, int64 with shape :math:`(B,)`.
    """

    images: "np.ndarray"
    parents: dict[str, "np.ndarray"]
    do: dict[str, "np.ndarray"]
    seeds: "np.ndarray"
    rows: "np.ndarray"
    slots: "np.ndarray"
    size: int
    step: int
    attribute: "np.ndarray | None" = None
    label: "np.ndarray | None" = None
    target: "np.ndarray | None" = None

    def __len__(self) -> int:
        return len(self.slots)

    def align(self, values: "np.ndarray") -> "np.ndarray":
        """Puts each question's values in its slot.

        Arguments:
            values: Values with shape :math:`(B, *)`.

        Returns:
            Values with shape `(size, *)`. Empty slots repeat the first question's: a network can take those.
        """
        import numpy as np

        source = np.zeros(self.size, dtype=np.int64)
        source[self.slots] = np.arange(len(self))
        return np.asarray(values)[source]

    def pick(self, values: Any) -> Any:
        """Takes each question's values, with shape :math:`(B, *)`, from its slot in values `(size, *)`."""
        return values[self.slots]


Columns = dict[str, "np.ndarray"]

Answer = Callable[[Batch], tuple["np.ndarray", Columns] | tuple["np.ndarray", Columns, Columns]]
"""From a batch to the images after its step, uint8 with shape :math:`(B, C, H, W)`, and the method's own
parents after it, each with shape :math:`(B,)` in physical units. What a method cannot answer gets NaN for a
parent; its image is not looked at then, and later steps are not asked. An answer may carry the attribute
`network_calls`: how many times a network is evaluated for one image and one step (a mean, where that varies).

A method that has more to say returns it as a third element: columns with shape :math:`(B,)`, whose names and types
its attribute `columns` lists (a dict from names to `bool` or `float`), kept beside the answers. Two of them have a
meaning here: `answered` takes the place of the rule about NaN, for methods that have no parents of their own, and
`network_calls` that of the attribute.
"""


def load_method(
    name: str,
    seed: int,
    data: Path | str,
    models: Path | str,
    settings: Any,
    device: str = "cpu",
    threads: int = 1,
) -> Answer:
    """Loads the method `name`, ready to answer.

    Arguments:
        name: The name of its module in :mod:`counterfactory.methods`.
        seed: The training seed of its networks.
        data: The data set's folder.
        models: The folder of the data set's trained models.
        settings: The settings of the section `answers`.
        device: Where its networks run.
        threads: The number of threads its networks run on.

    Raises:
        UserError: If there is no such method, or something it needs is missing.
    """
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        known = [info.name for info in iter_modules(__path__)]
        near = get_close_matches(name, known, n=1, cutoff=0.0)
        raise UserError(f"methods: {name}: no such method; the nearest is {', '.join(near)}") from None
    if not hasattr(module, "load"):
        raise UserError(f"methods: {name}: not a method: methods/{name}.py has no function load")
    # Set here rather than in each method, but without importing torch for the methods that do not use it.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return module.load(seed=seed, data=Path(data), models=Path(models), settings=settings, device=device)

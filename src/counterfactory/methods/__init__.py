"""The methods: each one answers questions about counterfactual images, one module per method.

A method is a module `methods/<name>.py` with one function,

.. code-block:: python

    def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer: ...

and one line in :data:`counterfactory.methods.registry.METHODS`. `load` reads the trained models and returns an
:class:`Answer`, the function from a batch of questions to answers. :mod:`counterfactory.methods.run` calls it for every
step of every question. A method does not read the table of questions and does not depend on the metrics. Modules are
imported when they are loaded, so that the dependencies of one method are not required by another.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from ..core.names import unknown_name
from ..core.plugins import imported
from .registry import METHODS, module_of

if TYPE_CHECKING:  # the registry in this package is read where importing numpy would be too slow
    import numpy as np

__all__ = ["Answer", "Batch", "Columns", "Respond", "check_method", "load_method"]


@dataclass(frozen=True)
class Batch:
    r"""Questions of one aligned batch, all at the same step.

    Question q of a suite always has slot q mod `size` of batch :math:`\lfloor q / \text{size} \rfloor`. A batch holds
    only the slots that are to be answered. The output of a network can depend on the shape of its input and on the
    position in the batch. Such a network must run on the output of :meth:`align`, and its outputs must be selected with
    :meth:`pick`. The bytes of an answer then do not depend on the other questions in the batch.

    Arguments:
        images: The images before this step, uint8 with shape :math:`(B, C, H, W)`.
        parents: The parents before this step, in physical units, each float64 with shape :math:`(B,)`.
        do: For each variable the value it is set to, float64 with shape :math:`(B,)`; NaN where it is not set.
        seeds: The seed of each question, int64 with shape :math:`(B,)`; the same at every step of the question.
        rows: The row of each question's image in the test split, int64 with shape :math:`(B,)`.
        slots: The slot of each question in the aligned batch, int64 with shape :math:`(B,)`, ascending.
        size: The number of slots of the aligned batch.
        step: The number of actions already applied to these questions.
        attribute: In the suite `flip`, the name of the attribute to flip, with shape :math:`(B,)`.
        label: In the suite `flip`, the factual value (0 or 1) or class, int64 with shape :math:`(B,)`.
        target: In the suite `flip`, the target value (0 or 1) or class, int64 with shape :math:`(B,)`.
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
        """Places the values of each question in its slot.

        Arguments:
            values: Values with shape :math:`(B, *)`.

        Returns:
            Values with shape `(size, *)`. Empty slots contain the values of the first question, which are valid
            network inputs.
        """
        import numpy as np

        source = np.zeros(self.size, dtype=np.int64)
        source[self.slots] = np.arange(len(self))
        return np.asarray(values)[source]

    def pick(self, values: Any) -> Any:
        """Returns the values of each question, with shape :math:`(B, *)`, from aligned values `(size, *)`."""
        return values[self.slots]


Columns = dict[str, "np.ndarray"]

Respond = Callable[[Batch], tuple["np.ndarray", Columns] | tuple["np.ndarray", Columns, Columns]]


@dataclass(frozen=True)
class Answer:
    """A loaded method: the function that answers a batch, and what is known about it in advance.

    The function returns the images after the step, uint8 with shape :math:`(B, C, H, W)`, and the method's own parents
    after the step, each with shape :math:`(B,)` in physical units. If a parent is NaN the question counts as not
    answered: its image is ignored and its later steps are skipped.

    A method with further outputs returns them as a third element, columns with shape :math:`(B,)` that are saved with
    the answers. Two column names have a fixed meaning: `answered` replaces the NaN rule, for methods without parents of
    their own, and `network_calls` replaces the field of that name.

    Arguments:
        respond: The function.
        network_calls: The number of network evaluations per image and step, a mean where it varies.
        columns: The names of the columns of the third element, each with its type, `bool` or `float`.
    """

    respond: Respond
    network_calls: float | None = None
    columns: Mapping[str, type] = field(default_factory=dict)

    def __call__(self, batch: Batch) -> tuple["np.ndarray", Columns] | tuple["np.ndarray", Columns, Columns]:
        """Answers a batch."""
        return self.respond(batch)


def check_method(name: str) -> None:
    """Checks that a method is in :data:`counterfactory.methods.registry.METHODS`.

    Raises:
        UserError: If it is not; the message contains the nearest name.
    """
    if name not in METHODS:
        raise unknown_name(f"methods: {name}", "no such method", METHODS)


def load_method(
    name: str,
    seed: int,
    data: Path | str,
    models: Path | str,
    settings: Any,
    device: str = "cpu",
    threads: int = 1,
) -> Answer:
    """Loads a method.

    Arguments:
        name: The method's name in :data:`counterfactory.methods.registry.METHODS`.
        seed: The training seed of its networks.
        data: The folder of the data set.
        models: The folder of the trained models of the data set.
        settings: The section `answers` of the configuration.
        device: The device of its networks, `cpu` or `cuda`.
        threads: The number of CPU threads.

    Returns:
        The loaded method.

    Raises:
        UserError: If there is no such method, or a model or file that it requires is missing.
    """
    check_method(name)
    module = imported(module_of(name))
    if not hasattr(module, "load"):
        raise UserError(f"methods: {name}: {module_of(name)} has no function load; define it there")
    # Set here once for all methods; torch is not imported for methods that do not use it.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return module.load(
        name=name, seed=seed, data=Path(data), models=Path(models), settings=settings, device=device
    )

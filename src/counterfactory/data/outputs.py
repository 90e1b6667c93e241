"""Lists the outputs of the classifier and the oracle.

There are two kinds of outputs:

- binary outputs, each with one logit: the binary attributes of the configuration (a quantity above a threshold), then
  the variables with two classes under their own name, then the labels with two classes, which are no parents;
- categorical outputs, each with a softmax: the variables with more than two classes, then such labels.

A variable or label with two classes is a binary attribute with the threshold 1/2. The checks of the configuration and
the training both use :func:`outputs_of`, so that a question that passes the checks can be answered. This module imports
neither numpy nor torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .variable import Variable

__all__ = ["Outputs", "Threshold", "outputs_of"]


@dataclass(frozen=True)
class Threshold:
    """A binary attribute: an image has it if the quantity `of` is above `above`, in the unit of the quantity."""

    of: str
    above: float


@dataclass(frozen=True)
class Outputs:
    """What a classifier predicts.

    Arguments:
        binary: The quantity `of` and the threshold `above` of each binary output, in the order of the logits.
        categorical: The variables and labels with more than two classes, in the order of their logits, which follow
            those of the binary outputs.
    """

    binary: Mapping[str, Any]
    categorical: tuple[Variable, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """The number of values of each output, in order: 2 for a binary one."""
        return dict.fromkeys(self.binary, 2) | {
            variable.name: variable.classes for variable in self.categorical
        }

    def quantity(self, name: str) -> str:
        """Returns the quantity that decides an output: that of its threshold, or the variable itself."""
        return str(self.binary[name].of) if name in self.binary else name


def outputs_of(
    attributes: Mapping[str, Any], variables: Iterable[Variable], labels: Iterable[Variable] = ()
) -> Outputs:
    """Returns what the classifier and the oracle predict.

    Arguments:
        attributes: The section `attributes` of the configuration: `of` and `above` by name; None: left out.
        variables: The parents of the image.
        labels: Annotated columns of the attributes that are no parents.
    """
    annotated = (*variables, *labels)
    binary = {name: one for name, one in attributes.items() if one is not None}
    binary |= {one.name: Threshold(one.name, 0.5) for one in annotated if one.classes == 2}
    return Outputs(binary, tuple(one for one in annotated if one.classes > 2))

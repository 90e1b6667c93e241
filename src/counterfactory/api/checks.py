"""Checks the values of a question, turns a flip into an action, and finds values outside of the training data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import UserError
from ..core.names import shortened, unknown_name
from ..data.dataset import Dataset, Variable
from ..data.wording import value_words
from .answer import Parent

__all__ = ["Flips", "actions_of", "flip_actions", "flips_of", "outside_values", "target_of", "values_of"]

Factual = Sequence[Mapping[str, Parent]]
Actions = list[list[dict[str, float | int]]]
"""For each image its actions, each an object from variables to values."""


@dataclass(frozen=True)
class Flips:
    """The columns of a flip in a table of questions, one value per image.

    Arguments:
        attribute: The attribute or categorical variable.
        label: The factual sides or classes.
        target: The required sides or classes.
    """

    attribute: str
    label: list[int]
    target: list[int]


def values_of(
    dataset: Dataset, values: Mapping[str, Any] | None, count: int, what: str
) -> dict[str, np.ndarray]:
    """Returns the values of variables, float64 (N,) each.

    Arguments:
        dataset: The data set.
        values: For each variable one value, or one per image.
        count: The number N of images.
        what: The argument, for messages: `do` or `given`.

    Raises:
        UserError: If a variable is unknown, or a value is not a number, not a class or of another number of images.
    """
    if values is not None and not isinstance(values, Mapping):
        raise UserError(f"{what}: {values!r}; give variables and values, such as {{{dataset.names[0]!r}: 1}}")
    found = {}
    for name, value in (values or {}).items():
        if name not in dataset.names:
            raise unknown_name(name, f"no variable of {dataset.name}", dataset.names)
        try:
            array = np.broadcast_to(np.asarray(value, dtype=np.float64), (count,))
        except (TypeError, ValueError):
            raise UserError(
                f"{what}: {name}={value!r}; give one number, or one for each of {count} images"
            ) from None
        _check(dataset.variable(name), array, what)
        found[name] = array
    return found


def _check(variable: Variable, values: np.ndarray, what: str) -> None:
    name = variable.name
    if not np.isfinite(values).all():
        raise UserError(
            f"{what}: {name} is not a finite number; give its value in {variable.unit or 'its unit'}"
        )
    if variable.kind == "categorical":
        wrong = [value for value in values if value != int(value) or not 0 <= value < variable.classes]
        if wrong:
            raise UserError(f"{what}: {name}={wrong[0]:g}; choose a class of 0 to {variable.classes - 1}")


def actions_of(dataset: Dataset, do: Any, count: int) -> Actions:
    """Returns the actions of each image.

    Arguments:
        dataset: The data set.
        do: The values that variables are set to, or a list of such actions.
        count: The number of images.

    Raises:
        UserError: As :func:`values_of`.
    """
    several = isinstance(do, Sequence) and not isinstance(do, str | bytes)
    steps = [values_of(dataset, step, count, "do") for step in (do if several else [do])]
    classes = {variable.name: variable.classes for variable in dataset.variables}
    return [
        [
            {name: int(values[row]) if classes[name] else float(values[row]) for name, values in step.items()}
            for step in steps
        ]
        for row in range(count)
    ]


def target_of(
    dataset: Dataset, flip: str | Mapping[str, int], attributes: Mapping[str, Mapping[str, Any]]
) -> tuple[str, int | None]:
    """Returns what is flipped, and the required side or class; None: the other side.

    Arguments:
        dataset: The data set.
        flip: A binary attribute, or the target: `{"digit": 7}` for a class, `{"thick": 1}` for a side.
        attributes: `of` and `above` of each binary attribute.

    Raises:
        UserError: If the attribute is unknown, or the flip of a variable with several classes has no valid target.
    """
    if not isinstance(flip, str | Mapping):
        raise UserError(f"flip: {flip!r}; give one attribute, such as {next(iter(attributes), 'thick')!r}")
    name, wanted = (flip, None) if isinstance(flip, str) else next(iter(dict(flip).items()), ("", None))
    if not isinstance(flip, str) and len(flip) != 1:
        raise UserError(
            f"flip: {dict(flip)}; give one attribute, such as {next(iter(attributes), 'thick')!r}"
        )
    categorical = _categorical(dataset, attributes)
    if name in categorical:
        if wanted is None:
            raise UserError(f"flip: {name} has several classes; name the target, such as {{{name!r}: 7}}")
        try:
            _check(categorical[name], np.array([float(wanted)]), "flip")
        except (TypeError, ValueError):
            raise UserError(f"flip: {name}={wanted!r}; name a class") from None
        return name, int(wanted)
    if name not in attributes:
        raise unknown_name(name, "no attribute to flip", [*attributes, *categorical])
    if wanted is not None and wanted not in (0, 1):
        raise UserError(f"flip: {name}: {shortened(wanted)} is no side of a binary attribute; give 0 or 1")
    return name, None if wanted is None else int(wanted)


def _categorical(dataset: Dataset, attributes: Mapping[str, Any]) -> dict[str, Variable]:
    """Returns the variables whose flips are to a class."""
    return {
        variable.name: variable
        for variable in dataset.variables
        if variable.classes > 2 or (variable.classes and variable.name not in attributes)
    }


def flips_of(
    dataset: Dataset,
    flip: str | Mapping[str, int],
    attributes: Mapping[str, Mapping[str, Any]],
    factual: Factual,
) -> Flips:
    """Returns the labels and targets of a flip.

    Arguments:
        dataset: The data set.
        flip: A binary attribute, or the target: `{"digit": 7}` for a class, `{"thick": 1}` for a side.
        attributes: `of` and `above` of each binary attribute.
        factual: The factual parents of each image.

    Raises:
        UserError: As :func:`target_of`.
    """
    name, wanted = target_of(dataset, flip, attributes)
    if name in _categorical(dataset, attributes):
        assert wanted is not None
        return Flips(name, [int(one[name].value) for one in factual], [wanted] * len(factual))
    of, above = attributes[name]["of"], attributes[name]["above"]
    # The side of a quantity that is no variable is left to the classifier, whose prediction an explainer flips.
    label = [int(one[of].value > above) if of in one else 0 for one in factual]
    return Flips(name, label, [1 - side if wanted is None else wanted for side in label])


def flip_actions(flips: Flips, training: Mapping[str, Any]) -> list[dict[str, float]]:
    """Returns the action of each image that is equivalent to a flip, for a causal method.

    Raises:
        UserError: If the attribute is of a quantity that is no variable, or no training image is on the other side.
    """
    if flips.attribute in training["variables"]:
        return [{flips.attribute: target} for target in flips.target]
    found = training["flips"].get(flips.attribute)
    if found is None:
        raise UserError(
            f"flip: {flips.attribute} is of no variable that a causal method can set; use an explainer"
        )
    if any(found[str(target)] is None for target in flips.target):
        raise UserError(f"flip: no training image is on the other side of {flips.attribute}; give do instead")
    return [{found["of"]: found[str(target)]} for target in flips.target]


def outside_values(
    dataset: Dataset,
    training: Mapping[str, Any],
    factual: Mapping[str, Parent],
    steps: Sequence[Mapping[str, float]],
) -> list[str]:
    """Returns a line for each value of a question that the training data do not contain, at the printed precision.

    Arguments:
        dataset: The data set.
        training: The ranges of the training data.
        factual: The factual parents of one image.
        steps: Its actions.
    """
    named = [(f"{name} ({parent.source})", name, parent.value) for name, parent in factual.items()]
    named += [(f"do({name})", name, value) for step in steps for name, value in step.items()]
    lines = []
    for label, name, value in named:
        variable, known = dataset.variable(name), training["variables"].get(name, {})
        unit = f" {variable.unit}" if variable.unit else ""
        if "classes" in known:
            if int(value) not in known["classes"]:
                lines.append(
                    f"{label} = {value_words(variable, value)} is outside of the training data, which have no image "
                    "of this class"
                )
        elif known:
            shown, low, high = (f"{one:.4g}" for one in (value, known["low"], known["high"]))
            if not float(low) <= float(shown) <= float(high):
                lines.append(
                    f"{label} = {shown}{unit} is outside of the training data"
                    f" ({low} to {high}{unit}); the answer extrapolates"
                )
    return lines

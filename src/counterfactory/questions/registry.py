"""The suites of questions, the names of interventions, and the protocols that choose their values.

The configuration checks names against these tables, the workflow plans from them, and the command line looks up the
module that writes the questions of a suite. This module imports nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "EQUALS",
    "FIXED",
    "JOINED",
    "PROTOCOLS",
    "SUITES",
    "Suite",
    "fixed_name",
    "joint_name",
    "variables_set",
]

JOINED = "+"
"""Joins the names of variables that are set together: `thickness+intensity`."""

EQUALS = "="
"""Separates the variable and the value in the name of an intervention on a fixed value: `thickness=4`."""

FIXED = "fixed"
"""The protocol of interventions on a fixed value."""


@dataclass(frozen=True)
class Suite:
    """One suite of questions.

    Arguments:
        title: Its title in tables, help texts and documentation.
        module: The module of :mod:`counterfactory` whose `write_questions(suite, settings, data, out, attributes)`
            writes the table.
        attributes: Whether its questions depend on the section `attributes` of the configuration.
    """

    title: str
    module: str
    attributes: bool = False


SUITES: dict[str, Suite] = {
    "do": Suite("Intervention on one variable", "questions.interventions"),
    "null": Suite("Null intervention (composition)", "questions.interventions"),
    "reverse": Suite("Intervention and its reversal (reversibility)", "questions.interventions"),
    "flip": Suite("Flip of one attribute (counterfactual explanation)", "questions.flip", attributes=True),
    "sweep": Suite("Sweep of one variable over its range", "questions.sweep"),
}

PROTOCOLS = {
    "marginal": "values drawn from the marginal of the train split",
    "other_bin": "values forced into another bin",
}
"""The protocols of the suite `do` and their titles."""


def joint_name(variables: str | Sequence[str]) -> str:
    """Returns the name of an intervention that sets one variable, or several together, to values that are drawn."""
    return variables if isinstance(variables, str) else JOINED.join(variables)


def fixed_name(variable: str, value: float) -> str:
    """Returns the name of an intervention that sets a variable to one value."""
    text = f"{value:g}"
    return f"{variable}{EQUALS}{text if float(text) == value else value}"


def variables_set(intervention: str) -> tuple[str, ...]:
    """Returns the variables that an intervention sets, by its name; `random` and `none` are returned as they are."""
    return tuple(intervention.partition(EQUALS)[0].split(JOINED))

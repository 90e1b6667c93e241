"""The suites of questions and the protocols that draw the values of interventions: names, titles and modules.

The configuration checks names against these tables, the workflow plans from them, and the command line looks up the
module that writes the questions of a suite. This module imports nothing.
"""

from dataclasses import dataclass

__all__ = ["PROTOCOLS", "SUITES", "Suite"]


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

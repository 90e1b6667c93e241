"""The section `questions`: the suites of questions that every method is asked, and how many each makes."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ..core.errors import UserError
from ..data.registry import DATASETS
from ..methods.registry import SUITES
from .sections import Count, Section, Seed

__all__ = [
    "DoQuestions",
    "FlipQuestions",
    "NullQuestions",
    "QuestionsSettings",
    "ReverseQuestions",
    "SweepQuestions",
]

# Those of every data set; whether they are of the chosen one is a matter of how values fit together.
Variable = Literal[*dict.fromkeys(name for entry in DATASETS.values() for name in entry.variables)]
Intervention = Literal[Variable, "random"]


class DoQuestions(Section):
    """The suite `do`: parents are set to a value."""

    images: int = Field(
        1_000, ge=0, description="Test images asked about, for each intervention and protocol."
    )
    interventions: list[Intervention] = Field(
        ["thickness", "intensity", "digit", "random"],
        description="What is set; random: each parent with probability one half, at least one.",
    )
    protocols: list[Literal["marginal", "other_bin"]] = Field(
        ["marginal", "other_bin"],
        description="How the value is drawn; marginal: from the train split; other_bin: from the test split's unique "
        "values, forced into another one of nine bins.",
    )

    def count(self, variables: Mapping[str, int]) -> int:
        """Returns the number of questions, given the variables and their numbers of classes."""
        return self.images * len(self.interventions) * len(self.protocols)


class NullQuestions(Section):
    """The suite `null`: nothing is set; the image should come back."""

    images: int = Field(300, ge=0, description="Test images asked about, for each number of cycles.")
    cycles: list[Count] = Field([1, 10], description="How many times the empty intervention is applied.")

    def count(self, variables: Mapping[str, int]) -> int:
        """Returns the number of questions, given the variables and their numbers of classes."""
        return self.images * len(self.cycles)


class ReverseQuestions(Section):
    """The suite `reverse`: a parent is set to a value and back; the image should come back."""

    images: int = Field(
        100, ge=0, description="Test images asked about, for each intervention and number of cycles."
    )
    interventions: list[Variable] = Field(
        ["thickness", "intensity", "digit"], description="What is set, and set back."
    )
    cycles: list[Count] = Field([1, 10], description="How many times there and back.")

    def count(self, variables: Mapping[str, int]) -> int:
        """Returns the number of questions, given the variables and their numbers of classes."""
        return self.images * len(self.interventions) * len(self.cycles)


class SweepQuestions(Section):
    """The suite `sweep`: a variable is set to one value after another, for the figures; it is not scored."""

    images: int = Field(4, ge=0, description="Test images shown, for each variable; 0: no such figures.")
    values: Annotated[int, Field(ge=2, le=20)] = Field(
        7, description="Values that a continuous variable is set to; a categorical one is set to every class."
    )

    def count(self, variables: Mapping[str, int]) -> int:
        """Returns the number of questions, given the variables and their numbers of classes."""
        return self.images * sum(classes or self.values for classes in variables.values())


class FlipQuestions(Section):
    """The suite `flip`: a binary attribute is turned over, or another class asked for; what explainers answer."""

    images: int = Field(100, ge=0, description="Test images asked about, for each attribute.")
    attributes: list[str] = Field(
        ["thick", "bright"],
        description="Attributes (see attributes) whose quantity is a parent, so that causal methods can set it.",
    )
    digit: bool = Field(True, description="Whether another digit is asked for too.")
    targets: dict[int, int] = Field(
        {}, description="The digit to ask for, by factual digit, such as {3: 8}; of others any other digit."
    )
    repeats: Count = Field(
        2, description="How many times the first images are asked, each with its own seed."
    )
    repeat_images: int = Field(20, ge=0, description="How many images these are; all others are asked once.")

    def count(self, variables: Mapping[str, int], images: int | None = None) -> int:
        """Returns the number of questions about the first `images` images; None: all."""
        images = self.images if images is None else min(images, self.images)
        asked = images + (self.repeats - 1) * min(images, self.repeat_images)
        return asked * (len(self.attributes) + self.digit)


class QuestionsSettings(Section):
    """What every method is asked."""

    seed: Seed = Field(0, description="The seed of images, values and of every question's own seed.")
    do: DoQuestions = Field(
        DoQuestions(), description="Interventions, scored by effectiveness and the truth."
    )
    null: NullQuestions = Field(NullQuestions(), description="Null interventions, scored by composition.")
    reverse: ReverseQuestions = Field(
        ReverseQuestions(), description="There and back, scored by reversibility."
    )
    flip: FlipQuestions = Field(
        FlipQuestions(), description="Attributes turned over, scored as explanations."
    )
    sweep: SweepQuestions = Field(SweepQuestions(), description="One value after another, for the figures.")

    def count(self, suite: str, dataset: str = "morphomnist") -> int:
        """Returns the number of questions of `suite`, which the workflow cuts into chunks."""
        if suite not in SUITES:
            raise UserError(f"questions.{suite}: no such suite; choose one of {', '.join(SUITES)}")
        return getattr(self, suite).count(DATASETS[dataset].variables)

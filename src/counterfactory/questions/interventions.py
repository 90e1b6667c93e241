r"""Writes the questions of the suites `do`, `null` and `reverse`: the image, the action and its value.

- `do`: one variable is set, or several together (`thickness+intensity`), or, with the intervention `random`, each with
  probability 1/2 and at least one. An intervention such as `thickness=4` sets the same value in all questions. By the
  protocol `marginal` the value is drawn from the marginal of the train split (De Sousa Ribeiro et al., 2023). By
  `other_bin` it is drawn from the unique values of the test split in a different one of 9 bins of equal width, or from
  another class (Melistas et al., 2024); :mod:`counterfactory.questions.bins` has the bins of their code.
- `null`: the empty intervention, m times (composition: Monteiro et al., 2023).
- `reverse`: a variable is set to a value from the marginal of the train split and back to its factual value, m times
  with a new value each time (reversibility: Monteiro et al., 2023).

Each question is drawn from its own random stream, named by the seed, suite, intervention, protocol and image. More
images therefore change no existing question, all suites use the same images, and the first m cycles of a longer
question are those of the question with m cycles.

References:
    | High Fidelity Image Counterfactuals with Probabilistic Causal Models (De Sousa Ribeiro et al., 2023)
    | https://arxiv.org/abs/2306.15764

    | Benchmarking Counterfactual Image Generation (Melistas et al., 2024)
    | https://arxiv.org/abs/2403.20287

    | Measuring axiomatic soundness of counterfactual image models (Monteiro et al., 2023)
    | https://arxiv.org/abs/2303.01274
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.noise import derive_seed, generator
from ..data.dataset import Dataset, Variable, load_dataset, load_split
from .bins import Bins
from .registry import EQUALS, FIXED, PROTOCOLS, fixed_name, joint_name, variables_set
from .table import Action, image_order, save_questions

if TYPE_CHECKING:
    from ..config.questions import QuestionsSettings

__all__ = ["write_questions"]

_SUITES = ("do", "null", "reverse")


def write_questions(
    suite: str,
    settings: "QuestionsSettings",
    data: Path | str,
    out: Path | str,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Writes the table of questions; its columns are those of :mod:`counterfactory.questions.table`.

    The rows are ordered by intervention, then protocol or number of cycles, in the order of the settings, then image.

    Arguments:
        suite: `do`, `null` or `reverse`.
        settings: The section `questions`.
        data: The folder of the data set.
        out: The parquet file.
        attributes: Not used.

    Raises:
        UserError: If the suite, an intervention or a protocol is unknown, a number of images or cycles is impossible,
            or a value has no other bin.
    """
    dataset = load_dataset(data)
    blocks = list(_blocks(suite, settings))
    _check(suite, dataset, blocks)
    train, test = load_split(data, "train").attributes, load_split(data, "test").attributes
    draw = _Draw(dataset, train, test, getattr(settings.do, "bins", "equal"))
    factual = {name: test[name].to_numpy() for name in dataset.names}
    images = getattr(settings, suite).images
    rows = image_order(suite, images, test, settings.seed)[:images]

    records = []
    for intervention, protocol, cycles in blocks:
        for row in rows.tolist():
            # The number of cycles is not part of the name of the stream: a longer question begins with a shorter one.
            seed = derive_seed(settings.seed, suite, intervention, protocol, row)
            now = {name: values[row].item() for name, values in factual.items()}
            steps = _steps(suite, intervention, protocol, cycles, now, draw, generator(seed, "steps"))
            records.append((row, intervention, protocol, cycles, seed, steps))

    names = ("index", "intervention", "protocol", "cycles", "seed", "steps")
    columns: dict[str, list[Any]] = {name: [record[i] for record in records] for i, name in enumerate(names)}
    actions = [steps[0] for steps in columns["steps"]] if suite == "do" else None
    save_questions(out, suite, dataset, test, columns, actions)


def _blocks(suite: str, settings: Any) -> Iterator[tuple[str, str, int]]:
    """Yields the (intervention, protocol, cycles) of each block of a suite."""
    if suite not in _SUITES:
        raise UserError(f"{suite}: not a suite of interventions; choose one of {', '.join(_SUITES)}")
    part = getattr(settings, suite)
    interventions = ["none"] if suite == "null" else [joint_name(one) for one in part.interventions]
    protocols = {"null": [""], "reverse": ["marginal"]}.get(suite) or part.protocols
    yield from product(interventions, protocols, [1] if suite == "do" else part.cycles)
    if suite == "do":
        for variable, values in part.values.items():
            yield from ((fixed_name(variable, value), FIXED, 1) for value in values)


def _check(suite: str, dataset: Dataset, blocks: Sequence[tuple[str, str, int]]) -> None:
    """Checks the blocks of a suite.

    Raises:
        UserError: If one is repeated, or an intervention, a protocol or a number of cycles is unknown.
    """
    if len(set(blocks)) < len(blocks):
        raise UserError(
            f"questions.{suite}: an intervention, protocol or number of cycles is listed twice; list it once"
        )
    named = {"null": ("none",), "do": (*dataset.names, "random"), "reverse": dataset.names}[suite]
    for intervention, protocol, cycles in blocks:
        parts = variables_set(intervention) if suite == "do" else (intervention,)
        if not set(parts) <= set(dataset.names) and intervention not in named:
            raise UserError(
                f"questions.{suite}.interventions: {intervention!r}; choose from {', '.join(named)}"
            )
        if protocol == FIXED:
            _check_value(dataset.variable(parts[0]), float(intervention.partition(EQUALS)[2]))
        elif suite == "do" and protocol not in PROTOCOLS:
            raise UserError(f"questions.{suite}.protocols: {protocol!r}; choose from {', '.join(PROTOCOLS)}")
        if cycles < 1:
            raise UserError(f"questions.{suite}.cycles: {cycles}; choose 1 or more")


def _check_value(variable: Variable, value: float) -> None:
    """Raises a UserError if a categorical variable has no such class."""
    if variable.classes and value not in range(variable.classes):
        raise UserError(
            f"questions.do.values.{variable.name}: {value:g}; choose a class of 0 to {variable.classes - 1}"
        )


class _Draw:
    """Draws values of variables by one of the protocols."""

    def __init__(
        self, dataset: Dataset, train: pd.DataFrame, test: pd.DataFrame, bins: str = "equal"
    ) -> None:
        self.dataset, self.bins = dataset, Bins(dataset, test, bins)
        self.train = {name: train[name].to_numpy() for name in dataset.names}
        self.unique = {name: np.unique(test[name].to_numpy()) for name in dataset.names}
        self.others: dict[tuple[str, int], np.ndarray] = {}

    def __call__(self, name: str, protocol: str, factual: float, rng: np.random.Generator) -> float | int:
        """Returns a value of the variable `name`, drawn with `rng`, whose factual value is `factual`."""
        pool = self.train[name] if protocol == "marginal" else self._other_bins(name, factual)
        value = pool[rng.integers(len(pool))].item()
        return int(value) if self.dataset.variable(name).kind == "categorical" else value

    def _other_bins(self, name: str, factual: float) -> np.ndarray:
        """Returns the unique values of the test split outside of the bin of the factual value."""
        key = name, int(self.bins(name, factual))
        if key not in self.others:
            unique = self.unique[name]
            self.others[key] = unique[self.bins(name, unique, drawn=True) != key[1]]
            if not len(self.others[key]):
                raise UserError(
                    f"questions: protocol other_bin: the test split has {name} in one bin only; enlarge it"
                )
        return self.others[key]


def _steps(
    suite: str,
    intervention: str,
    protocol: str,
    cycles: int,
    factual: Action,
    draw: _Draw,
    rng: np.random.Generator,
) -> list[Action]:
    """Returns the actions of one question, in order."""
    if suite == "null":
        return [{}] * cycles
    if protocol == FIXED:
        name, _, text = intervention.partition(EQUALS)
        value = float(text)
        return [{name: int(value) if draw.dataset.variable(name).kind == "categorical" else value}]
    if suite == "do":
        chosen = (
            list(variables_set(intervention)) if intervention != "random" else _subset(list(factual), rng)
        )
        return [{name: draw(name, protocol, factual[name], rng) for name in chosen}]
    back = {intervention: factual[intervention]}
    return [
        step
        for _ in range(cycles)
        for step in ({intervention: draw(intervention, protocol, factual[intervention], rng)}, back)
    ]


def _subset(names: list[str], rng: np.random.Generator) -> list[str]:
    """Draws a subset: each name with probability 1/2, given that at least one is drawn."""
    while True:
        drawn = rng.random(len(names)) < 0.5
        if drawn.any():
            return [name for name, here in zip(names, drawn, strict=True) if here]

r"""The questions: which image, which action, which value, one table that every method is asked alike.

Three suites:

- `do`: one variable is set, or each with probability 1/2 and at least one (`random`). The value is drawn from
  the train split's marginal (`marginal`: De Sousa Ribeiro et al., 2023), or from the test split's unique
  values in another one of 9 bins of equal width, for a categorical variable in another class (`other_bin`:
  Melistas et al., 2024).
- `null`: nothing is done, m times over (composition: Monteiro et al., 2023).
- `reverse`: a variable is set to a value drawn from the train split's marginal and set back to what it was, m
  times over with a new value each time (reversibility: Monteiro et al., 2023).

A question is drawn from a stream of its own, named by the seed, its suite, intervention, protocol and image.
So asking for more images changes no question that was asked before, every suite asks of the same images, and
the walk of m cycles is the start of the walk of m + 1.

References:
    | High Fidelity Image Counterfactuals with Probabilistic Causal Models (De Sousa Ribeiro et al., 2023)
    | https://arxiv.org/abs/2306.15764

    | Benchmarking Counterfactual Image Generation (Melistas et al., 2024)
    | https://arxiv.org/abs/2403.20287

    | Measuring axiomatic soundness of counterfactual image models (Monteiro et al., 2023)
    | https://arxiv.org/abs/2303.01274
"""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import write_table
from ..core.noise import derive_seed, generator
from ..data.dataset import Dataset, Variable, load_dataset, load_split
from ..data.worlds import world

__all__ = ["BINS", "PROTOCOLS", "SUITES", "ask", "bin_of", "true_parents"]

SUITES = ("do", "null", "reverse")
PROTOCOLS = ("marginal", "other_bin")
BINS = 9

Columns = dict[str, np.ndarray]
Action = dict[str, float | int]


def ask(suite: str, settings: Any, data: Path | str, out: Path | str) -> None:
    """Writes the table of questions of one suite, one row a question.

    The rows run through interventions, then protocols or cycles, in the settings' order, then images. The
    columns are `question` (0, 1, ...), `suite`, `index` (row of the test split), `intervention` (a variable,
    `random` or `none`), `protocol` (`marginal`, `other_bin` or empty), `cycles`, `seed`, `steps` (a JSON list
    of actions to be applied one after another, each an object from variables to values) and for every
    variable v of the data set `true_v`, its value in the end, in physical units: NaN where neither a
    simulated world nor the graph tells it.

    Arguments:
        suite: One of :data:`SUITES`.
        settings: The settings of the section `questions`.
        data: The data set's folder.
        out: The parquet file to write.

    Raises:
        UserError: If the suite, an intervention or a protocol is unknown, a number of images or cycles cannot
            be, or no other bin has a value.
    """
    dataset = load_dataset(data)
    blocks = list(_blocks(suite, settings))
    _check(suite, dataset, blocks)
    train, test = load_split(data, "train").attributes, load_split(data, "test").attributes
    draw = _Draw(dataset, train, test)
    factual = {name: test[name].to_numpy() for name in dataset.names}
    images = getattr(settings, suite).images
    if not 0 <= images <= len(test):
        raise UserError(
            f"questions.{suite}.images is {images}, but the test split has {len(test)} images; lower it"
        )
    # In a seeded order, because a published test split need not be in a random one (MNIST's is not).
    rows = generator(settings.seed, "images").permutation(len(test))[:images]

    records = []
    for intervention, protocol, cycles in blocks:
        for row in rows.tolist():
            # The number of cycles names no stream: a longer walk begins with the shorter one.
            seed = derive_seed(settings.seed, suite, intervention, protocol, row)
            now = {name: values[row].item() for name, values in factual.items()}
            steps = _steps(suite, intervention, protocol, cycles, now, draw, generator(seed, "steps"))
            records.append((row, intervention, protocol, cycles, seed, steps))

    table = pd.DataFrame(records, columns=["index", "intervention", "protocol", "cycles", "seed", "steps"])
    table.insert(0, "question", np.arange(len(table)))
    table.insert(1, "suite", suite)
    asked = test.iloc[table["index"]].reset_index(drop=True)
    if suite == "do":
        true = true_parents(dataset, asked, [steps[0] for steps in table["steps"]])
    else:
        true = {name: asked[name].to_numpy() for name in dataset.names}
    table["steps"] = table["steps"].map(json.dumps)
    for name in dataset.names:
        table[f"true_{name}"] = np.asarray(true[name], dtype=np.float64)
    write_table(out, table)


def bin_of(variable: Variable, values: np.ndarray | float) -> np.ndarray:
    """Returns the bin of each value: the class, or one of :data:`BINS` bins of equal width over [`low`,
    `high`].

    Values below `low` are in the first bin, values above `high` in the last.

    Arguments:
        variable: The variable.
        values: Values in physical units, with shape :math:`(*)`.
    """
    values = np.asarray(values)
    if variable.kind == "categorical":
        return values.astype(np.int64)
    scaled = (values - variable.low) / (variable.high - variable.low)
    return np.clip(np.floor(BINS * scaled), 0, BINS - 1).astype(np.int64)


def _blocks(suite: str, settings: Any) -> Iterator[tuple[str, str, int]]:
    """Yields the (intervention, protocol, cycles) of each block of a suite."""
    if suite not in SUITES:
        raise UserError(f"{suite}: not a suite; choose one of {', '.join(SUITES)}")
    part = getattr(settings, suite)
    interventions = ["none"] if suite == "null" else part.interventions
    protocols = {"null": [""], "reverse": ["marginal"]}.get(suite) or part.protocols
    yield from product(interventions, protocols, [1] if suite == "do" else part.cycles)


def _check(suite: str, dataset: Dataset, blocks: Sequence[tuple[str, str, int]]) -> None:
    """Refuses blocks that cannot be asked.

    Raises:
        UserError: If one is there twice, or an intervention, a protocol or a number of cycles is unknown.
    """
    if len(set(blocks)) < len(blocks):
        raise UserError(
            f"questions.{suite}: an intervention, protocol or number of cycles is named twice; name it once"
        )
    named = {"null": ("none",), "do": (*dataset.names, "random"), "reverse": dataset.names}[suite]
    for intervention, protocol, cycles in blocks:
        if intervention not in named:
            raise UserError(
                f"questions.{suite}.interventions: {intervention!r}; choose from {', '.join(named)}"
            )
        if suite == "do" and protocol not in PROTOCOLS:
            raise UserError(f"questions.{suite}.protocols: {protocol!r}; choose from {', '.join(PROTOCOLS)}")
        if cycles < 1:
            raise UserError(f"questions.{suite}.cycles: {cycles}; choose 1 or more")


class _Draw:
    """Draws values of variables by either protocol."""

    def __init__(self, dataset: Dataset, train: pd.DataFrame, test: pd.DataFrame) -> None:
        self.dataset = dataset
        self.train = {name: train[name].to_numpy() for name in dataset.names}
        self.unique = {name: np.unique(test[name].to_numpy()) for name in dataset.names}
        self.others: dict[tuple[str, int], np.ndarray] = {}

    def __call__(self, name: str, protocol: str, factual: float, rng: np.random.Generator) -> float | int:
        pool = self.train[name] if protocol == "marginal" else self._other_bins(name, factual)
        value = pool[rng.integers(len(pool))].item()
        return int(value) if self.dataset.variable(name).kind == "categorical" else value

    def _other_bins(self, name: str, factual: float) -> np.ndarray:
        variable = self.dataset.variable(name)
        key = name, int(bin_of(variable, factual))
        if key not in self.others:
            unique = self.unique[name]
            self.others[key] = unique[bin_of(variable, unique) != key[1]]
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
    if suite == "do":
        chosen = [intervention] if intervention != "random" else _subset(list(factual), rng)
        return [{name: draw(name, protocol, factual[name], rng) for name in chosen}]
    back = {intervention: factual[intervention]}
    return [
        step
        for _ in range(cycles)
        for step in ({intervention: draw(intervention, protocol, factual[intervention], rng)}, back)
    ]


def _subset(names: list[str], rng: np.random.Generator) -> list[str]:
    """Draws each name with probability 1/2, given that at least one is drawn."""
    while True:
        drawn = rng.random(len(names)) < 0.5
        if drawn.any():
            return [name for name, here in zip(names, drawn, strict=True) if here]


def true_parents(dataset: Dataset, factual: pd.DataFrame, actions: list[Action]) -> Columns:
    """Returns the parents after each action: by the simulated world, or as far as the graph alone tells them.

    Without a world, a variable that is set has its value, one that descends from none that is set keeps its
    own, and the others are NaN.
    """
    do = {
        name: np.array([action.get(name, np.nan) for action in actions], np.float64) for name in dataset.names
    }
    simulation = world(dataset.name) if dataset.simulated else None
    if simulation is not None:
        return simulation.counterfactual_parents(factual, do)
    graph = nx.DiGraph(dataset.edges)
    graph.add_nodes_from(dataset.names)
    true = {}
    for name in dataset.names:
        moved = np.zeros(len(factual), dtype=bool)
        for cause in nx.ancestors(graph, name):
            moved |= ~np.isnan(do[cause])
        kept = np.where(moved, np.nan, factual[name].to_numpy(np.float64))
        true[name] = np.where(np.isnan(do[name]), kept, do[name])
    return true

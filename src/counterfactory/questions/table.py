"""The table of questions of one suite: its columns, the images it refers to, and the true parents.

The columns are

- `question`: 0, 1, ...;
- `suite`;
- `index`: a row of the test split;
- `intervention`: a variable, an attribute, `random` or `none`;
- `protocol`: how the value was drawn, or empty;
- `cycles`: the number of cycles;
- `seed`: the seed of the question, from which a method derives all of its randomness;
- `steps`: a JSON list of actions that are applied one after another, each an object from variables to values;
- further columns of the suite;
- `true_<variable>`: the value of each variable at the end, in physical units, NaN where neither a simulated world nor
  the graph determines it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import write_table
from ..core.noise import generator
from ..data.dataset import Dataset
from ..data.graph import ancestors
from ..data.worlds import world

__all__ = ["Action", "image_order", "save_questions", "true_parents"]

Action = dict[str, float | int]
"""The values that variables are set to, by name; empty: nothing is set."""


def image_order(suite: str, images: int, test: pd.DataFrame, seed: int) -> np.ndarray:
    """Returns the rows of the test split in a random order that is a function of the seed.

    All suites use the same order, because a published test split may be sorted (MNIST's is).

    Arguments:
        suite: The suite, for the message.
        images: The number of images that the suite uses.
        test: The attributes of the test split.
        seed: The seed of the questions.

    Returns:
        All rows, int64 (N,).

    Raises:
        UserError: If the split has fewer images.
    """
    if not 0 <= images <= len(test):
        raise UserError(
            f"questions.{suite}.images is {images}, but the test split has {len(test)} images; lower it"
        )
    return generator(seed, "images").permutation(len(test))


def save_questions(
    out: Path | str,
    suite: str,
    dataset: Dataset,
    test: pd.DataFrame,
    columns: Mapping[str, Sequence[Any]],
    actions: Sequence[Action] | None,
) -> None:
    """Writes the table of questions of one suite.

    Arguments:
        out: The parquet file.
        suite: The suite.
        dataset: The data set.
        test: The attributes of the test split.
        columns: `index`, `intervention`, `protocol`, `cycles`, `seed` and `steps` (a list of actions per question),
            then further columns of the suite, each with one value per question.
        actions: The action of each question whose consequences are the true parents; None: those of the factual image.
    """
    table = pd.DataFrame(dict(columns))
    table.insert(0, "question", np.arange(len(table)))
    table.insert(1, "suite", suite)
    factual = test.iloc[table["index"]].reset_index(drop=True)
    if actions is None:
        true = {name: factual[name].to_numpy() for name in dataset.names}
    else:
        true = true_parents(dataset, factual, actions)
    table["steps"] = [json.dumps(steps) for steps in table["steps"]]
    for name in dataset.names:
        table[f"true_{name}"] = np.asarray(true[name], dtype=np.float64)
    write_table(out, table)


def true_parents(dataset: Dataset, factual: pd.DataFrame, actions: Sequence[Action]) -> dict[str, np.ndarray]:
    """Returns the parents after each action, from the simulated world or as far as the graph determines them.

    Without a world, a variable that is set has its new value, a variable without an ancestor that is set keeps its
    value, and the others are NaN.

    Arguments:
        dataset: The data set.
        factual: The factual attributes, N rows.
        actions: One action per row.

    Returns:
        Each variable of the data set, (N,), in physical units.
    """
    do = {
        name: np.array([action.get(name, np.nan) for action in actions], np.float64) for name in dataset.names
    }
    simulation = world(dataset.name) if dataset.simulated else None
    if simulation is not None:
        return simulation.counterfactual_parents(factual, do)
    true = {}
    for name in dataset.names:
        moved = np.zeros(len(factual), dtype=bool)
        for cause in ancestors(dataset, name):
            moved |= ~np.isnan(do[cause])
        kept = np.where(moved, np.nan, factual[name].to_numpy(np.float64))
        true[name] = np.where(np.isnan(do[name]), kept, do[name])
    return true

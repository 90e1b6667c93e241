r"""The suite `sweep`: one digit, one variable set to one value after another; for figures, not for scores.

For each variable v and each of a few test images, the values

.. math:: a_j = q_{0.01} + \frac{j}{J - 1} (q_{0.99} - q_{0.01}), \qquad j = 0, \ldots, J - 1

between two quantiles of the train split, or, for a categorical variable, every class. All questions about an image
have one seed: along a row of such a figure nothing differs but the value.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import write_table
from ..core.noise import derive_seed, generator
from ..data.dataset import Dataset, Variable, load_dataset, load_split
from .interventions import true_parents

__all__ = ["ask_sweep", "values_of"]


def ask_sweep(settings: Any, data: Path | str, out: Path | str) -> None:
    """Writes the table of questions of the suite, with the columns that :func:`counterfactory.questions.interventions.ask` has.

    Arguments:
        settings: The settings of the section `questions`.
        data: The data set's folder.
        out: The parquet file to write.

    Raises:
        UserError: If more images are asked for than the test split has.
    """
    dataset = load_dataset(data)
    train, test = load_split(data, "train").attributes, load_split(data, "test").attributes
    if settings.sweep.images > len(test):
        raise UserError(
            f"questions.sweep.images is {settings.sweep.images}, but the test split has {len(test)} images; lower it"
        )
    rows = _rows(dataset, test, settings.sweep.images, settings.seed)
    records = [
        (row, variable.name, derive_seed(settings.seed, "sweep", row), {variable.name: value})
        for variable in dataset.variables
        for row in rows
        for value in values_of(variable, train, settings.sweep.values)
    ]
    table = pd.DataFrame(records, columns=["index", "intervention", "seed", "steps"])
    table.insert(0, "question", np.arange(len(table)))
    table.insert(1, "suite", "sweep")
    table.insert(4, "protocol", "")
    table.insert(5, "cycles", 1)
    asked = test.iloc[table["index"]].reset_index(drop=True)
    true = true_parents(dataset, asked, table["steps"].tolist())
    table["steps"] = [json.dumps([action]) for action in table["steps"]]
    for name in dataset.names:
        table[f"true_{name}"] = np.asarray(true[name], dtype=np.float64)
    write_table(out, table)


def values_of(variable: Variable, train: pd.DataFrame, count: int) -> list[float | int]:
    """Returns the values that a variable is set to, ascending: `count` of them, or all classes."""
    if variable.kind == "categorical":
        return list(range(variable.classes))
    low, high = np.quantile(train[variable.name], [0.01, 0.99])
    return np.linspace(low, high, count).tolist()


def _rows(dataset: Dataset, test: pd.DataFrame, count: int, seed: int) -> list[int]:
    """Draws rows of the test split, those of different classes before two of one class."""
    order = generator(seed, "images").permutation(len(test))
    classes = [variable.name for variable in dataset.variables if variable.kind == "categorical"]
    if classes:
        # The n-th of each class before the n-plus-first of any; drawn order decides among equals.
        turn = test.iloc[order].groupby(classes, sort=False).cumcount().to_numpy()
        order = order[np.argsort(turn, kind="stable")]
    return order[:count].tolist()

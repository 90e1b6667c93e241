r"""Writes the questions of the suite `sweep`: one variable of an image is set to a series of values, for figures.

For each variable v and each of a few test images, the values are

.. math:: a_j = q_{0.01} + \frac{j}{J - 1} (q_{0.99} - q_{0.01}), \qquad j = 0, \ldots, J - 1

where :math:`q` are quantiles of the train split, or all classes of a categorical variable. All questions about one
image have the same seed, so that the images in a row of such a figure differ only by the value. The suite is not
scored.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core.noise import derive_seed
from ..data.dataset import Dataset, Variable, load_dataset, load_split
from .table import image_order, save_questions

if TYPE_CHECKING:
    from ..config.questions import QuestionsSettings

__all__ = ["values_of", "write_questions"]


def write_questions(
    suite: str,
    settings: "QuestionsSettings",
    data: Path | str,
    out: Path | str,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Writes the table of questions; its columns are those of :mod:`counterfactory.questions.table`.

    Arguments:
        suite: `sweep`.
        settings: The section `questions`.
        data: The folder of the data set.
        out: The parquet file.
        attributes: Not used.

    Raises:
        UserError: If the test split has fewer images than required.
    """
    dataset = load_dataset(data)
    train, test = load_split(data, "train").attributes, load_split(data, "test").attributes
    order = image_order(suite, settings.sweep.images, test, settings.seed)
    rows = _rows(dataset, test, order, settings.sweep.images)
    records = [
        (row, variable.name, derive_seed(settings.seed, "sweep", row), {variable.name: value})
        for variable in dataset.variables
        for row in rows
        for value in values_of(variable, train, settings.sweep.values)
    ]
    actions = [record[3] for record in records]
    columns: dict[str, list[Any]] = {
        "index": [record[0] for record in records],
        "intervention": [record[1] for record in records],
        "protocol": [""] * len(records),
        "cycles": [1] * len(records),
        "seed": [record[2] for record in records],
        "steps": [[action] for action in actions],
    }
    save_questions(out, suite, dataset, test, columns, actions)


def values_of(variable: Variable, train: pd.DataFrame, count: int) -> list[float | int]:
    """Returns the values that a variable is set to, ascending.

    Arguments:
        variable: The variable.
        train: The attributes of the train split.
        count: The number of values of a continuous variable.

    Returns:
        `count` values in the unit of the variable, or all classes of a categorical one.
    """
    if variable.kind == "categorical":
        return list(range(variable.classes))
    low, high = np.quantile(train[variable.name], [0.01, 0.99])
    return np.linspace(low, high, count).tolist()


def _rows(dataset: Dataset, test: pd.DataFrame, order: np.ndarray, count: int) -> list[int]:
    """Returns `count` rows of the test split, with as many different classes as possible."""
    classes = [variable.name for variable in dataset.variables if variable.kind == "categorical"]
    if classes:
        # Sorted by how many images of the same class come before, then by the random order.
        turn = test.iloc[order].groupby(classes, sort=False).cumcount().to_numpy()
        order = order[np.argsort(turn, kind="stable")]
    return order[:count].tolist()

r"""Bins of the values of a variable: classes, or intervals of a continuous variable.

With `equal` the intervals are :data:`BINS` ones of equal width over [`low`, `high`]. With `means` the range is cut into
the same intervals, and the mean of the values in each interval is an edge, so that nine edges bound ten bins: the way
of the code of Melistas et al. (2024, arXiv:2403.20287).
"""

import numpy as np
import pandas as pd

from ..data.dataset import Dataset, Variable

__all__ = ["BINS", "Bins", "bin_of", "mean_edges"]

BINS = 9
"""The number of intervals of a continuous variable."""


def bin_of(variable: Variable, values: np.ndarray | float) -> np.ndarray:
    """Returns the bin of each value: the class, or one of :data:`BINS` bins of equal width over [`low`, `high`].

    Values below `low` are in the first bin, values above `high` in the last.

    Arguments:
        variable: The variable.
        values: Values in physical units, of any shape.

    Returns:
        Int64 bins of the same shape.
    """
    values = np.asarray(values)
    if variable.kind == "categorical":
        return values.astype(np.int64)
    scaled = (values - variable.low) / (variable.high - variable.low)
    return np.clip(np.floor(BINS * scaled), 0, BINS - 1).astype(np.int64)


def mean_edges(variable: Variable, values: np.ndarray) -> np.ndarray:
    """Returns the mean of the values in each of :data:`BINS` equal intervals of a continuous variable, ascending.

    Arguments:
        variable: The variable; `low` and `high` are the ends of its range.
        values: Values in physical units, with shape (N,). Those at or above `high`, or below `low`, are in no interval.

    Returns:
        The edges in physical units, at most :data:`BINS`: an interval without values has none.
    """
    values = np.asarray(values, dtype=np.float64)
    interval = np.digitize(values, np.linspace(variable.low, variable.high, BINS + 1))
    return np.array([values[interval == one].mean() for one in range(1, BINS + 1) if (interval == one).any()])


class Bins:
    """Returns the bin of values of the variables of a data set.

    Arguments:
        dataset: The data set.
        attributes: The attributes of the split whose values give the edges of `means`.
        kind: `equal` or `means`.
    """

    def __init__(self, dataset: Dataset, attributes: pd.DataFrame, kind: str = "equal") -> None:
        self.variables = {variable.name: variable for variable in dataset.variables}
        self.edges = {
            variable.name: mean_edges(variable, attributes[variable.name].to_numpy())
            for variable in dataset.variables
            if kind == "means" and variable.kind == "continuous"
        }

    def __call__(self, name: str, values: np.ndarray | float, drawn: bool = False) -> np.ndarray:
        """Returns int64 bins of the same shape as `values`.

        Arguments:
            name: The variable.
            values: Values in physical units.
            drawn: Whether a value that equals an edge is in the bin above it rather than below it. In the original's
                code it is for values that may be drawn, and it is not for the factual value.
        """
        if name not in self.edges:
            return bin_of(self.variables[name], values)
        if drawn:
            return np.asarray(np.digitize(values, self.edges[name]), dtype=np.int64)
        return np.asarray(np.searchsorted(self.edges[name], values), dtype=np.int64)

"""Reads the factual values of the variables and the action of an intervention, as every simulated world needs them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..core.names import unknown_name

__all__ = ["read_action"]


def read_action(
    names: Sequence[str], attributes: Mapping[str, np.ndarray] | pd.DataFrame, do: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the factual values and the values that are set.

    Arguments:
        names: The variables.
        attributes: Their factual values, each (N,).
        do: The value each variable is set to, (N,), NaN where it is not set; variables may be left out.

    Returns:
        The factual values, and for every variable the value it is set to, NaN where it is not; each float64 (N,).

    Raises:
        UserError: If `do` names another variable.
    """
    for name in do:
        if name not in names:
            raise unknown_name(f"do: {name}", "not a variable", names)
    factual = {name: np.asarray(attributes[name], np.float64) for name in names}
    action = {
        name: np.asarray(do.get(name, np.full(values.shape, np.nan)), np.float64)
        for name, values in factual.items()
    }
    return factual, action

r"""The method `truth`: renders the true counterfactual, where the world is simulated.

No method at all, but the ceiling of every score: abduction, action and prediction by the true mechanisms,

.. math:: x^* = g(\mathrm{pa}^*, \epsilon_x), \qquad \mathrm{pa}^*_k = f_k(\mathrm{pa}^*, \epsilon_k)

with the exogenous noises :math:`\epsilon` of the image asked about. A categorical variable that is set, such as the
digit, is not answered: its world knows how a thicker stroke of the same hand looks, but not how that hand would
have written another digit.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UserError
from ..data.dataset import load_dataset, load_split
from ..data.worlds import world
from . import Answer, Batch

__all__ = ["load"]


def load(seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers from the world of the data set in the folder `data`.

    Raises:
        UserError: If the data set is not simulated, or what it is rendered from is missing.
    """
    dataset = load_dataset(data)
    simulation = world(dataset.name) if dataset.simulated else None
    if simulation is None:
        raise UserError(f"methods: truth: {dataset.name} is not simulated; leave truth out")
    test = load_split(data, "test").attributes
    categorical = [variable.name for variable in dataset.variables if variable.kind == "categorical"]

    def answer(batch: Batch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        factual = test.iloc[batch.rows]
        parents = simulation.counterfactual_parents(batch.parents, batch.do)
        for name, values in parents.items():
            # Back where it began up to rounding is back where it began: no grey level hangs on the last bit.
            start = factual[name].to_numpy(np.float64)
            parents[name] = np.where(np.isclose(values, start, rtol=1e-9, atol=0.0), start, values)
        for name in categorical:
            # Not even if it is set to what it was: such questions alone would not show the ceiling of the others.
            parents[name] = np.where(np.isnan(batch.do[name]), parents[name], np.nan)
        known = ~np.any([np.isnan(values) for values in parents.values()], axis=0)
        images = np.zeros_like(batch.images)
        images[known], determined = simulation.render_counterfactual(
            data, factual[known], {name: values[known] for name, values in parents.items()}
        )
        known[known] = determined
        return images, {name: np.where(known, values, np.nan) for name, values in parents.items()}

    answer.network_calls = 0
    return answer

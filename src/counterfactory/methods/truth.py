r"""The method `truth`: renders the true counterfactual of a simulated data set.

It is the ceiling of every score. Abduction, action and prediction use the true mechanisms,

.. math:: x^* = g(\mathrm{pa}^*, \epsilon_x), \qquad \mathrm{pa}^*_k = f_k(\mathrm{pa}^*, \epsilon_k)

with the exogenous noises :math:`\epsilon` of the factual image. Questions that set a variable whose effect on the
image is not determined, such as the digit, are not answered: the simulation defines how the same handwriting looks with
a thicker stroke, but not how it would look for another digit (:func:`counterfactory.data.worlds.undetermined`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UserError
from ..data.dataset import load_dataset, load_split
from ..data.worlds import undetermined, world
from . import Answer, Batch

__all__ = ["load"]


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers with the simulation of the data set in the folder `data`.

    Raises:
        UserError: If the data set is not simulated, or a file that the rendering requires is missing.
    """
    dataset = load_dataset(data)
    simulation = world(dataset.name) if dataset.simulated else None
    if simulation is None:
        raise UserError(f"methods: truth: {dataset.name} is not simulated; remove truth from methods")
    test = load_split(data, "test").attributes
    undetermined_names = undetermined(dataset)

    def answer(batch: Batch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        factual = test.iloc[batch.rows]
        parents = simulation.counterfactual_parents(batch.parents, batch.do)
        for name, values in parents.items():
            # A value that equals the factual one up to rounding is replaced by it, so that the image is identical.
            start = factual[name].to_numpy(np.float64)
            parents[name] = np.where(np.isclose(values, start, rtol=1e-9, atol=0.0), start, values)
        for name in undetermined_names:
            # Also if it is set to its factual value: otherwise the ceiling would be of those questions only.
            parents[name] = np.where(np.isnan(batch.do[name]), parents[name], np.nan)
        known = ~np.any([np.isnan(values) for values in parents.values()], axis=0)
        images = np.zeros_like(batch.images)
        images[known], determined = simulation.render_counterfactual(
            data, factual[known], {name: values[known] for name, values in parents.items()}
        )
        known[known] = determined
        return images, {name: np.where(known, values, np.nan) for name, values in parents.items()}

    return Answer(answer, network_calls=0)

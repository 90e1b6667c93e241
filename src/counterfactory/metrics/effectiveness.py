r"""Effectiveness: whether the answer's image shows the parents that it should.

Each judge :math:`q_k` (:mod:`counterfactory.metrics.judges`) reads its parent from the answer,

.. math:: e_k = \left| \hat{\mathrm{pa}}_k(\hat x) - \mathrm{pa}^*_k \right|
   \quad \text{or, for a category,} \quad e_k = \left[ \hat{\mathrm{pa}}_k(\hat x) = \mathrm{pa}^*_k \right]

against the true parents :math:`\mathrm{pa}^*` after the intervention: the values set and, downstream of them,
those of the simulated world, not those that the method believes in (De Sousa Ribeiro et al., 2023,
arXiv:2306.15764; Monteiro et al., 2023, arXiv:2303.01274). All parents are marked under every intervention:
what was not set should stay. Read it against the judges' own errors, which their `model.json` holds.
"""

from typing import Any

import numpy as np

from .answered import Answered, Mark, Marker
from .judges import load_judge
from .resources import Resources

__all__ = ["load"]


def load(resources: Resources) -> Marker:
    """Returns the marker of `predicted_<variable>`: absolute error in its unit, or 1 for the right category."""
    return lambda answered: [
        effectiveness(answered, name, load_judge(resources.judges / name, resources.device))
        for name in answered.dataset.names
    ]


def effectiveness(answered: Answered, variable: str, judge: Any) -> Mark:
    """Returns the marks of one variable.

    Arguments:
        answered: A suite and its answers.
        variable: The variable's name.
        judge: Called with images (N, C, H, W) and the true parents, returns predictions (N,).
    """
    true = {name: answered.true(name) for name in answered.dataset.names}
    predicted = np.asarray(judge(answered.images, true), dtype=np.float64)
    if answered.dataset.variable(variable).kind == "categorical":
        values = np.where(np.isnan(true[variable]), np.nan, predicted == true[variable])
    else:
        values = np.abs(predicted - true[variable])
    return Mark(f"predicted_{variable}", values, "the true parent is not determined")

r"""Effectiveness: whether the answer's image shows the parents that it should.

Each judge :math:`q_k` (:mod:`counterfactory.models.judges.train`) reads its parent from the answer,

.. math:: e_k = \left| \hat{\mathrm{pa}}_k(\hat x) - \mathrm{pa}^*_k \right|
   \quad \text{or, for a category,} \quad e_k = \left[ \hat{\mathrm{pa}}_k(\hat x) = \mathrm{pa}^*_k \right]

against the true parents :math:`\mathrm{pa}^*` after the intervention: the values set and, downstream of them,
those of the simulated world, not those that the method believes in (De Sousa Ribeiro et al., 2023,
arXiv:2306.15764; Monteiro et al., 2023, arXiv:2303.01274). All parents are scored under every intervention:
what was not set should stay. Read it against the judges' own errors, which their `model.json` holds.

Beside the error in the variable's unit stands the same in the units that CausalDiffAE's tables are in (Komanduri et
al., 2024, arXiv:2404.17735): over the half ranges of its published code (:data:`PUBLISHED_HALF_RANGES`).
"""

from typing import Any

import numpy as np

from ..models.judges.model import load_judge
from .inputs import Answered, Score, Scorer
from .resources import Resources

__all__ = ["PUBLISHED_HALF_RANGES", "effectiveness", "load", "normalised"]

PUBLISHED_HALF_RANGES = {
    "morphomnist": {"thickness": 2.4, "intensity": 94.0},
    "pendulum": {"angle": 42.0, "light": 44.0, "shadow_length": 4.5, "shadow_position": 8.0},
}
"""What a variable's error is divided by in the tables of CausalDiffAE, in its unit, for each data set they have."""


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `predicted_<variable>` and `normalised_<variable>`.

    The first is the absolute error in the variable's unit, or 1 for the right category; the second the same error
    in published units, where there are any.
    """
    judges: dict[str, Any] = {}

    def scorer(answered: Answered) -> list[Score]:
        for name in answered.dataset.names:
            if name not in judges:
                judges[name] = load_judge(resources.judges / name, resources.device)
        scores = [effectiveness(answered, name, judges[name]) for name in answered.dataset.names]
        return scores + normalised(answered, scores)

    return scorer


def effectiveness(answered: Answered, variable: str, judge: Any) -> Score:
    """Returns the scores of one variable.

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
    return Score(f"predicted_{variable}", values, "the true parent is not determined")


def normalised(answered: Answered, scores: list[Score]) -> list[Score]:
    """Returns the errors among `scores`, those of :func:`effectiveness`, in published units, where there are any."""
    units = PUBLISHED_HALF_RANGES.get(answered.dataset.name, {})
    names = [score.metric.removeprefix("predicted_") for score in scores]
    return [
        Score(f"normalised_{name}", score.values / units[name], score.reason)
        for name, score in zip(names, scores, strict=True)
        if name in units
    ]

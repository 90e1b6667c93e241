r"""Effectiveness: the error of the parents that the judges predict from the answer.

The judge :math:`q_k` of variable k (:mod:`counterfactory.models.judges.train`) predicts its variable from the answer,

.. math:: e_k = \left| \hat{\mathrm{pa}}_k(\hat x) - \mathrm{pa}^*_k \right|
   \quad \text{or, if k is categorical,} \quad e_k = \left[ \hat{\mathrm{pa}}_k(\hat x) = \mathrm{pa}^*_k \right]

where :math:`\mathrm{pa}^*` are the true parents after the intervention: the values that were set and, downstream, the
values of the simulated world, not those of the method's own model (De Sousa Ribeiro et al., 2023, arXiv:2306.15764;
Monteiro et al., 2023, arXiv:2303.01274). All parents are scored under every intervention, because those that are not
descendants of the intervention should stay the same. A judge's own error on factual images is in its `model.json`.

Scores: `predicted_<variable>`, the absolute error in the unit of the variable (lower is better) or the accuracy of a
categorical variable (higher is better); and `normalised_<variable>`, the error divided by the half range that the
published tables and code of CausalDiffAE use (:data:`PUBLISHED_HALF_RANGES`; Komanduri et al., 2024,
arXiv:2404.17735).
"""

from typing import Any

import numpy as np

from ..models.judges.model import Judge, load_judge
from .inputs import Score, Scorer, SuiteAnswers
from .resources import Resources

__all__ = ["PUBLISHED_HALF_RANGES", "effectiveness", "load", "normalised"]

PUBLISHED_HALF_RANGES = {
    "morphomnist": {"thickness": 2.4, "intensity": 94.0},
    "pendulum": {"angle": 42.0, "light": 44.0, "shadow_length": 4.5, "shadow_position": 8.0},
}
"""Half ranges of the variables, in their units, by which CausalDiffAE divides errors, for each data set it uses."""


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `predicted_<variable>` and `normalised_<variable>`.

    The scorer raises a :class:`counterfactory.core.errors.UserError` if a judge is missing, damaged or of another
    variable.
    """
    judges: dict[str, Judge] = {}

    def scorer(answers: SuiteAnswers) -> list[Score]:
        for name in answers.dataset.names:
            if name not in judges:
                judges[name] = load_judge(resources.judges / name, resources.device, f"judge of {name}")
        scores = [effectiveness(answers, name, judges[name]) for name in answers.dataset.names]
        return scores + normalised(answers, scores)

    return scorer


def effectiveness(answers: SuiteAnswers, variable: str, judge: Any) -> Score:
    """Returns `predicted_<variable>` of one variable.

    Arguments:
        answers: The answers to a suite.
        variable: The name of the variable.
        judge: A function from images (N, C, H, W) and the true parents to predictions (N,), such as a
            :class:`counterfactory.models.judges.model.Judge`.
    """
    true = {name: answers.true(name) for name in answers.dataset.names}
    predicted = np.asarray(judge(answers.images, true), dtype=np.float64)
    if answers.dataset.variable(variable).kind == "categorical":
        values = np.where(np.isnan(true[variable]), np.nan, predicted == true[variable])
    else:
        values = np.abs(predicted - true[variable])
    return Score(f"predicted_{variable}", values, "the true parent is not determined")


def normalised(answers: SuiteAnswers, scores: list[Score]) -> list[Score]:
    """Returns the scores of :func:`effectiveness` in published units, for the variables that have one.

    Arguments:
        answers: The answers to a suite, for the name of the data set.
        scores: The scores `predicted_<variable>`.
    """
    units = PUBLISHED_HALF_RANGES.get(answers.dataset.name, {})
    names = [score.metric.removeprefix("predicted_") for score in scores]
    return [
        Score(f"normalised_{name}", score.values / units[name], score.reason)
        for name, score in zip(names, scores, strict=True)
        if name in units
    ]

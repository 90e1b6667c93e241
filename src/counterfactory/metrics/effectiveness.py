r"""Effectiveness: the error of the parents that the judges predict from the answer.

The judge :math:`q_k` of variable k (:mod:`counterfactory.models.judges.train`) predicts its variable from the answer,

.. math:: e_k = \left| \hat{\mathrm{pa}}_k(\hat x) - \mathrm{pa}^*_k \right|
   \quad \text{or, if k is categorical,} \quad e_k = \left[ \hat{\mathrm{pa}}_k(\hat x) = \mathrm{pa}^*_k \right]

where :math:`\mathrm{pa}^*` are the true parents after the intervention: the values that were set and, downstream, the
values of the simulated world, not those of the method's own model (Monteiro et al., 2023, arXiv:2303.01274). The code
of causal-gen (De Sousa Ribeiro et al., 2023, arXiv:2306.15764) and that of Melistas et al. compare with the method's
own counterfactual parents; so does this module with `targets: own`. All parents are scored under every intervention,
because those that are not descendants of the intervention should stay the same. A judge's own error on factual images
is in its `model.json`.

For a variable with two classes, of which one may be rare, there are also F1 and balanced accuracy of class 1 over each
set of questions (:mod:`counterfactory.models.binary_scores`). Melistas et al. (2024, arXiv:2403.20287) report F1.

Scores: `predicted_<variable>`, the absolute error in the unit of the variable (lower is better) or the accuracy of a
categorical variable (higher is better); and `normalised_<variable>`, the error divided by the half range that the
published tables and code of CausalDiffAE use (:data:`PUBLISHED_HALF_RANGES`; Komanduri et al., 2024,
arXiv:2404.17735); and `f1_<variable>` and `balanced_accuracy_<variable>`, in [0, 1] (higher is better).
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.noise import derive_seed
from ..models.binary_scores import balanced_accuracy, f1_score
from ..models.judges.model import Judge, load_judge
from .bootstrap import bootstrap_statistic
from .inputs import Score, Scorer, SetScore, SuiteAnswers, sets
from .resources import Resources

if TYPE_CHECKING:
    from ..config import BootstrapSettings

__all__ = ["BINARY_SCORES", "PUBLISHED_HALF_RANGES", "binary_scores", "effectiveness", "load", "normalised"]

BINARY_SCORES = {"f1": f1_score, "balanced_accuracy": balanced_accuracy}
"""The additional scores of a variable with two classes: functions of predictions and labels, 0 or 1, (N,) each."""

PUBLISHED_HALF_RANGES = {
    "morphomnist": {"thickness": 2.4, "intensity": 94.0},
    "pendulum": {"angle": 42.0, "light": 44.0, "shadow_length": 4.5, "shadow_position": 8.0},
}
"""Half ranges of the variables, in their units, by which CausalDiffAE divides errors, for each data set it uses."""


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `predicted_<variable>`, `normalised_<variable>` and the scores of binary variables.

    Reads `scores.effectiveness` and `scores.bootstrap`. The scorer raises a
    :class:`counterfactory.core.errors.UserError` if a judge is missing, damaged or of another variable.
    """
    judges: dict[str, Judge] = {}
    bootstrap = resources.settings.bootstrap
    targets = resources.settings.effectiveness.targets

    def scorer(answers: SuiteAnswers) -> list[Score | SetScore]:
        for name in answers.dataset.names:
            if name not in judges:
                judges[name] = load_judge(resources.judges / name, resources.device, f"judge of {name}")
        scores = [effectiveness(answers, name, judges[name], targets) for name in answers.dataset.names]
        found: list[Score | SetScore] = [*scores, *normalised(answers, scores)]
        for variable, score in zip(answers.dataset.variables, scores, strict=True):
            if variable.classes == 2:
                found += binary_scores(answers, variable.name, score.values, bootstrap, targets)
        return found

    return scorer


def effectiveness(answers: SuiteAnswers, variable: str, judge: Any, targets: str = "true") -> Score:
    """Returns `predicted_<variable>` of one variable.

    Arguments:
        answers: The answers to a suite.
        variable: The name of the variable.
        judge: A function from images (N, C, H, W) and the true parents to predictions (N,), such as a
            :class:`counterfactory.models.judges.model.Judge`.
        targets: `true`, or `own`: predictions are compared with the method's own parents, which are also the inputs of
            a judge with a context.
    """
    true = {name: answers.target(name, targets) for name in answers.dataset.names}
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


def binary_scores(
    answers: SuiteAnswers,
    variable: str,
    correct: np.ndarray,
    bootstrap: "BootstrapSettings",
    targets: str = "true",
) -> list[SetScore]:
    """Returns `f1_<variable>` and `balanced_accuracy_<variable>` of each set of questions.

    Arguments:
        answers: The answers to a suite.
        variable: The name of a variable with two classes.
        correct: Whether the judge predicts the true class for each answer: 1, 0, or NaN where no class is true, (N,).
        bootstrap: The section `scores.bootstrap` of the configuration.
        targets: `true` or `own`, as in :func:`effectiveness`.
    """
    true = answers.target(variable, targets)
    answered = answers.questions["answered"].to_numpy(bool)
    scores = []
    for group, rows in sets(answers.questions):
        kept = rows[answered[rows] & np.isfinite(correct[rows])]
        truth = true[kept]
        predicted = np.where(correct[kept] == 1.0, truth, 1.0 - truth)
        for name, function in BINARY_SCORES.items():
            value = function(predicted, truth) if (truth == 1.0).any() else np.nan
            if np.isnan(value):
                reason = _why_not(answers, rows, answered, truth)
                scores.append(SetScore(f"{name}_{variable}", group, np.nan, 0, reason=reason))
                continue
            # The seed depends on the set only: the resamples of all methods are the same.
            seed = derive_seed(bootstrap.seed, answers.suite, *group, f"{name}_{variable}")

            def score(drawn: np.ndarray, function=function, predicted=predicted, truth=truth) -> float:
                return float(function(predicted[drawn], truth[drawn]))

            low, high = bootstrap_statistic(score, len(kept), bootstrap.resamples, bootstrap.level, seed)
            low, high = max(low, 0.0), min(high, 1.0)
            scores.append(SetScore(f"{name}_{variable}", group, value, len(kept), low, high))
    return scores


def _why_not(answers: SuiteAnswers, rows: np.ndarray, answered: np.ndarray, truth: np.ndarray) -> str:
    """Returns why a score of binary predictions is not defined for the questions in `rows`, int (M,).

    Arguments:
        answers: The answers to a suite.
        rows: The rows of the set of questions.
        answered: Whether each question is answered, bool (N,).
        truth: The true values of those that are answered and determined.
    """
    if not answered[rows].any():
        return "; ".join(dict.fromkeys(answers.unanswered[rows]))
    if not len(truth):
        return "the true parent is not determined"
    missing = 0 if (truth == 1.0).any() else 1
    return f"no answered question has the true value {missing}"

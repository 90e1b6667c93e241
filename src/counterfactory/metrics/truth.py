r"""The error against the true counterfactual, which a simulated world can render.

.. math:: \mathrm{truth\_l1} = \frac{1}{CHW} \sum_p \left| x^*_p - \hat x_p \right|, \qquad
   \mathrm{parents}_k = \left| \mathrm{pa}^*_k - \hat{\mathrm{pa}}_k \right|

where :math:`x^*` is the image that the world renders under the intervention with the exogenous noise of the factual
image, :math:`\mathrm{pa}^*` are its parents, and :math:`\hat x` and :math:`\hat{\mathrm{pa}}` are the method's image
and its own parents. `truth_l1` is in grey levels, between 0 and 255; `parents_<variable>` is in the unit of the
variable. Lower is better. For a categorical variable with a cause it is 1 for the true class and 0 for any other class,
and higher is better. Published benchmarks have neither score on such images.
"""

import numpy as np

from ..data.graph import causes
from .axioms import l1_distance
from .inputs import Score, Scorer, SuiteAnswers, compare
from .resources import Resources

__all__ = ["load", "truth"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `truth_l1` and `parents_<variable>` of each continuous variable and each with a cause."""
    return truth


def truth(answers: SuiteAnswers) -> list[Score]:
    """Returns the scores of the answers to a suite."""
    distance = np.full(len(answers.images), np.nan)
    if answers.truth is not None:
        distance[answers.known] = l1_distance(answers.images, answers.truth)[answers.known]
    scores = [Score("truth_l1", distance, answers.no_truth)]
    for variable in answers.dataset.variables:
        # A categorical variable without a cause has the value that it was set to, or its factual one.
        if variable.kind == "continuous" or causes(answers.dataset, variable.name):
            found = compare(variable, answers.own(variable.name), answers.true(variable.name))
            scores.append(Score(f"parents_{variable.name}", found, "the true parent is not determined"))
    return scores

r"""The error against the true counterfactual, which a simulated world lets us see.

.. math:: \mathrm{truth\_l1} = \frac{1}{CHW} \sum_p \left| x^*_p - \hat x_p \right|, \qquad
   \mathrm{parents}_k = \left| \mathrm{pa}^*_k - \hat{\mathrm{pa}}_k \right|

where :math:`x^*` is the image that the world renders from the same exogenous noise under the intervention,
:math:`\mathrm{pa}^*` its parents, and the hats are the method's image and the method's own parents. The first
is on grey levels 0-255, the second in the variable's unit. No published benchmark has either on images like
these.
"""

import numpy as np

from .axioms import l1_distance
from .inputs import Answered, Score, Scorer
from .resources import Resources

__all__ = ["load", "truth"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `truth_l1` and, for each continuous variable, `parents_<variable>`."""
    return truth


def truth(answered: Answered) -> list[Score]:
    """Returns the scores of a suite."""
    distance = np.full(len(answered.images), np.nan)
    if answered.truth is not None:
        distance[answered.known] = l1_distance(answered.images, answered.truth)[answered.known]
    scores = [Score("truth_l1", distance, answered.no_truth)]
    for variable in answered.dataset.variables:
        if variable.kind == "continuous":
            error = np.abs(answered.own(variable.name) - answered.true(variable.name))
            scores.append(Score(f"parents_{variable.name}", error, "the true parent is not determined"))
    return scores

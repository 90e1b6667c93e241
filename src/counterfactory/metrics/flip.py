r"""Whether the classifier's prediction flips, and at what price in pixels.

Over all answers, flipped or not,

.. math:: \mathrm{flip\_rate} = \frac1N \sum_i \left[\hat x_i \text{ has flipped}\right], \qquad
   \mathrm{mad} = \frac1N \sum_i \left| p(y^*_i \mid \hat x_i) - p(y^*_i \mid x_i) \right|

(flip rate, FR: Jeanneret et al., 2022, arXiv:2203.15636; mean absolute difference of confidence, MAD: Weng et al.,
2024, arXiv:2312.14223), and `l1`, the mean absolute difference of pixels in grey levels; published as a share of 255.
A classifier that says the same of every image has no flip rate. What flips is told in
:mod:`counterfactory.metrics.predictions`.
"""

import numpy as np

from ..models.classifier.model import load_classifier
from .axioms import l1_distance
from .inputs import Answered, Score, Scorer, first_answers
from .predictions import Classifier, predict
from .resources import Resources

__all__ = ["flip_scores", "load"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `flip_rate`, `mad` (both shares) and `l1` (grey levels)."""
    classifier = load_classifier(resources.classifier, resources.device)
    return lambda answered: flip_scores(answered, classifier)


def flip_scores(answered: Answered, classifier: Classifier) -> list[Score]:
    """Returns the scores of a suite, repeats left out.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
    """
    rows = first_answers(answered)
    said = predict(answered, classifier)
    defined = (said.constant == "")[rows]
    flips = np.where(defined, said.flipped[rows].astype(np.float64), np.nan)
    moved = np.where(defined, np.abs(said.goal_after - said.goal_before)[rows], np.nan)
    reasons = said.constant[rows]
    return [
        Score("flip_rate", flips, reasons, rows),
        Score("mad", moved, reasons, rows),
        Score("l1", l1_distance(answered.images[rows], answered.factual[rows]), reasons, rows),
    ]

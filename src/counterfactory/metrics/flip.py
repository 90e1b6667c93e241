r"""Flip rate, confidence and pixel distance of counterfactual explanations.

Over all N answers, flipped or not, with p the classifier's probability of the goal :math:`y^*_i`,

.. math:: \mathrm{flip\_rate} = \frac1N \sum_i \left[\hat x_i \text{ has flipped}\right], \qquad
   \mathrm{mad} = \frac1N \sum_i \left| p(y^*_i \mid \hat x_i) - p(y^*_i \mid x_i) \right|

- `flip_rate`: the share of flipped answers (FR: Jeanneret et al., 2022, arXiv:2203.15636); higher is better.
- `mad`: the mean absolute difference of confidence, in [0, 1] (MAD: Weng et al., 2024, arXiv:2312.14223); higher is
  better.
- `l1`: the mean absolute difference of pixels, in grey levels; published as a share of 255; lower is better.

A classifier with the same output for every image has no flip rate. :mod:`counterfactory.metrics.predictions` defines
when an answer has flipped.
"""

import numpy as np

from ..models.classifier.model import AttributeClassifier, load_classifier
from .axioms import l1_distance
from .inputs import Score, Scorer, SuiteAnswers, first_answers
from .predictions import predict
from .resources import Resources

__all__ = ["flip_scores", "load"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `flip_rate`, `mad` (both shares) and `l1` (grey levels)."""
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    return lambda answers: flip_scores(answers, classifier)


def flip_scores(answers: SuiteAnswers, classifier: AttributeClassifier) -> list[Score]:
    """Returns `flip_rate`, `mad` and `l1` of each question; repeats are left out.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
    """
    rows = first_answers(answers.questions)
    predictions = predict(answers, classifier)
    defined = (predictions.constant == "")[rows]
    flips = np.where(defined, predictions.flipped[rows].astype(np.float64), np.nan)
    confidence = np.abs(predictions.goal_after - predictions.goal_before)[rows]
    reasons = predictions.constant[rows]
    return [
        Score("flip_rate", flips, reasons, rows),
        Score("mad", np.where(defined, confidence, np.nan), reasons, rows),
        Score("l1", l1_distance(answers.images[rows], answers.factual[rows]), reasons, rows),
    ]

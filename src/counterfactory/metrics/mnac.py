r"""MNAC: the mean number of attributes that a flipped answer changes.

.. math:: \mathrm{MNAC} = \frac1M \sum_i \sum_a \left[ o_a(x_i) \ne o_a(\hat x_i) \right]

over the M flipped answers, with :math:`o_a` the value of attribute a (Rodriguez et al., 2021, arXiv:2103.10226;
Jeanneret et al., 2022, arXiv:2203.15636). The flipped attribute is counted, so a perfect edit scores 1. If the causal
graph implies that other attributes change, the true counterfactual scores more. Lower is better otherwise. There are
two scores:

- `mnac`: attributes predicted by the oracle, as published, among them labels that are no parents; a variable with more
  than two classes counts as one attribute;
- `mnac_measured`: attributes measured on the pixels by the simulated world, without a network. Classes cannot be
  measured, so answers to a flip of a class have no such score.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..data.attributes import measured_labels
from ..models.classifier.model import AttributeClassifier, load_classifier
from .inputs import NOT_SIMULATED, Score, Scorer, SuiteAnswers, first_answers
from .jpeg import jpeg_round_trip
from .predictions import predict
from .resources import Resources

__all__ = ["attributes_of", "changed", "load", "mnac_scores"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `mnac` and `mnac_measured`; reads `scores.mnac`."""
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    oracle = load_classifier(resources.oracle, resources.device, "oracle")
    jpeg = resources.settings.mnac.jpeg
    return lambda answers: mnac_scores(answers, classifier, oracle, jpeg)


def mnac_scores(
    answers: SuiteAnswers, classifier: AttributeClassifier, oracle: AttributeClassifier, jpeg: bool = False
) -> list[Score]:
    """Returns `mnac` and `mnac_measured` of the flipped answers; repeats are left out.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
        oracle: The network that predicts the attributes.
        jpeg: Whether images are compressed as JPEG first, as for the scripts of DiME.
    """
    rows = first_answers(answers.questions)
    predictions = predict(answers, classifier)
    flipped = predictions.flipped[rows]
    factual, images = answers.factual[rows[flipped]], answers.images[rows[flipped]]
    if jpeg:
        factual, images = jpeg_round_trip(factual), jpeg_round_trip(images)
    reasons = predictions.reasons[rows]
    counted, measured = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    if flipped.any():
        counted[flipped] = changed(oracle.predict(factual), oracle.predict(images))
    measurable = np.zeros(len(rows), dtype=bool)
    if answers.dataset.simulated:
        attributes = attributes_of(oracle)
        names = measured_labels(answers.dataset, factual[:1], attributes).columns
        measurable = answers.questions["attribute"].iloc[rows].isin(names).to_numpy()
        if flipped.any():
            before, after = (
                {name: table[name].to_numpy() for name in table}
                for table in (
                    measured_labels(answers.dataset, some, attributes) for some in (factual, images)
                )
            )
            measured[flipped] = changed(before, after)
    measured[~measurable] = np.nan
    unmeasured = "this attribute is not measured" if answers.dataset.simulated else NOT_SIMULATED
    return [
        Score("mnac", counted, reasons, rows),
        Score("mnac_measured", measured, np.where(measurable, reasons, unmeasured), rows),
    ]


def attributes_of(oracle: AttributeClassifier) -> dict[str, Any]:
    """Returns the variable (`of`) and the threshold (`above`) of each binary attribute of the oracle."""
    return {name: SimpleNamespace(**one) for name, one in oracle.attributes.items()}


def changed(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the number of attributes that differ.

    Arguments:
        before: For each attribute its value 0 or 1, or its class, with shape (N,).
        after: The same attributes, with the same shape.

    Returns:
        Float64 counts with shape (N,).
    """
    return np.asarray(np.sum([before[name] != after[name] for name in before], axis=0, dtype=np.float64))

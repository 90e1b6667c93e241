r"""MNAC: how many attributes a flipped answer changed.

.. math:: \mathrm{MNAC} = \frac1M \sum_i \sum_a \left[ o_a(x_i) \ne o_a(\hat x_i) \right]

the mean number of attributes changed, over the flipped answers (Rodriguez et al., 2021, arXiv:2103.10226; Jeanneret
et al., 2022, arXiv:2203.15636). The attribute that was to change is counted too, so a perfect edit scores 1 and not 0;
and where the world says that one attribute moves another, a counterfactual that is true to it scores more. It is
counted twice:

- `mnac`: by the oracle's predictions, as published; the class of a categorical variable counts as one attribute;
- `mnac_measured`: by measuring the pixels of a simulated world, with no network between. A class is not measured, so
  there is none for an answer that was to change the class.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from ..data.attributes import measured_labels
from ..models.classifier.model import load_classifier
from .inputs import NOT_SIMULATED, Answered, Score, Scorer, first_answers
from .jpeg import jpeg_round_trip
from .predictions import Classifier, predict
from .resources import Resources

__all__ = ["Oracle", "attributes_of", "changed", "load", "mnac_scores"]


class Oracle(Protocol):
    """What is asked of the oracle."""

    attributes: Mapping[str, Mapping[str, Any]]

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns of uint8 images (N, C, H, W) each attribute's side or class, int64 (N,)."""


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `mnac` and `mnac_measured`; reads `scores.mnac`."""
    classifier = load_classifier(resources.classifier, resources.device)
    oracle = load_classifier(resources.oracle, resources.device)
    jpeg = resources.settings.mnac.jpeg
    return lambda answered: mnac_scores(answered, classifier, oracle, jpeg)


def mnac_scores(
    answered: Answered, classifier: Classifier, oracle: Oracle, jpeg: bool = False
) -> list[Score]:
    """Returns the scores of the flipped answers of a suite, repeats left out.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
        oracle: What tells attributes.
        jpeg: Whether images are looked at after JPEG, as published.
    """
    rows = first_answers(answered)
    said = predict(answered, classifier)
    flipped = said.flipped[rows]
    one, other = answered.factual[rows[flipped]], answered.images[rows[flipped]]
    if jpeg:
        one, other = jpeg_round_trip(one), jpeg_round_trip(other)
    reasons = said.reasons[rows]
    counted, measured = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    if flipped.any():
        counted[flipped] = changed(oracle.predict(one), oracle.predict(other))
    there = np.zeros(len(rows), dtype=bool)
    if answered.dataset.simulated:
        attributes = attributes_of(oracle)
        names = measured_labels(answered.dataset, one[:1], attributes).columns
        there = answered.questions["attribute"].iloc[rows].isin(names).to_numpy()
        if flipped.any():
            labels = [
                {name: table[name].to_numpy() for name in table}
                for table in (
                    measured_labels(answered.dataset, images, attributes) for images in (one, other)
                )
            ]
            measured[flipped] = changed(*labels)
    measured[~there] = np.nan
    unmeasured = "this attribute is not measured" if answered.dataset.simulated else NOT_SIMULATED
    return [
        Score("mnac", counted, reasons, rows),
        Score("mnac_measured", measured, np.where(there, reasons, unmeasured), rows),
    ]


def attributes_of(oracle: Oracle) -> dict[str, SimpleNamespace]:
    """Returns the binary attributes that the oracle was trained on: what each is of, and its threshold."""
    return {name: SimpleNamespace(**one) for name, one in oracle.attributes.items()}


def changed(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns how many attributes differ.

    Arguments:
        before: For each attribute its side or class, with shape (N,).
        after: The same attributes, likewise.

    Returns:
        Float64 counts with shape (N,).
    """
    return np.sum([before[name] != after[name] for name in before], axis=0, dtype=np.float64)

r"""The Frechet distance in the oracle's features, which is meaningful for digits.

:math:`d^2` of :mod:`counterfactory.metrics.frechet` between the flipped answers and real images, in the features that
the oracle's predictions are linear in (:mod:`counterfactory.models.classifier.network`): it was trained on these images, as
Inception was not, and its few features have a covariance that a few hundred images determine. Below that there is no
score. The real images are the originals of the flipped answers, or (`real: all`, as FID is published) of all answers.
"""

from typing import Any, Literal, Protocol

import numpy as np

from ..core.noise import derive_seed
from ..models.classifier.model import load_classifier
from .bootstrap import bootstrap_statistic
from .frechet import frechet_distance, note_on
from .inputs import Answered, Scorer, SetScore, sets
from .predictions import Classifier, predict
from .resources import Resources

__all__ = ["Embedder", "load", "oracle_frechet_scores"]

ENOUGH = 2_048  # images, as many as Inception has features, and customary


class Embedder(Protocol):
    """What is asked of the oracle."""

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Returns the features (N, F) of uint8 images (N, C, H, W)."""


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `oracle_frechet`; reads `scores.oracle_frechet` and `scores.bootstrap`."""
    classifier = load_classifier(resources.classifier, resources.device)
    oracle = load_classifier(resources.oracle, resources.device)
    settings, bootstrap = resources.settings.oracle_frechet, resources.settings.bootstrap
    return lambda answered: oracle_frechet_scores(answered, classifier, oracle, bootstrap, settings.real)


def oracle_frechet_scores(
    answered: Answered,
    classifier: Classifier,
    oracle: Embedder,
    bootstrap: Any,
    real: Literal["flipped", "all"] = "flipped",
) -> list[SetScore]:
    """Returns the score of the flipped answers of each intervention.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
        oracle: What gives features.
        bootstrap: The configuration's section `scores.bootstrap`.
        real: Which originals they are held against.
    """
    said = predict(answered, classifier)
    scores = []
    for group, rows in sets(answered.questions):
        flips = np.flatnonzero(said.flipped[rows])
        made = oracle.embed(answered.images[rows[flips]])
        reason = ""
        if not len(flips):
            reason = said.why_none(rows)
        elif len(flips) <= made.shape[1]:
            reason = f"{len(flips)} images; the covariance of {made.shape[1]} features needs more than that"
        if reason:
            scores.append(SetScore("oracle_frechet", group, np.nan, 0, reason=reason))
            continue
        originals = oracle.embed(answered.factual[rows])
        # Named by the set alone, so that all methods are resampled alike.
        seed = derive_seed(bootstrap.seed, answered.suite, *group, "oracle_frechet")

        def distance(drawn: np.ndarray, made=made, originals=originals, flips=flips) -> float:
            # An original is drawn with its answer; those of no flip stay.
            against = originals[flips[drawn]] if real == "flipped" else originals
            return frechet_distance(against, made[drawn])

        low, high = bootstrap_statistic(distance, len(flips), bootstrap.resamples, bootstrap.level, seed)
        value = distance(np.arange(len(flips)))
        note = note_on(len(flips), ENOUGH)
        scores.append(SetScore("oracle_frechet", group, value, len(flips), max(low, 0.0), high, reason=note))
    return scores

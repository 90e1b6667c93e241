r"""The Frechet distance between flipped answers and real images in the features of the oracle.

:math:`d^2` of :mod:`counterfactory.metrics.frechet`, in the features before the last layer of the oracle
(:mod:`counterfactory.models.classifier.network`); lower is better. Unlike Inception, the oracle was trained on images
of this data set, and a few hundred images determine the covariance of its few features. With fewer images than
features there is no score. The real images are the factual images of the flipped answers or, as in the scripts of DiME
for FID (`real: all`), of all answers.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..core.noise import derive_seed
from ..models.classifier.model import AttributeClassifier, load_classifier
from .bootstrap import bootstrap_statistic
from .frechet import frechet_distance, note_on
from .inputs import Scorer, SetScore, SuiteAnswers, sets
from .predictions import predict
from .resources import Resources

if TYPE_CHECKING:
    from ..config import BootstrapSettings

__all__ = ["load", "oracle_frechet_scores"]

ENOUGH = 2_048
"""The number of images above which values have no warning: the number of features of Inception, by convention."""


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `oracle_frechet`; reads `scores.oracle_frechet` and `scores.bootstrap`."""
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    oracle = load_classifier(resources.oracle, resources.device, "oracle")
    settings, bootstrap = resources.settings.oracle_frechet, resources.settings.bootstrap
    return lambda answers: oracle_frechet_scores(answers, classifier, oracle, bootstrap, settings.real)


def oracle_frechet_scores(
    answers: SuiteAnswers,
    classifier: AttributeClassifier,
    oracle: AttributeClassifier,
    bootstrap: "BootstrapSettings",
    real: Literal["flipped", "all"] = "flipped",
) -> list[SetScore]:
    """Returns `oracle_frechet` of the flipped answers of each set of questions.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
        oracle: The network that computes the features.
        bootstrap: The section `scores.bootstrap` of the configuration.
        real: The real images: the factual images of the flipped answers, or of all answers.
    """
    predictions = predict(answers, classifier)
    scores = []
    for group, rows in sets(answers.questions):
        flips = np.flatnonzero(predictions.flipped[rows])
        made = oracle.embed(answers.images[rows[flips]])
        reason = ""
        if not len(flips):
            reason = predictions.why_none(rows)
        elif len(flips) <= made.shape[1]:
            reason = f"{len(flips)} images; the covariance of {made.shape[1]} features requires more"
        if reason:
            scores.append(SetScore("oracle_frechet", group, np.nan, 0, reason=reason))
            continue
        originals = oracle.embed(answers.factual[rows])
        # The seed depends on the set only: the resamples of all methods are the same.
        seed = derive_seed(bootstrap.seed, answers.suite, *group, "oracle_frechet")

        def distance(drawn: np.ndarray, made=made, originals=originals, flips=flips) -> float:
            # A factual image is drawn together with its answer; those of answers that did not flip all stay.
            against = originals[flips[drawn]] if real == "flipped" else originals
            return frechet_distance(against, made[drawn])

        low, high = bootstrap_statistic(distance, len(flips), bootstrap.resamples, bootstrap.level, seed)
        value = distance(np.arange(len(flips)))
        note = note_on(len(flips), ENOUGH)
        scores.append(SetScore("oracle_frechet", group, value, len(flips), max(low, 0.0), high, reason=note))
    return scores

r"""COUT: whether the pixels that change most are those that turn the classifier.

Pixels are put in the order of :math:`\sum_c |x - \hat x|`, largest first, and the answer's are pasted over those of the
factual image, about 50 equal portions one after another. With :math:`f_y(t)` the probability of y when the share t has
been pasted,

.. math:: \mathrm{COUT} = \int_0^1 f_{y^*}(t)\,\mathrm{d}t - \int_0^1 f_{y}(t)\,\mathrm{d}t \in [-1, 1]

y being the prediction for the factual image and :math:`y^*` the goal, by the trapezoidal rule (counterfactual
transition, Khorram & Fuxin, 2022, arXiv:2203.15064; as in ACE, Jeanneret et al., 2023, arXiv:2303.09962). A sparse
change that turns the classifier early scores near 1. As published, it is the mean over all answers, flipped or not,
to factual images that the classifier gets right. A portion is HW // 50 pixels, at least one, so there are 50 or a few
more.
"""

import numpy as np

from ..models.classifier.model import load_classifier
from .inputs import Answered, Score, Scorer, first_answers
from .predictions import Classifier, predict, probability_of
from .resources import Resources

__all__ = ["cout", "cout_scores", "load", "transitions"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `cout`; reads `scores.cout`."""
    settings = resources.settings.cout
    classifier = load_classifier(resources.classifier, resources.device)
    return lambda answered: cout_scores(answered, classifier, settings.questions)


def cout_scores(answered: Answered, classifier: Classifier, questions: int) -> list[Score]:
    """Returns the score of the first `questions` of each intervention, repeats left out.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
        questions: How many questions of each intervention are scored.
    """
    first = first_answers(answered)
    kinds = answered.questions.iloc[first].groupby(["intervention", "protocol", "cycles"], sort=False)
    rows = first[kinds.cumcount().to_numpy() < questions]
    said = predict(answered, classifier)
    right = said.before == answered.questions["label"].to_numpy(np.int64)
    scored = (right & said.answered & (said.constant == ""))[rows]
    wrong = "the classifier is wrong about the factual image"
    reasons = np.where(said.constant != "", said.constant, np.where(said.answered, wrong, said.unanswered))[
        rows
    ]
    attribute = answered.questions["attribute"].to_numpy(str)
    values, kept = np.full(len(rows), np.nan), rows[scored]
    if len(kept):
        values[scored] = cout(
            answered.factual[kept],
            answered.images[kept],
            classifier,
            attribute[kept],
            said.before[kept],
            said.goal[kept],
        )
    return [Score("cout", values, reasons, rows)]


def cout(
    factual: np.ndarray,
    images: np.ndarray,
    classifier: Classifier,
    attribute: np.ndarray,
    before: np.ndarray,
    goal: np.ndarray,
) -> np.ndarray:
    """Returns COUT of each pair.

    Arguments:
        factual: Uint8 images with shape (N, C, H, W).
        images: The answers, likewise.
        classifier: The classifier under observation.
        attribute: The attribute that each pair is about, with shape (N,).
        before: The prediction for the factual image, int (N,).
        goal: What the answer should be predicted as, int (N,).

    Returns:
        Float64 scores in [-1, 1], with shape (N,).
    """
    order, portion = transitions(factual, images)
    pixels = order.shape[1]
    pasted = np.unique(np.append(np.arange(0, pixels, portion), pixels))
    curve = np.empty((len(pasted), len(factual)))
    for step, count in enumerate(pasted):
        mixed = np.where((order < count).reshape(-1, 1, *factual.shape[2:]), images, factual)
        said = classifier.probabilities(mixed)
        curve[step] = probability_of(said, attribute, goal) - probability_of(said, attribute, before)
    return np.trapezoid(curve, pasted / pixels, axis=0)


def transitions(factual: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns in which order pixels are pasted, and how many at once.

    Arguments:
        factual: Uint8 images with shape (N, C, H, W).
        images: The answers, likewise.

    Returns:
        The place of each pixel in the order, int (N, HW), 0 for the one that changes most, equal ones as they lie in
        the image; and the size of a portion.
    """
    change = np.abs(images.astype(np.int32) - factual.astype(np.int32)).sum(1).reshape(len(factual), -1)
    order = np.argsort(-change, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(order.shape[1])[None], axis=1)
    return place, max(1, order.shape[1] // 50)

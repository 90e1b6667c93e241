r"""COUT (counterfactual transition): whether the pixels that change most are those that flip the classifier.

Pixels are ranked by :math:`\sum_c |x - \hat x|`, largest first. In this order the pixels of the answer replace those of
the factual image, in about 50 equal portions. With :math:`f_y(t)` the classifier's probability of y after the share t
of the pixels has been replaced,

.. math:: \mathrm{COUT} = \int_0^1 f_{y^*}(t)\,\mathrm{d}t - \int_0^1 f_{y}(t)\,\mathrm{d}t \in [-1, 1]

where y is the prediction for the factual image and :math:`y^*` the goal, by the trapezoidal rule (Khorram & Fuxin,
2022, arXiv:2203.15064; as in ACE, Jeanneret et al., 2023, arXiv:2303.09962). Higher is better: a sparse change that
flips the classifier early scores near 1. The score is the mean over all answers, flipped or not, to factual images that
the classifier predicts correctly. A portion is `HW // 50` pixels, at least one, so there are 50 portions or slightly
more. The last portion is smaller than the others. The code of FastDiME counts it as a whole one; with
`last_portion: whole` so does this module. The scripts of DiME read images that were compressed as JPEG (`jpeg: true`).
"""

from typing import TYPE_CHECKING

import numpy as np

from ..models.classifier.model import load_classifier
from .inputs import Score, Scorer, SuiteAnswers, first_answers
from .jpeg import jpeg_round_trip
from .predictions import predict, probability_of
from .resources import Resources

if TYPE_CHECKING:
    from ..models.classifier.model import AttributeClassifier

__all__ = ["area", "cout", "cout_scores", "load", "transitions"]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `cout`; reads `scores.cout`."""
    settings = resources.settings.cout
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    whole = settings.last_portion == "whole"
    return lambda answers: cout_scores(answers, classifier, settings.questions, whole, settings.jpeg)


def cout_scores(
    answers: SuiteAnswers,
    classifier: "AttributeClassifier",
    questions: int,
    whole: bool = False,
    jpeg: bool = False,
) -> list[Score]:
    """Returns `cout` of the first `questions` questions of each set; repeats are left out.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
        questions: The number of questions scored per set.
        whole: Whether the last portion counts as a whole one.
        jpeg: Whether images are compressed as JPEG first, as for the scripts of DiME.
    """
    first = first_answers(answers.questions)
    kinds = answers.questions.iloc[first].groupby(["intervention", "protocol", "cycles"], sort=False)
    rows = first[kinds.cumcount().to_numpy() < questions]
    predictions = predict(answers, classifier)
    correct = predictions.before == answers.questions["label"].to_numpy(np.int64)
    scored = (correct & predictions.answered & (predictions.constant == ""))[rows]
    wrong = "the classifier is wrong about the factual image"
    reasons = np.where(predictions.answered, wrong, predictions.unanswered)
    reasons = np.where(predictions.constant != "", predictions.constant, reasons)[rows]
    attribute = answers.questions["attribute"].to_numpy(str)
    values, kept = np.full(len(rows), np.nan), rows[scored]
    if len(kept):
        factual, images = answers.factual[kept], answers.images[kept]
        values[scored] = cout(
            jpeg_round_trip(factual) if jpeg else factual,
            jpeg_round_trip(images) if jpeg else images,
            classifier,
            attribute[kept],
            predictions.before[kept],
            predictions.goal[kept],
            whole,
        )
    return [Score("cout", values, reasons, rows)]


def cout(
    factual: np.ndarray,
    images: np.ndarray,
    classifier: "AttributeClassifier",
    attribute: np.ndarray,
    before: np.ndarray,
    goal: np.ndarray,
    whole: bool = False,
) -> np.ndarray:
    """Returns COUT of each pair of a factual image and an answer.

    Arguments:
        factual: Uint8 images with shape (N, C, H, W).
        images: The answers, of the same shape.
        classifier: The classifier whose decisions are flipped.
        attribute: The flipped attribute of each pair, with shape (N,).
        before: The prediction for the factual image, int (N,).
        goal: The prediction that the answer should have, int (N,).
        whole: Whether the last portion counts as a whole one.

    Returns:
        Float64 scores in [-1, 1], with shape (N,).
    """
    rank, portion = transitions(factual, images)
    pixels = rank.shape[1]
    replaced = np.unique(np.append(np.arange(0, pixels, portion), pixels))
    curve = np.empty((len(replaced), len(factual)))
    for step, count in enumerate(replaced):
        mixed = np.where((rank < count).reshape(-1, 1, *factual.shape[2:]), images, factual)
        found = classifier.probabilities(mixed)
        curve[step] = probability_of(found, attribute, goal) - probability_of(found, attribute, before)
    return area(curve, pixels, portion, whole)


def area(curve: np.ndarray, pixels: int, portion: int, whole: bool = False) -> np.ndarray:
    """Returns the integral of curves over the share of replaced pixels, by the trapezoidal rule, (N,).

    Arguments:
        curve: The curves, one value per number of replaced portions, with shape (K, N).
        pixels: The number HW of pixels.
        portion: The number of pixels of a portion.
        whole: Whether the last portion counts as a whole one.
    """
    replaced = np.unique(np.append(np.arange(0, pixels, portion), pixels))
    if whole:
        replaced = np.arange(len(replaced)) * portion
    return np.trapezoid(curve, replaced / pixels, axis=0)


def transitions(factual: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns the order in which pixels are replaced, and the number replaced at once.

    Arguments:
        factual: Uint8 images with shape (N, C, H, W).
        images: The answers, of the same shape.

    Returns:
        The rank of each pixel, int (N, HW), 0 for the pixel that changes most, ties in the order of the image; and the
        number of pixels of a portion.
    """
    change = np.abs(images.astype(np.int32) - factual.astype(np.int32)).sum(1).reshape(len(factual), -1)
    order = np.argsort(-change, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None], axis=1)
    return rank, max(1, order.shape[1] // 50)

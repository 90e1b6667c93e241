r"""What the classifier under observation says of the images of a suite, and which answers turned it over.

With :math:`\hat y(x)` the classifier's prediction, an answer :math:`\hat x` to an image x has flipped if

.. math:: \hat y(\hat x) = 1 - \hat y(x) \quad \text{(binary)}, \qquad \hat y(\hat x) = y^* \quad \text{(a class)}

so a binary target is what the classifier does not say of the factual image, whatever its label (Jeanneret et al.,
2022, arXiv:2203.15636), and a class is the one that the question asks for. The same for every method.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .inputs import Answered

__all__ = ["NOT_FLIPPED", "Classifier", "Predictions", "predict", "prediction_of", "probability_of"]

NOT_FLIPPED = "the classifier's prediction did not flip"


class Classifier(Protocol):
    """What is asked of the classifier under observation."""

    constant: Mapping[str, str]

    def probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns of uint8 images (N, C, H, W) the probability (N,) of each attribute, or those of classes (N, K)."""


@dataclass(frozen=True)
class Predictions:
    """What the classifier says of factual images and answers, row by row of a suite's questions.

    Arguments:
        before: The prediction for the factual image, 0 or 1 or a class, int64 (N,).
        after: The prediction for the answer, likewise.
        goal: What the answer should be predicted as, likewise.
        goal_before: The probability of the goal given the factual image, float64 (N,).
        goal_after: The probability of the goal given the answer, float64 (N,).
        answered: Which questions the method answered, bool (N,).
        unanswered: Why each was not answered, where it was not, str (N,).
        constant: Why there is nothing to flip, where the classifier says the same of every image, str (N,).
    """

    before: np.ndarray
    after: np.ndarray
    goal: np.ndarray
    goal_before: np.ndarray
    goal_after: np.ndarray
    answered: np.ndarray
    unanswered: np.ndarray
    constant: np.ndarray

    @property
    def flipped(self) -> np.ndarray:
        """Which questions were answered by an image that is predicted as the goal, bool (N,)."""
        return (self.after == self.goal) & self.answered & (self.constant == "")

    @property
    def reasons(self) -> np.ndarray:
        """Why a question has no flipped answer, str (N,)."""
        reason = np.where(self.answered, NOT_FLIPPED, self.unanswered).astype(object)
        return np.where(self.constant != "", self.constant, reason)

    def why_none(self, rows: np.ndarray) -> str:
        """Returns why not one of the questions in `rows`, (M,), has a flipped answer."""
        if self.constant[rows[0]]:
            return str(self.constant[rows[0]])
        if self.answered[rows].any():
            return f"{NOT_FLIPPED} for any question"
        return "; ".join(dict.fromkeys(self.unanswered[rows]))


def predict(answered: Answered, classifier: Classifier) -> Predictions:
    """Returns what the classifier says of a suite.

    Arguments:
        answered: A suite of questions with the columns `attribute` and `target`.
        classifier: The classifier under observation.
    """
    questions = answered.questions
    attribute = questions["attribute"].to_numpy(str)
    # Many questions are about one image.
    rows, first, which = np.unique(
        questions["index"].to_numpy(np.int64), return_index=True, return_inverse=True
    )
    said = classifier.probabilities(answered.factual[first])
    said = {name: values[which.reshape(-1)] for name, values in said.items()} if len(rows) else said
    now = classifier.probabilities(answered.images)
    before, after = prediction_of(said, attribute), prediction_of(now, attribute)
    classes = np.array([said[name].ndim == 2 for name in attribute], dtype=bool)
    goal = np.where(classes, questions["target"].to_numpy(np.int64), 1 - before)
    return Predictions(
        before,
        after,
        goal,
        probability_of(said, attribute, goal),
        probability_of(now, attribute, goal),
        questions["answered"].to_numpy(bool),
        answered.unanswered,
        np.array([_constant(classifier, name) for name in attribute], dtype=object),
    )


def prediction_of(said: Mapping[str, np.ndarray], attribute: np.ndarray) -> np.ndarray:
    """Returns the predicted side or class of the attribute that each row asks about.

    Arguments:
        said: For each attribute its probability (N,), or those of its classes (N, K).
        attribute: The attribute of each row, with shape (N,).

    Returns:
        Sides 0 and 1 or classes, int64 (N,); a probability of exactly 1/2 is side 0.
    """
    predicted = np.empty(len(attribute), dtype=np.int64)
    for name in np.unique(attribute):
        rows = attribute == name
        values = said[name][rows]
        predicted[rows] = values.argmax(1) if values.ndim == 2 else values > 0.5
    return predicted


def probability_of(said: Mapping[str, np.ndarray], attribute: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Returns the probability of one side or class of the attribute that each row asks about.

    Arguments:
        said: For each attribute its probability (N,), or those of its classes (N, K).
        attribute: The attribute of each row, with shape (N,).
        side: The side or class of each row, int (N,).

    Returns:
        Float64 probabilities (N,).
    """
    found = np.empty(len(attribute))
    for name in np.unique(attribute):
        rows = np.flatnonzero(attribute == name)
        values, wanted = said[name][rows], side[rows]
        if values.ndim == 2:
            found[rows] = values[np.arange(len(rows)), wanted]
        else:
            found[rows] = np.where(wanted == 1, values, 1.0 - values)
    return found


def _constant(classifier: Classifier, name: str) -> str:
    reason = classifier.constant.get(name, "")
    return f"the classifier {reason}" if reason else ""

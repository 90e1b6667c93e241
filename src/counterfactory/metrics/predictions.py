r"""The classifier's predictions for the images of a suite, and which answers have flipped.

With :math:`\hat y(x)` the classifier's prediction, an answer :math:`\hat x` to an image x has flipped if

.. math:: \hat y(\hat x) = 1 - \hat y(x) \quad \text{(binary)}, \qquad \hat y(\hat x) = y^* \quad \text{(a class)}

The goal of a binary attribute is the opposite of the prediction for the factual image, independent of its label
(Jeanneret et al., 2022, arXiv:2203.15636). The goal of a variable with more than two classes is the class
:math:`y^*` of the question. The definition is the same for every method.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import UserError
from .inputs import SuiteAnswers

if TYPE_CHECKING:
    from ..models.classifier.model import AttributeClassifier

__all__ = ["NOT_FLIPPED", "Predictions", "predict", "prediction_of", "probability_of"]

NOT_FLIPPED = "the classifier's prediction did not flip"


@dataclass(frozen=True)
class Predictions:
    """The classifier's predictions for factual images and answers, one row per question of a suite.

    Arguments:
        before: The prediction for the factual image, 0 or 1 or a class, int64 (N,).
        after: The prediction for the answer, int64 (N,).
        goal: The prediction that the answer should have, int64 (N,).
        goal_before: The probability of the goal given the factual image, float64 (N,).
        goal_after: The probability of the goal given the answer, float64 (N,).
        answered: Whether the method answered each question, bool (N,).
        unanswered: The reason why a question has no answer, if it has none, str (N,).
        constant: The reason why nothing can flip, if the classifier has the same output for every image, str (N,).
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
        """Whether each question has an answer whose prediction is the goal, bool (N,)."""
        return (self.after == self.goal) & self.answered & (self.constant == "")

    @property
    def reasons(self) -> np.ndarray:
        """The reason why a question has no flipped answer, if it has none, str (N,)."""
        reason = np.where(self.answered, NOT_FLIPPED, self.unanswered).astype(object)
        return np.where(self.constant != "", self.constant, reason)

    def why_none(self, rows: np.ndarray) -> str:
        """Returns the reason why none of the questions in `rows`, int (M,), has a flipped answer."""
        if self.constant[rows[0]]:
            return str(self.constant[rows[0]])
        if self.answered[rows].any():
            return f"{NOT_FLIPPED} for any question"
        return "; ".join(dict.fromkeys(self.unanswered[rows]))


def predict(answers: SuiteAnswers, classifier: "AttributeClassifier") -> Predictions:
    """Returns the classifier's predictions for the images of a suite.

    Arguments:
        answers: The answers to a suite whose questions have the columns `attribute` and `target`.
        classifier: The classifier whose decisions are flipped.

    Raises:
        UserError: If the classifier does not predict an attribute of the questions.
    """
    questions = answers.questions
    attribute = questions["attribute"].to_numpy(str)
    # Several questions share one factual image.
    rows, first, which = np.unique(
        questions["index"].to_numpy(np.int64), return_index=True, return_inverse=True
    )
    original = classifier.probabilities(answers.factual[first])
    unknown = sorted(set(attribute) - set(original))
    if unknown:
        raise UserError(
            f"questions of the suite {answers.suite} flip {', '.join(unknown)}, which the classifier does not predict;"
            " train the classifier and write the questions with the same section attributes"
        )
    if len(rows):
        original = {name: values[which.reshape(-1)] for name, values in original.items()}
    changed = classifier.probabilities(answers.images)
    before, after = prediction_of(original, attribute), prediction_of(changed, attribute)
    classes = np.array([original[name].ndim == 2 for name in attribute], dtype=bool)
    goal = np.where(classes, questions["target"].to_numpy(np.int64), 1 - before)
    return Predictions(
        before,
        after,
        goal,
        probability_of(original, attribute, goal),
        probability_of(changed, attribute, goal),
        questions["answered"].to_numpy(bool),
        answers.unanswered,
        np.array([_constant(classifier, name) for name in attribute], dtype=object),
    )


def prediction_of(probabilities: Mapping[str, np.ndarray], attribute: np.ndarray) -> np.ndarray:
    """Returns the prediction for the attribute of each row.

    Arguments:
        probabilities: For each attribute its probability (N,), or those of its classes (N, K).
        attribute: The attribute of each row, with shape (N,).

    Returns:
        The values 0 and 1, or classes, int64 (N,); a probability of exactly 1/2 is predicted as 0.
    """
    predicted = np.empty(len(attribute), dtype=np.int64)
    for name in np.unique(attribute):
        rows = attribute == name
        values = probabilities[name][rows]
        predicted[rows] = values.argmax(1) if values.ndim == 2 else values > 0.5
    return predicted


def probability_of(
    probabilities: Mapping[str, np.ndarray], attribute: np.ndarray, value: np.ndarray
) -> np.ndarray:
    """Returns the probability of one value of the attribute of each row.

    Arguments:
        probabilities: For each attribute its probability (N,), or those of its classes (N, K).
        attribute: The attribute of each row, with shape (N,).
        value: The value 0 or 1, or the class, of each row, int (N,).

    Returns:
        Float64 probabilities (N,).
    """
    found = np.empty(len(attribute))
    for name in np.unique(attribute):
        rows = np.flatnonzero(attribute == name)
        values, wanted = probabilities[name][rows], value[rows]
        if values.ndim == 2:
            found[rows] = values[np.arange(len(rows)), wanted]
        else:
            found[rows] = np.where(wanted == 1, values, 1.0 - values)
    return found


def _constant(classifier: "AttributeClassifier", name: str) -> str:
    reason = classifier.constant.get(name, "")
    return f"the classifier {reason}" if reason else ""

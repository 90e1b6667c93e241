r"""sigma_L: the LPIPS distance between answers to the same question under different seeds.

.. math:: \sigma_L = \frac1N \sum_i \frac{2}{R (R - 1)} \sum_{r < s}
   \mathrm{LPIPS}\big(\hat x_i^{(r)}, \hat x_i^{(s)}\big)

over R repeats of each question (Jeanneret et al., 2022, arXiv:2203.15636, with LPIPS-VGG). A question
counts if all of its repeats flipped, or none did. Published tables treat a higher value as better. It has no direction
here, because the diversity may come from content that should stay the same, and a deterministic method has none.
"""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..core.device import choose_device
from ..models.classifier.model import AttributeClassifier, load_classifier
from ..pretrained.lpips import load_lpips
from .inputs import Score, Scorer, SuiteAnswers, first_answers
from .jpeg import jpeg_round_trip
from .lpips import lpips_distance
from .predictions import predict
from .resources import Resources

if TYPE_CHECKING:
    import lpips

__all__ = ["SCORES", "diversity_scores", "load", "repeats_of"]


SCORES = {"flip": ("sigma_l",)}


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `sigma_l` (LPIPS); reads `scores.diversity` and `scores.lpips.net`."""
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    model = load_lpips(resources.lpips, choose_device(resources.device))
    jpeg = resources.settings.diversity.jpeg
    return lambda answers: diversity_scores(answers, classifier, model, jpeg)


def diversity_scores(
    answers: SuiteAnswers, classifier: AttributeClassifier, model: "lpips.LPIPS", jpeg: bool = False
) -> list[Score]:
    """Returns `sigma_l` of every question with repeats.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
        model: The LPIPS network.
        jpeg: Whether images are compressed as JPEG first, as for the scripts of DiME.
    """
    repeats = repeats_of(answers)
    if not repeats:
        rows = first_answers(answers.questions)
        reason = "every question was asked once (questions.flip.repeats)"
        return [Score("sigma_l", np.full(len(rows), np.nan), reason, rows)]
    predictions = predict(answers, classifier)
    images = jpeg_round_trip(answers.images) if jpeg else answers.images
    values, reasons, pairs, owners = np.full(len(repeats), np.nan), [], [], []
    for number, rows in enumerate(repeats):
        if not predictions.answered[rows].all():
            reasons.append("the method does not answer all repeats of this question")
        elif predictions.constant[rows[0]]:
            reasons.append(predictions.constant[rows[0]])
        elif len(set(predictions.flipped[rows])) > 1:
            reasons.append("some repeats flipped and some did not")
        else:
            reasons.append("")
            found = list(combinations(rows, 2))
            pairs += found
            owners += [number] * len(found)
    if pairs:
        first, second = np.array(pairs).T
        distances = lpips_distance(model, images[first], images[second])
        counts = np.bincount(owners, minlength=len(repeats))
        sums = np.bincount(owners, distances, len(repeats))
        values[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return [
        Score("sigma_l", values, np.array(reasons, dtype=object), np.array([rows[0] for rows in repeats]))
    ]


def repeats_of(answers: SuiteAnswers) -> list[np.ndarray]:
    """Returns the rows of the repeats, in order, of each question with more than one."""
    table = answers.questions.reset_index(drop=True)
    grouped = table.groupby(["intervention", "protocol", "cycles", "index"], sort=False)["repeat"]
    return [part.sort_values().index.to_numpy() for _, part in grouped if len(part) > 1]

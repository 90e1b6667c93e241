r"""sigma_L: how far answers to the same question lie apart when only the seed differs.

.. math:: \sigma_L = \frac1N \sum_i \frac{2}{R (R - 1)} \sum_{r < s}
   \mathrm{LPIPS}\big(\hat x_i^{(r)}, \hat x_i^{(s)}\big)

over R repeats of a question (Jeanneret et al., 2022, arXiv:2203.15636, with LPIPS-VGG). As published, a question counts
if all its repeats flipped, or none did: the files of the others lie in different folders. Published tables call more
better; but the spread may come from what was not to change, and a method without chance has none.
"""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..core.device import choose_device
from ..models.classifier.model import load_classifier
from ..pretrained.lpips import load_lpips
from .inputs import Answered, Score, Scorer, first_answers
from .jpeg import jpeg_round_trip
from .lpips import lpips_distance
from .predictions import Classifier, predict
from .resources import Resources

if TYPE_CHECKING:
    import lpips

__all__ = ["SCORES", "diversity_scores", "load", "repeats_of"]


SCORES = {"flip": ("sigma_l",)}


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `sigma_l` (LPIPS); reads `scores.diversity` and `scores.lpips.net`."""
    classifier = load_classifier(resources.classifier, resources.device)
    model = load_lpips(resources.lpips, choose_device(resources.device))
    jpeg = resources.settings.diversity.jpeg
    return lambda answered: diversity_scores(answered, classifier, model, jpeg)


def diversity_scores(
    answered: Answered, classifier: Classifier, model: "lpips.LPIPS", jpeg: bool = False
) -> list[Score]:
    """Returns the score of every question that was asked more than once.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
        model: The perceptual network.
        jpeg: Whether images are looked at after JPEG, as published.
    """
    repeats = repeats_of(answered)
    if not repeats:
        rows = first_answers(answered)
        reason = "every question was asked once (questions.flip.repeats)"
        return [Score("sigma_l", np.full(len(rows), np.nan), reason, rows)]
    said = predict(answered, classifier)
    images = jpeg_round_trip(answered.images) if jpeg else answered.images
    values, reasons, pairs, owners = np.full(len(repeats), np.nan), [], [], []
    for number, rows in enumerate(repeats):
        if not said.answered[rows].all():
            reasons.append("the method does not answer all repeats of this question")
        elif said.constant[rows[0]]:
            reasons.append(said.constant[rows[0]])
        elif len(set(said.flipped[rows])) > 1:
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


def repeats_of(answered: Answered) -> list[np.ndarray]:
    """Returns, of each question that was asked more than once, the rows of its repeats in order."""
    table = answered.questions.reset_index(drop=True)
    grouped = table.groupby(["intervention", "protocol", "cycles", "index"], sort=False)["repeat"]
    return [part.sort_values().index.to_numpy() for _, part in grouped if len(part) > 1]

r"""FVA and FS: whether a flipped answer still shows the same identity.

With :math:`\phi` an embedding of norm 1 that was trained to discriminate identities, over the M flipped answers,

.. math:: \mathrm{FS} = \frac1M \sum_i \langle \phi(x_i), \phi(\hat x_i) \rangle, \qquad
   \mathrm{FVA} = \frac1M \sum_i \left[\langle \phi(x_i), \phi(\hat x_i) \rangle > \theta\right]

- `fs`: face similarity, a cosine (Jeanneret et al., 2023, arXiv:2303.09962).
- `fva`: face verification accuracy, a share (Jeanneret et al., 2022, arXiv:2203.15636).

Higher is better for both. Published values use the ResNet-50 of VGGFace2 (`identity.network.name:
vggface2_resnet50`) and :math:`\theta = 0.5`, which is on the scale of that network. By default :math:`\theta` is the
threshold that the training of the identity network chose at a fixed false accept rate. On digits, the network
discriminates handwritten originals instead of faces.
"""

from collections.abc import Callable

import numpy as np

from ..models.classifier.model import AttributeClassifier, load_classifier
from ..models.identity.model import load_identity
from .inputs import Score, Scorer, SuiteAnswers, first_answers
from .jpeg import jpeg_round_trip
from .predictions import predict
from .resources import Resources

__all__ = ["SCORES", "identity_scores", "load", "similarity"]

SCORES = {"flip": ("fva", "fs")}

Embedding = Callable[[np.ndarray], np.ndarray]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `fva` (share) and `fs` (cosine); reads `scores.identity`."""
    settings = resources.settings.identity
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    embed = load_identity(resources.identity, resources.device)
    threshold = embed.threshold if settings.threshold is None else settings.threshold
    return lambda answers: identity_scores(answers, classifier, embed, threshold, settings.jpeg)


def identity_scores(
    answers: SuiteAnswers,
    classifier: AttributeClassifier,
    embed: Embedding,
    threshold: float,
    jpeg: bool = False,
) -> list[Score]:
    """Returns `fva` and `fs` of the flipped answers; repeats are left out.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
        embed: A function from uint8 images (N, C, H, W) to embeddings (N, F) of norm 1.
        threshold: The cosine above which two images count as one identity.
        jpeg: Whether images are compressed as JPEG first, as for the scripts of DiME.
    """
    rows = first_answers(answers.questions)
    predictions = predict(answers, classifier)
    flipped = predictions.flipped[rows]
    similar = np.full(len(rows), np.nan)
    factual, images = answers.factual[rows[flipped]], answers.images[rows[flipped]]
    if jpeg:
        factual, images = jpeg_round_trip(factual), jpeg_round_trip(images)
    if flipped.any():
        similar[flipped] = similarity(embed(factual), embed(images))
    same = np.where(flipped, (similar > threshold).astype(np.float64), np.nan)
    reasons = predictions.reasons[rows]
    return [Score("fva", same, reasons, rows), Score("fs", similar, reasons, rows)]


def similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the cosine of each pair of embeddings.

    Arguments:
        first: Embeddings with shape (N, F), of any norm but 0.
        second: Embeddings of the same shape.

    Returns:
        Float64 cosines in [-1, 1], with shape (N,).
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(1) / lengths

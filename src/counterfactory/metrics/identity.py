r"""FVA and FS: whether a flipped answer still shows the same one.

With :math:`\phi` an embedding of unit length that was trained to tell identities apart, over the flipped answers,

.. math:: \mathrm{FS} = \frac1M \sum_i \langle \phi(x_i), \phi(\hat x_i) \rangle, \qquad
   \mathrm{FVA} = \frac1M \sum_i \left[\langle \phi(x_i), \phi(\hat x_i) \rangle > \theta\right]

face verification accuracy and face similarity (Jeanneret et al., 2022, arXiv:2203.15636; 2023, arXiv:2303.09962).
Published with VGGFace2's ResNet-50 (`identity.network.name: vggface2_resnet50`), whose scale
:math:`\theta = 0.5` belongs to; by default :math:`\theta` is the
threshold that the embedding's own training chose at a given false accept rate, since a cosine of 0.5 means another
thing to another network. On digits the embedding tells handwritings, not faces.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..core.files import read_json
from ..models.classifier.model import load_classifier
from ..models.identity.model import load_identity
from .inputs import Answered, Score, Scorer, first_answers
from .jpeg import jpeg_round_trip
from .predictions import Classifier, predict
from .resources import Resources

__all__ = ["SCORES", "identity_scores", "identity_threshold", "load", "similarity"]

SCORES = {"flip": ("fva", "fs")}

Embedding = Callable[[np.ndarray], np.ndarray]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `fva` (share) and `fs` (cosine); reads `scores.identity`."""
    settings = resources.settings.identity
    classifier = load_classifier(resources.classifier, resources.device)
    embed = load_identity(resources.identity, resources.device)
    threshold = identity_threshold(settings.threshold, resources.identity)
    return lambda answered: identity_scores(answered, classifier, embed, threshold, settings.jpeg)


def identity_threshold(given: float | None, folder: Path) -> float:
    """Returns the cosine above which two images count as one identity.

    Arguments:
        given: The configuration's, `scores.identity.threshold`; None: the one that the embedding's training chose.
        folder: The folder of the embedding.
    """
    return float(read_json(folder / "model.json")["threshold"]) if given is None else given


def identity_scores(
    answered: Answered, classifier: Classifier, embed: Embedding, threshold: float, jpeg: bool = False
) -> list[Score]:
    """Returns the scores of the flipped answers of a suite, repeats left out.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
        embed: From uint8 images (N, C, H, W) to embeddings (N, F) of unit length.
        threshold: The cosine above which two images count as one identity.
        jpeg: Whether images are looked at after JPEG, as published.
    """
    rows = first_answers(answered)
    said = predict(answered, classifier)
    flipped = said.flipped[rows]
    similar = np.full(len(rows), np.nan)
    one, other = answered.factual[rows[flipped]], answered.images[rows[flipped]]
    if jpeg:
        one, other = jpeg_round_trip(one), jpeg_round_trip(other)
    if flipped.any():
        similar[flipped] = similarity(embed(one), embed(other))
    same = np.where(flipped, (similar > threshold).astype(np.float64), np.nan)
    reasons = said.reasons[rows]
    return [Score("fva", same, reasons, rows), Score("fs", similar, reasons, rows)]


def similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the cosine of each pair of embeddings.

    Arguments:
        first: Embeddings with shape (N, F), of any length but 0.
        second: Embeddings likewise.

    Returns:
        Float64 cosines in [-1, 1], with shape (N,).
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(1) / lengths

r"""FID, sFID and KID: whether flipped answers look real to Inception.

`fid` is the Frechet distance (:mod:`counterfactory.metrics.frechet`) of the flipped answers from real images in the
features of `pytorch-fid`'s Inception; `sfid` between one half's real images and the other half's answers, mean of ten
shuffles; `kid` the kernel distance, which does not depend on the number of images. Published values stand on about
20,000 faces. Inception costs 0.15 s an image on a CPU, so here only the first `images` questions of an intervention
are looked at, and every value tells n: under 2,048, the number of features, FID says more of n than of the images,
and only values at equal n can be compared. Inception also never saw digits; read `oracle_frechet` beside it.

As published, real images are the originals of all answers, also those that never flipped, and both come from JPEG
files (`real: all`, `jpeg: true`). By default they are the originals of the flipped answers, so that a method is not
scored by what it could not flip. Either way an answer shares its content with an original, which flatters `fid` and
not `sfid`; `kid` leaves such pairs out.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.device import choose_device
from ..core.errors import MissingWeights
from ..core.files import read_table
from ..core.noise import derive_seed
from ..data.dataset import load_split
from ..models.classifier.model import load_classifier
from ..pretrained.inception import FEATURES, load_inception
from .frechet import frechet_distance, kernel_distance, note_on, split_frechet_distance
from .inception import inception_features, read_features, write_features
from .inputs import Answered, Group, Scorer, SetScore, sets
from .jpeg import jpeg_round_trip
from .predictions import Classifier, predict
from .resources import Resources

__all__ = ["SCORES", "fid_scores", "compute_reference", "load"]

SCORES = {"flip": ("fid", "sfid", "kid")}

Features = Callable[[np.ndarray], np.ndarray]


def compute_reference(resources: Resources, questions: Path, out: Path) -> None:
    """Writes the features of the real images asked about, the same for all methods; reads `scores.fid`.

    Arguments:
        resources: The data and the weights of Inception.
        questions: The questions of the suite `flip`.
        out: The safetensors file to write: `rows` of the test split, int64 (N,), and `features`, float32 (N, 2048).
    """
    settings = resources.settings.fid
    asked = read_table(questions)
    firsts = [rows[: settings.images] for _, rows in sets(asked)]
    rows = np.unique(asked["index"].to_numpy(np.int64)[np.concatenate(firsts)])
    images = load_split(resources.data, "test").images[rows]
    embed = _features(resources, "inception, real images")
    try:
        write_features(out, rows, embed(jpeg_round_trip(images) if settings.jpeg else images))
    except MissingWeights as error:
        write_features(out, rows[:0], np.empty((0, FEATURES), np.float32), missing=str(error))


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `fid`, `sfid` and `kid`; reads `scores.fid`."""
    classifier = load_classifier(resources.classifier, resources.device)
    real = read_features(resources.reference)
    embed = _features(resources, "inception")
    return lambda answered: fid_scores(answered, classifier, real, embed, resources.settings.fid)


def _features(resources: Resources, label: str) -> Features:
    """Returns what embeds images; the network is loaded when there are any."""
    loaded = []

    def embed(images: np.ndarray) -> np.ndarray:
        if not loaded:
            loaded.append(load_inception(resources.inception, choose_device(resources.device)))
        return inception_features(loaded[0], images, label)

    return embed


def fid_scores(
    answered: Answered,
    classifier: Classifier,
    real: Mapping[int, np.ndarray],
    embed: Features,
    settings: Any,
) -> list[SetScore]:
    """Returns the scores of the flipped answers of each intervention.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
        real: The features (D,) of each row of the test split that is asked about.
        embed: From uint8 images (N, C, H, W) to features (N, D).
        settings: The configuration's section `scores.fid`.
    """
    said = predict(answered, classifier)
    scores = []
    for group, asked in sets(answered.questions):
        rows = asked[: settings.images]
        flips = np.flatnonzero(said.flipped[rows])
        if len(flips) < settings.least:
            reason = f"{len(flips)} of {len(rows)} looked at flipped; scores.fid.least is {settings.least}"
            if not len(flips):
                reason = said.why_none(rows)
            scores += [SetScore(name, group, np.nan, 0, reason=reason) for name in SCORES["flip"]]
            continue
        images = answered.images[rows[flips]]
        made = embed(jpeg_round_trip(images) if settings.jpeg else images)
        originals = np.stack([real[index] for index in answered.questions["index"].iloc[rows].tolist()])
        scores += _scores(group, originals, made, flips, settings.real, settings.shuffles)
    return scores


def _scores(
    group: Group,
    originals: np.ndarray,
    made: np.ndarray,
    pairs: np.ndarray,
    real: Literal["flipped", "all"],
    shuffles: int,
) -> list[SetScore]:
    """Returns the three scores of one set of answers with features `made`, of the originals in the rows `pairs`."""
    if real == "flipped":
        originals, pairs = originals[pairs], np.arange(len(made))
    # Named by the set alone, so that all methods are shuffled alike.
    seed = derive_seed(0, "sfid", *group)
    values = {
        "fid": frechet_distance(originals, made),
        "sfid": split_frechet_distance(originals, made, pairs, shuffles, seed),
        "kid": kernel_distance(originals, made, pairs),
    }
    notes = {name: note_on(len(made), FEATURES) for name in ("fid", "sfid")} | {"kid": ""}
    few = "some half has fewer than two originals or answers"
    return [
        SetScore(name, group, value, len(made), reason=notes[name])
        if np.isfinite(value)
        else SetScore(name, group, np.nan, 0, reason=few)
        for name, value in values.items()
    ]

r"""FID, sFID and KID: distances between flipped answers and real images in features of Inception.

- `fid` is the Frechet distance (:mod:`counterfactory.metrics.frechet`) between flipped answers and real images in the
  2,048 features of the Inception network of `pytorch-fid` (Heusel et al., 2017, arXiv:1706.08500).
- `sfid` is the distance between the real images of one half of the questions and the answers of the other half, mean of
  several random splits (Jeanneret et al., 2023, arXiv:2303.09962).
- `kid` is the kernel distance (Binkowski et al., 2018, arXiv:1801.01401). Its expectation does not depend on the number
  of images.

Lower is better for all three. Published values use about 20,000 faces. Inception takes 0.15 s per image on a CPU, so
only the first `scores.fid.images` questions of each set are scored, and every value has its n. Below n = 2,048, the
number of features, FID depends more on n than on the images: compare values at equal n only. Inception was trained on
photographs; for digits, :mod:`counterfactory.metrics.oracle_frechet` is more meaningful.

In the scripts of DiME the real images are the factual images of all answers, including those that did not flip, and all
images are compressed as JPEG (`real: all`, `jpeg: true`). By default they are the factual images of the flipped
answers, so that a method is not penalized here for answers that did not flip. An answer shares content with its factual
image, which lowers `fid`, but not `sfid`; `kid` leaves out such pairs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..core.device import choose_device
from ..core.errors import MissingWeights
from ..core.noise import derive_seed
from ..data.dataset import load_split
from ..models.classifier.model import AttributeClassifier, load_classifier
from ..pretrained.inception import FEATURES, load_inception
from .frechet import frechet_distance, kernel_distance, note_on, split_frechet_distance
from .inception import inception_features, read_features, write_features
from .inputs import Group, Scorer, SetScore, SuiteAnswers, read_questions, sets
from .jpeg import jpeg_round_trip
from .predictions import predict
from .resources import Resources

if TYPE_CHECKING:
    from ..config.scores import FidSettings

__all__ = ["SCORES", "compute_reference", "embedder", "fid_scores", "load"]

SCORES = {"flip": ("fid", "sfid", "kid")}

Features = Callable[[np.ndarray], np.ndarray]


def compute_reference(resources: Resources, questions: Mapping[str, Path], out: Path) -> None:
    """Writes the features of the factual images, which are the same for all methods; reads `scores.fid`.

    Arguments:
        resources: The data and the weights of Inception.
        questions: The table of questions of the suite `flip`, by the name of the suite.
        out: The safetensors file to write: `rows` of the test split, int64 (N,), and `features`, float32 (N, 2048).
    """
    settings = resources.settings.fid
    test = load_split(resources.data, "test")
    table = read_questions(questions["flip"], len(test.images))
    firsts = [rows[: settings.images] for _, rows in sets(table)]
    rows = np.unique(table["index"].to_numpy(np.int64)[np.concatenate(firsts)])
    images = test.images[rows]
    embed = embedder(resources, "inception, real images")
    try:
        write_features(out, rows, embed(jpeg_round_trip(images) if settings.jpeg else images))
    except MissingWeights as error:
        write_features(out, rows[:0], np.empty((0, FEATURES), np.float32), missing=str(error))


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `fid`, `sfid` and `kid`; reads `scores.fid`."""
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    real = read_features(resources.reference)
    embed = embedder(resources, "inception")
    return lambda answers: fid_scores(answers, classifier, real, embed, resources.settings.fid)


def fid_scores(
    answers: SuiteAnswers,
    classifier: AttributeClassifier,
    real: Mapping[int, np.ndarray],
    embed: Features,
    settings: "FidSettings",
) -> list[SetScore]:
    """Returns `fid`, `sfid` and `kid` of the flipped answers of each set of questions.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
        real: The features (D,) of each factual image, by its row of the test split.
        embed: A function from uint8 images (N, C, H, W) to features (N, D).
        settings: The section `scores.fid` of the configuration.
    """
    predictions = predict(answers, classifier)
    scores = []
    for group, questions in sets(answers.questions):
        rows = questions[: settings.images]
        flips = np.flatnonzero(predictions.flipped[rows])
        if len(flips) < settings.least:
            reason = f"{len(flips)} of {len(rows)} answers flipped; scores.fid.least is {settings.least}"
            if not len(flips):
                reason = predictions.why_none(rows)
            scores += [SetScore(name, group, np.nan, 0, reason=reason) for name in SCORES["flip"]]
            continue
        images = answers.images[rows[flips]]
        made = embed(jpeg_round_trip(images) if settings.jpeg else images)
        originals = np.stack([real[index] for index in answers.questions["index"].iloc[rows].tolist()])
        scores += _scores(group, originals, made, flips, settings.real, settings.shuffles)
    return scores


def embedder(resources: Resources, label: str) -> Features:
    """Returns a function that embeds images. It loads Inception when it is called first."""
    loaded: list[Any] = []

    def embed(images: np.ndarray) -> np.ndarray:
        if not loaded:
            loaded.append(load_inception(resources.inception, choose_device(resources.device)))
        return inception_features(loaded[0], images, label)

    return embed


def _scores(
    group: Group,
    originals: np.ndarray,
    made: np.ndarray,
    pairs: np.ndarray,
    real: Literal["flipped", "all"],
    shuffles: int,
) -> list[SetScore]:
    """Returns the three scores of answers with features `made`, whose factual images are the rows `pairs`."""
    if real == "flipped":
        originals, pairs = originals[pairs], np.arange(len(made))
    # The seed depends on the set only: the splits of all methods are the same.
    seed = derive_seed(0, "sfid", *group)
    values = {
        "fid": frechet_distance(originals, made),
        "sfid": split_frechet_distance(originals, made, pairs, shuffles, seed),
        "kid": kernel_distance(originals, made, pairs),
    }
    notes = {name: note_on(len(made), FEATURES) for name in ("fid", "sfid")} | {"kid": ""}
    few = "a half has fewer than two factual images or answers"
    return [
        SetScore(name, group, value, len(made), reason=notes[name])
        if np.isfinite(value)
        else SetScore(name, group, np.nan, 0, reason=few)
        for name, value in values.items()
    ]

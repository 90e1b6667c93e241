r"""FID of interventions: the Frechet distance between answers and images of the train split in features of Inception.

As in the benchmark of Melistas et al. (2024, arXiv:2403.20287), the answers to the suite `do` are compared with factual
training images, which are no originals of the answers. It measures whether answers look like data; it says nothing
about the intervention. Lower is better; the distance is that of :mod:`counterfactory.metrics.frechet`, in the 2,048
features of `pytorch-fid`.

The benchmark compares one answer to each test image with all training images, and draws the variable that is set for
every batch. Here every set of questions has a score of its own, of its first `scores.do_fid.images` questions and of
`scores.do_fid.real` training images. Below n = 2,048 the distance depends more on n than on the images. The score
follows the original's code as described; no output of that code is compared.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import MissingWeights
from ..data.dataset import load_split
from ..pretrained.inception import FEATURES
from .fid import embedder
from .frechet import frechet_distance, note_on
from .inception import read_features, write_features
from .inputs import Scorer, SetScore, SuiteAnswers, sets
from .resources import Resources

if TYPE_CHECKING:
    from ..config.scores import DoFidSettings

__all__ = ["SCORES", "compute_reference", "do_fid", "load"]

SCORES = {"do": ("do_fid",)}


def compute_reference(resources: Resources, questions: Mapping[str, Path], out: Path) -> None:
    """Writes the features of training images, which are the same for all methods; reads `scores.do_fid`.

    Arguments:
        resources: The data and the weights of Inception.
        questions: Not used.
        out: The safetensors file to write: `rows` of the train split, int64 (N,), and `features`, float32 (N, 2048).
    """
    images = load_split(resources.data, "train").images[: resources.settings.do_fid.real]
    rows = np.arange(len(images))
    try:
        write_features(out, rows, embedder(resources, "inception, train split")(images))
    except MissingWeights as error:
        write_features(out, rows[:0], np.empty((0, FEATURES), np.float32), missing=str(error))


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `do_fid`; reads `scores.do_fid`."""
    real = np.stack(list(read_features(resources.reference).values()))
    embed = embedder(resources, "inception")
    return lambda answers: do_fid(answers, real, embed, resources.settings.do_fid)


def do_fid(
    answers: SuiteAnswers,
    real: np.ndarray,
    embed: Callable[[np.ndarray], np.ndarray],
    settings: "DoFidSettings",
) -> list[SetScore]:
    """Returns `do_fid` of each set of questions.

    Arguments:
        answers: The answers to the suite `do`.
        real: The features of training images, with shape (M, D).
        embed: A function from uint8 images (N, C, H, W) to features (N, D).
        settings: The section `scores.do_fid` of the configuration.
    """
    answered = answers.questions["answered"].to_numpy(bool)
    scores = []
    for group, questions in sets(answers.questions):
        rows = questions[: settings.images]
        rows = rows[answered[rows]]
        if min(len(rows), len(real)) < 2:
            reason = "fewer than two answers or training images"
            scores.append(SetScore("do_fid", group, np.nan, 0, reason=reason))
            continue
        value = frechet_distance(real, embed(answers.images[rows]))
        note = note_on(min(len(rows), len(real)), FEATURES)
        scores.append(SetScore("do_fid", group, value, len(rows), reason=note))
    return scores

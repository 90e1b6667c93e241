r"""Minimality: the counterfactual latent divergence (CLD) of an answer.

An answer should change no more than the intervention requires. With d the distance between the answer
:math:`\hat x` and its factual image x, compare d with the distances between x and real images:

.. math:: P_1 = P\big(d(x, x') \le d \mid x' \text{ has the new value}\big), \qquad
   P_2 = P\big(d(x, x') \ge d \mid x' \text{ has the factual value}\big), \qquad
   \mathrm{CLD} = \log\big(0.8\, e^{P_1} + 0.2\, e^{P_2}\big)

(Sanchez and Tsaftaris, 2022, arXiv:2202.10166; Melistas et al., 2024, arXiv:2403.20287). It lies in [0, 1]; lower is
better. :math:`P_2` rewards a minimum of change, so that a copy of the factual image does not score 0. A continuous
value is replaced by its bin. An intervention on several variables requires equal bins of all of them.

The real images are those of the test split, the factual one among them. The distance is the mean absolute difference of
pixels. Published values use a divergence between the posteriors of a VAE without parents
(:func:`divergence`), which is not trained here: they cannot be compared with these.
"""

import json
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ..data.dataset import load_split
from ..questions.bins import Bins
from .inputs import Score, Scorer, SuiteAnswers
from .lpips import first_questions
from .resources import Resources

__all__ = ["cld", "divergence", "load", "minimality"]

SCORES = {"do": ("minimality",)}
WEIGHT = 0.8
"""The weight of the first term."""

EMPTY = "no image of the test split has the new value"
UNKNOWN = "the value after the intervention is not determined"

Distances = Callable[[np.ndarray, np.ndarray], np.ndarray]


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `minimality`; reads `scores.minimality`."""
    settings = resources.settings.minimality
    test, train = (load_split(resources.data, split) for split in ("test", "train"))

    def scorer(answers: SuiteAnswers) -> list[Score]:
        bins = Bins(answers.dataset, train.attributes, settings.bins)
        return [minimality(answers, test.images, test.attributes, bins, settings.questions)]

    return scorer


def minimality(
    answers: SuiteAnswers, real: np.ndarray, attributes: pd.DataFrame, bins: Bins, questions: int
) -> Score:
    """Returns `minimality` of the first `questions` questions of each set.

    Arguments:
        answers: The answers to the suite `do`.
        real: The images of the test split, uint8 with shape (M, C, H, W).
        attributes: Their attributes, M rows.
        bins: The bins of continuous variables.
        questions: The number of questions scored per set.
    """
    rows = first_questions(answers.questions, questions)
    own = {name: bins(name, attributes[name].to_numpy(np.float64)) for name in answers.dataset.names}
    values, reasons = np.full(len(rows), np.nan), np.full(len(rows), "", dtype=object)
    for place, row in enumerate(rows):
        question = answers.questions.iloc[row]
        if not question["answered"]:
            continue
        changed = sorted(set().union(*json.loads(question["steps"])))
        after = {name: float(question[f"true_{name}"]) for name in changed}
        if np.isnan(list(after.values())).any():
            reasons[place] = UNKNOWN
            continue
        factual = {name: own[name][int(question["index"])] for name in changed}
        before = _same(own, factual, len(real))
        new = _same(own, {name: bins(name, np.array([value]))[0] for name, value in after.items()}, len(real))
        if not new.any():
            reasons[place] = EMPTY
            continue
        distances = _absolute(answers.factual[row], real)
        moved = _absolute(answers.factual[row], answers.images[row : row + 1])[0]
        values[place] = cld(moved, distances[new], distances[before])
    return Score("minimality", values, reasons, rows)


def cld(moved: float, new: np.ndarray, factual: np.ndarray) -> float:
    """Returns CLD of one answer, in [0, 1].

    Arguments:
        moved: The distance between the answer and its factual image.
        new: The distances between the factual image and real images with the new value, (M,), M at least 1.
        factual: The distances to real images with the factual value, the factual image itself among them, (K,).
    """
    nearer, farther = float(np.mean(new <= moved)), float(np.mean(factual >= moved))
    return float(np.log(WEIGHT * np.exp(nearer) + (1.0 - WEIGHT) * np.exp(farther)))


def divergence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""Returns the divergence between codes of a VAE as the benchmark's code computes it, (N,).

    It is :math:`\mathrm{KL}(q_1 \| q_2) / Z` in which the means also stand in the place of the log standard
    deviations.

    Arguments:
        first: The means of the first posteriors, with shape (N, Z) or (1, Z).
        second: Those of the second ones, with shape (N, Z).
    """
    terms = second - first - 0.5 + 0.5 * (np.exp(2 * first) + (first - second) ** 2) * np.exp(-2 * second)
    return terms.mean(1)


def _same(bins: Mapping[str, np.ndarray], wanted: Mapping[str, int], count: int) -> np.ndarray:
    """Returns which of `count` images are in the wanted bin of each variable, bool (M,)."""
    same = np.ones(count, dtype=bool)
    for name, value in wanted.items():
        same &= bins[name] == value
    return same


def _absolute(image: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the mean absolute difference between an image (C, H, W) and others (M, C, H, W), float64 (M,)."""
    difference = np.maximum(image[None], others) - np.minimum(image[None], others)
    return difference.reshape(len(others), -1).mean(1, dtype=np.float64)

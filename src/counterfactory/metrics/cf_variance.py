r"""Variance of counterfactuals over particles: how far answers to the same question under other noise differ.

Each repeat r of a question has its own seed, so that latents (and the noise of classes) are drawn again. With R repeats

.. math:: v = \frac{1}{CHW} \sum_p \Big( \frac1R \sum_r \hat x_{p,r}^2 - \big( \frac1R \sum_r \hat x_{p,r} \big)^2 \Big)

in images scaled to [-1, 1]: the mean over pixels of the variance that causal-gen reports of its particles (De Sousa
Ribeiro et al., 2023, arXiv:2306.15764). It has no direction: a method that ignores the posterior's width has none.
`cf_std` is the root of the same mean, in grey levels. The score follows the original's code as described.

Only the suite `flip` repeats questions (`questions.flip.repeats`); a deterministic method has the score 0.
"""

import numpy as np

from .diversity import repeats_of
from .inputs import Score, Scorer, SuiteAnswers, first_answers
from .resources import Resources

__all__ = ["SCORES", "cf_variance", "load", "variance"]

SCORES = {"flip": ("cf_variance", "cf_std")}
ONCE = "every question was asked once (questions.flip.repeats)"
SOME = "the method does not answer all repeats of this question"


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `cf_variance` (squared units of [-1, 1]) and `cf_std` (grey levels)."""
    return cf_variance


def cf_variance(answers: SuiteAnswers) -> list[Score]:
    """Returns `cf_variance` and `cf_std` of every question with repeats.

    Arguments:
        answers: The answers to the suite `flip`.
    """
    repeats = repeats_of(answers)
    if not repeats:
        rows = first_answers(answers.questions)
        return [Score(name, np.full(len(rows), np.nan), ONCE, rows) for name in SCORES["flip"]]
    answered = answers.questions["answered"].to_numpy(bool)
    values = np.array(
        [variance(answers.images[rows]) if answered[rows].all() else np.nan for rows in repeats]
    )
    reasons = np.where(np.isnan(values), SOME, "").astype(object)
    first = np.array([rows[0] for rows in repeats])
    return [
        Score("cf_variance", values, reasons, first),
        Score("cf_std", 127.5 * np.sqrt(values), reasons, first),
    ]


def variance(images: np.ndarray) -> float:
    """Returns the mean over pixels of the variance over particles, in squared units of [-1, 1].

    Arguments:
        images: The answers to one question, uint8 with shape (R, C, H, W).
    """
    return float((images.astype(np.float64) / 127.5).var(0).mean())

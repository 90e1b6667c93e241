"""What a metric sees: one suite's questions, the answers of one method, and what to hold them against.

How an answer was made is not in it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..answers.store import gather
from ..core.errors import UserError
from ..core.files import read_table
from ..data.dataset import Dataset, Split, load_dataset, load_split

__all__ = [
    "Answered",
    "Asked",
    "Group",
    "Score",
    "Scorer",
    "SetScore",
    "absent",
    "first_answers",
    "load_answered",
    "load_answers",
    "load_asked",
    "sets",
]

UNANSWERED = "the method does not answer this question"
NO_TRUTH = "the true counterfactual image is not determined: it would be another handwritten image"
NOT_SIMULATED = "the world is not simulated: there is no true counterfactual image"


@dataclass(frozen=True)
class Asked:
    """One suite before any method answers it: what all methods are scored with.

    Arguments:
        dataset: The data set.
        suite: The suite's name.
        questions: The questions, one row each.
        factual: The images asked about, uint8 with shape (N, C, H, W).
        truth: The true counterfactual images, uint8 with shape (N, C, H, W); None if there are none.
        known: Which rows of `truth` mean anything, with shape (N,).
    """

    dataset: Dataset
    suite: str
    questions: pd.DataFrame
    factual: np.ndarray
    truth: np.ndarray | None
    known: np.ndarray


@dataclass(frozen=True)
class Answered(Asked):
    """One suite, answered by one method; `questions` also has the column `answered` and, under the variables' names,
    the method's own parents in the end.

    Arguments:
        images: The answers, uint8 with shape (N, C, H, W).
    """

    images: np.ndarray

    def true(self, variable: str) -> np.ndarray:
        """Returns the true value of a parent in the end, float64 (N,), NaN where it is not determined."""
        return self.questions[f"true_{variable}"].to_numpy(np.float64)

    def own(self, variable: str) -> np.ndarray:
        """Returns the method's own value of a parent in the end, float64 (N,)."""
        return self.questions[variable].to_numpy(np.float64)

    @property
    def unanswered(self) -> np.ndarray:
        """Why each question is not answered, str (N,), where it is not."""
        told = self.questions.get("reason", pd.Series("", index=self.questions.index)).fillna("")
        return np.where(told != "", told, UNANSWERED).astype(object)

    @property
    def no_truth(self) -> str:
        """Why a true counterfactual image is missing."""
        return NOT_SIMULATED if self.truth is None else NO_TRUTH


@dataclass(frozen=True)
class Score:
    """One score of a suite's questions.

    Arguments:
        metric: The score's name.
        values: The scores, float64 with shape (N,) or that of `rows`; NaN where there is none.
        reason: Why there is none, where there is none: one for all, or one a score.
        rows: The questions scored, if not all; the others were not asked for.
    """

    metric: str
    values: np.ndarray
    reason: str | np.ndarray = ""
    rows: np.ndarray | None = None


Group = tuple[str, str, int]
"""Intervention, protocol and cycles: what the questions of one set have in common."""


@dataclass(frozen=True)
class SetScore:
    """One score of a whole set of answers, which is no mean of scores of single ones.

    Arguments:
        metric: The score's name.
        group: The set's intervention, protocol and cycles.
        value: The score; NaN if there is none.
        n: The number of answers behind it.
        low: The lower end of its interval; NaN if it has none.
        high: The upper end, likewise.
        reason: Why there is no score, or what to mind about it.
    """

    metric: str
    group: Group
    value: float
    n: int
    low: float = np.nan
    high: float = np.nan
    reason: str = ""


Scorer = Callable[[Answered], list[Score | SetScore]]
"""A metric, ready to score a suite."""


def first_answers(answered: Answered) -> np.ndarray:
    """Returns the rows of all questions but repeats, which are asked for the spread between seeds alone."""
    return np.flatnonzero(answered.questions["repeat"].to_numpy() == 0)


def sets(questions: pd.DataFrame) -> Iterator[tuple[Group, np.ndarray]]:
    """Yields each set of questions of a suite, repeats left out, and its rows in order."""
    rows = np.flatnonzero(questions["repeat"].to_numpy() == 0)
    keys = questions[["intervention", "protocol", "cycles"]].iloc[rows].reset_index(drop=True)
    for key, part in keys.groupby(list(keys), sort=False):
        yield key, rows[part.index.to_numpy()]


def absent(names: Mapping[str, Sequence[str]], reason: str, answered: Answered) -> list[SetScore]:
    """Returns, for each set of questions of a suite, the scores that a metric would give it, all absent.

    Arguments:
        names: The scores of each suite.
        reason: Why there are none.
        answered: The suite.
    """
    groups = answered.questions[["intervention", "protocol", "cycles"]].drop_duplicates()
    return [
        SetScore(name, group, np.nan, 0, reason=reason)
        for group in groups.itertuples(index=False, name=None)
        for name in names[answered.suite]
    ]


def load_asked(
    suite: str, dataset: Dataset, test: Split, questions: Path | str, truth: Path | str | None = None
) -> Asked:
    """Reads what does not depend on the method: one suite's questions, the images asked about, the true ones.

    Arguments:
        suite: The suite's name.
        dataset: The data set.
        test: Its test split.
        questions: The suite's table of questions.
        truth: The answers of the method `truth`, with a folder for each suite; None where no metric compares with them.

    Raises:
        UserError: If something is missing or damaged, or the true answers are to other questions.
    """
    asked = read_table(questions)
    rows = asked["index"].to_numpy(np.int64)
    if len(rows) and rows.max() >= len(test.images):
        raise UserError(
            f"{questions}: asks about image {rows.max()} of {len(test.images)}; delete it and run again"
        )
    true_images, known = None, np.zeros(len(asked), dtype=bool)
    if truth is not None and dataset.simulated:
        true_images, true_table = gather(truth, suite, asked)
        # Setting a category, such as the digit, asks for an image that no rendering of this one gives; by
        # chance the value may be the factual one, and scoring those few questions alone would flatter every
        # method.
        categories = {variable.name for variable in dataset.variables if variable.kind == "categorical"}
        untouched = [categories.isdisjoint(set().union(*json.loads(steps))) for steps in asked["steps"]]
        known = true_table["answered"].to_numpy(bool) & np.array(untouched, dtype=bool)
    return Asked(dataset, suite, asked, test.images[rows], true_images, known)


def load_answers(asked: Asked, answers: Path | str) -> Answered:
    """Reads one method's answers to a suite.

    Arguments:
        asked: The suite.
        answers: The answers of one method and training seed, with a folder for each suite.

    Raises:
        UserError: If they are missing, damaged, or to other questions.
    """
    images, table = gather(answers, asked.suite, asked.questions)
    return Answered(asked.dataset, asked.suite, table, asked.factual, asked.truth, asked.known, images)


def load_answered(
    suite: str, data: Path | str, questions: Path | str, answers: Path | str, truth: Path | str | None = None
) -> Answered:
    """Reads one suite's questions and the answers of one method.

    Arguments:
        suite: The suite's name.
        data: The data set's folder.
        questions: The suite's table of questions.
        answers: The answers of one method and training seed, with a folder for each suite.
        truth: The answers of the method `truth`, likewise; None where no metric compares with them.

    Raises:
        UserError: If something is missing or damaged, or the answers are to other questions.
    """
    asked = load_asked(suite, load_dataset(data), load_split(data, "test"), questions, truth)
    return load_answers(asked, answers)

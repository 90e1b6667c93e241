"""The inputs and outputs of a metric: the questions of one suite, the answers of one method, and the scores.

They contain no information about how an answer was computed.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..answers.store import gather
from ..core.errors import UserError, reading
from ..core.files import read_table
from ..data.dataset import Dataset, Split, Variable, load_dataset, load_split
from ..data.registry import noun_of
from ..data.worlds import undetermined
from .columns import require_columns

__all__ = [
    "NOT_SIMULATED",
    "Group",
    "Score",
    "Scorer",
    "SetScore",
    "SuiteAnswers",
    "SuiteQuestions",
    "absent",
    "compare",
    "first_answers",
    "load_answers",
    "load_questions",
    "load_suite",
    "read_questions",
    "sets",
]

_QUESTIONS = "a table of questions"
UNANSWERED = "the method does not answer this question"
NO_TRUTH = "the true counterfactual image is not determined: it would be another handwritten image"
NOT_SIMULATED = "the data set is not simulated: there is no true counterfactual image"


@dataclass(frozen=True)
class SuiteQuestions:
    """The questions of one suite, and the images that all methods are compared with.

    Arguments:
        dataset: The data set.
        suite: The name of the suite.
        questions: The questions, N rows.
        factual: The factual image of each question, uint8 with shape (N, C, H, W).
        truth: The true counterfactual images, uint8 with shape (N, C, H, W); None if there are none.
        known: Whether each row of `truth` is determined, bool (N,).
    """

    dataset: Dataset
    suite: str
    questions: pd.DataFrame
    factual: np.ndarray
    truth: np.ndarray | None
    known: np.ndarray


@dataclass(frozen=True)
class SuiteAnswers(SuiteQuestions):
    """The answers of one method to the questions of one suite.

    `questions` also has the column `answered` and, under the names of the variables, the method's own parents after
    the intervention.

    Arguments:
        images: The answers, uint8 with shape (N, C, H, W).
    """

    images: np.ndarray

    def true(self, variable: str) -> np.ndarray:
        """Returns the true value of a parent after the intervention, float64 (N,); NaN if it is not determined."""
        return self.questions[f"true_{variable}"].to_numpy(np.float64)

    def own(self, variable: str) -> np.ndarray:
        """Returns the method's own value of a parent after the intervention, float64 (N,)."""
        return self.questions[variable].to_numpy(np.float64)

    def target(self, variable: str, targets: str = "true") -> np.ndarray:
        """Returns the value of a parent that an answer should show, float64 (N,).

        Arguments:
            variable: The name of the parent.
            targets: `true`: :meth:`true`; `own`: :meth:`own`.
        """
        return self.own(variable) if targets == "own" else self.true(variable)

    @property
    def unanswered(self) -> np.ndarray:
        """The reason why each question has no answer, if it has none, str (N,)."""
        reasons = self.questions.get("reason", pd.Series("", index=self.questions.index)).fillna("")
        return np.where(reasons != "", reasons, UNANSWERED).astype(object)

    @property
    def no_truth(self) -> str:
        """The reason why a true counterfactual image is missing."""
        if self.truth is None:
            return NOT_SIMULATED
        handwritten = noun_of(self.dataset.name) == "digit"
        return NO_TRUTH if handwritten else NO_TRUTH.replace("another handwritten image", "another image")


@dataclass(frozen=True)
class Score:
    """One score of each question of a suite.

    Arguments:
        metric: The name of the score.
        values: The values, float64 with shape (N,), or (M,) if `rows` is given; NaN if there is none.
        reason: Why a value is missing: one reason for all, or an array of the same shape as `values`.
        rows: The M rows of the questions that are scored; None: all of them.
    """

    metric: str
    values: np.ndarray
    reason: str | np.ndarray = ""
    rows: np.ndarray | None = None


Group = tuple[str, str, int]
"""Intervention, protocol and number of cycles of a set of questions."""


@dataclass(frozen=True)
class SetScore:
    """One score of a set of answers that is not a mean over single answers.

    Arguments:
        metric: The name of the score.
        group: Intervention, protocol and number of cycles of the set.
        value: The value; NaN if there is none.
        n: The number of answers that it depends on.
        low: The lower end of its interval; NaN if it has none.
        high: The upper end of its interval; NaN if it has none.
        reason: Why the value is missing, or a warning about it.
    """

    metric: str
    group: Group
    value: float
    n: int
    low: float = np.nan
    high: float = np.nan
    reason: str = ""


Scorer = Callable[[SuiteAnswers], Sequence[Score | SetScore]]
"""The function that a metric's `load` returns: from the answers to one suite to their scores."""


def first_answers(questions: pd.DataFrame) -> np.ndarray:
    """Returns the rows of all questions except repeats, which only measure the diversity over seeds."""
    if "repeat" not in questions:
        return np.arange(len(questions))
    return np.flatnonzero(questions["repeat"].to_numpy() == 0)


def sets(questions: pd.DataFrame) -> Iterator[tuple[Group, np.ndarray]]:
    """Yields each set of questions (intervention, protocol, cycles) and its rows in order; repeats are left out."""
    rows = first_answers(questions)
    keys = questions[["intervention", "protocol", "cycles"]].iloc[rows].reset_index(drop=True)
    for key, part in keys.groupby(list(keys), sort=False):
        yield key, rows[part.index.to_numpy()]


def absent(names: Mapping[str, Sequence[str]], reason: str, answers: SuiteAnswers) -> list[SetScore]:
    """Returns the scores of a metric that cannot be computed: one missing value per score and set of questions.

    Arguments:
        names: The names of the scores of each suite.
        reason: Why they are missing.
        answers: The answers to one suite.
    """
    groups = answers.questions[["intervention", "protocol", "cycles"]].drop_duplicates()
    return [
        SetScore(name, group, np.nan, 0, reason=reason)
        for group in groups.itertuples(index=False, name=None)
        for name in names[answers.suite]
    ]


def compare(variable: Variable, values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compares values of a variable with their targets.

    Arguments:
        variable: The variable.
        values: Values, with shape (N,), in its unit; NaN where there is none.
        target: The targets, likewise.

    Returns:
        The absolute error, float64 (N,), or for a categorical variable 1 where the classes agree and 0 elsewhere; NaN
        where a value or a target is NaN.
    """
    if variable.kind == "continuous":
        return np.abs(values - target)
    return np.where(np.isnan(values) | np.isnan(target), np.nan, values == target)


def read_questions(path: Path | str, images: int) -> pd.DataFrame:
    """Reads the table of questions of a suite.

    Arguments:
        path: The parquet file.
        images: The number of images of the test split.

    Raises:
        UserError: If the file is missing or damaged, or is not a table of questions about these images.
    """
    table = read_table(path)
    require_columns(
        path, table, _QUESTIONS, ("question", "index", "cycles"), texts=("suite", "intervention", "protocol")
    )
    rows = table["index"].to_numpy(np.int64)
    if len(rows) and not 0 <= rows.min() <= rows.max() < images:
        wrong = rows.max() if rows.min() >= 0 else rows.min()
        raise UserError(
            f"{path}: row {wrong} of the test split, which has {images} images; write the questions again"
        )
    return table


def load_questions(
    suite: str, dataset: Dataset, test: Split, questions: Path | str, truth: Path | str | None = None
) -> SuiteQuestions:
    """Reads what does not depend on the method: the questions of a suite, the factual and the true images.

    Arguments:
        suite: The name of the suite.
        dataset: The data set.
        test: Its test split.
        questions: The table of questions of the suite.
        truth: The folder of the answers of the method `truth`, with a folder per suite; None if they are not used.

    Raises:
        UserError: If a file is missing or damaged, or the true answers belong to other questions.
    """
    table = read_questions(questions, len(test.images))
    if len(table) and set(table["suite"]) != {suite}:
        raise UserError(f"{questions}: not the questions of the suite {suite}; write the questions again")
    true = tuple(f"true_{name}" for name in dataset.names)
    require_columns(questions, table, _QUESTIONS, numbers=true, texts=("steps",))
    if suite == "flip":
        require_columns(questions, table, _QUESTIONS, ("label", "target", "repeat"), texts=("attribute",))
    true_images, known = None, np.zeros(len(table), dtype=bool)
    if truth is not None and dataset.simulated:
        true_images, true_table = gather(truth, suite, table)
        # No rendering determines the image after a variable such as the digit is set. By chance the value may be the
        # factual one; to score only those questions would favour every method.
        unknown = set(undetermined(dataset))
        with reading(questions, "not a table of questions"):
            untouched = [unknown.isdisjoint(set().union(*json.loads(steps))) for steps in table["steps"]]
        known = true_table["answered"].to_numpy(bool) & np.array(untouched, dtype=bool)
    return SuiteQuestions(
        dataset, suite, table, test.images[table["index"].to_numpy(np.int64)], true_images, known
    )


def load_answers(questions: SuiteQuestions, folder: Path | str) -> SuiteAnswers:
    """Reads the answers of one method to a suite.

    Arguments:
        questions: The questions of the suite.
        folder: The folder of the answers of one method and training seed, with a folder per suite.

    Raises:
        UserError: If the answers are missing or damaged, or belong to other questions.
    """
    suite, dataset = questions.suite, questions.dataset
    images, table = gather(folder, suite, questions.questions)
    path = Path(folder) / suite
    require_columns(path, table, "the answers of a method", numbers=("answered", *dataset.names))
    if images.shape[1:] != tuple(dataset.shape) or images.dtype != np.uint8:
        raise UserError(
            f"{path}: images of shape {images.shape[1:]} and type {images.dtype}, but those of {dataset.name} have"
            f" shape {tuple(dataset.shape)} and type uint8; delete it and run again"
        )
    return SuiteAnswers(dataset, suite, table, questions.factual, questions.truth, questions.known, images)


def load_suite(
    suite: str, data: Path | str, questions: Path | str, answers: Path | str, truth: Path | str | None = None
) -> SuiteAnswers:
    """Reads the questions of one suite and the answers of one method.

    Arguments:
        suite: The name of the suite.
        data: The folder of the data set.
        questions: The table of questions of the suite.
        answers: The folder of the answers of one method and training seed, with a folder per suite.
        truth: The same for the method `truth`; None if they are not used.

    Raises:
        UserError: If a file is missing or damaged, or the answers belong to other questions.
    """
    dataset = load_dataset(data)
    return load_answers(load_questions(suite, dataset, load_split(data, "test"), questions, truth), answers)

"""Reads the answers of all methods to the suite `flip`, for the figures of explanations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..answers.store import gather
from ..core.files import read_table
from ..data.dataset import load_split
from .vocabulary import method_order

__all__ = ["FlipAnswers", "read_flip_answers"]


@dataclass(frozen=True)
class FlipAnswers:
    """The answers of several methods to the suite `flip`, of one training seed each.

    Arguments:
        questions: The questions, one row each.
        factual: The factual images, uint8 (N, C, H, W).
        images: The answers of each method, uint8 (N, C, H, W), in the order floor, methods, ceiling.
        tables: The table of answers of each method; row i belongs to question i. Columns: `answered` and, for
            explainers, `network_calls` and `scale`.
        scores: The scores of single questions, one column per score, indexed by (method, question).
    """

    questions: pd.DataFrame
    factual: np.ndarray
    images: dict[str, np.ndarray]
    tables: dict[str, pd.DataFrame]
    scores: pd.DataFrame

    @property
    def attributes(self) -> list[str]:
        """The attributes to flip, in the order of questions."""
        return self.questions["attribute"].drop_duplicates().tolist()

    def answered(self, method: str) -> np.ndarray:
        """Returns which questions a method answered, bool (N,)."""
        return self.tables[method]["answered"].to_numpy(bool)

    def first(self, attribute: str | None = None) -> np.ndarray:
        """Returns the rows of questions about an attribute (None: any), without repeats."""
        rows = self.questions["repeat"] == 0
        if attribute is not None:
            rows &= self.questions["attribute"] == attribute
        return np.flatnonzero(rows.to_numpy(bool))

    def score(self, method: str, metric: str) -> np.ndarray:
        """Returns a method's score of each question, float64 (N,); NaN where there is none."""
        if metric not in self.scores.columns or method not in self.scores.index.get_level_values(0):
            return np.full(len(self.questions), np.nan)
        return self.scores.loc[method, metric].reindex(self.questions["question"]).to_numpy(np.float64)


def read_flip_answers(
    questions: Path, answers: Path, data: Path, rows: Sequence[Path], methods: list[str]
) -> FlipAnswers | None:
    """Reads the answers of every method's first training seed.

    Arguments:
        questions: The folder of questions.
        answers: The folder of answers.
        data: The data set's folder.
        rows: The scores of single questions, `scores/<metric>/seed<k>.parquet`.
        methods: The methods; those without answers are left out.

    Returns:
        The answers; None if there are no questions or no answers.

    Raises:
        UserError: If a file is damaged, or answers belong to other questions.
    """
    if not (questions / "flip.parquet").exists():
        return None
    flips = read_table(questions / "flip.parquet")
    images, tables, seeds = {}, {}, {}
    for method in method_order(methods):
        found = sorted(
            answers.glob(f"{method}/seed*/flip"), key=lambda path: (len(path.parent.name), path.parent.name)
        )
        if found:
            images[method], tables[method] = gather(found[0].parent, "flip", flips)
            seeds[method] = int(found[0].parent.name.removeprefix("seed"))
    if not images:
        return None
    test = load_split(data, "test")
    scored = [
        table[(table["suite"] == "flip") & (table["seed"] == table["method"].map(seeds))]
        for table in map(read_table, rows)
    ]
    scored = [table for table in scored if len(table)]
    scores = pd.DataFrame(index=pd.MultiIndex.from_arrays([[], []], names=["method", "question"]))
    if scored:
        table = pd.concat(scored, ignore_index=True)
        # Rows with a negative question are scores of a whole set of answers.
        table = table[table["question"] >= 0]
        scores = table.pivot_table("value", ["method", "question"], "metric", aggfunc="first", dropna=False)
    return FlipAnswers(flips, test.images[flips["index"].to_numpy()], images, tables, scores)

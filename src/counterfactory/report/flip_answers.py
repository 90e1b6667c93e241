"""The answers to the suite `flip` of every method, read once for the figures that show them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..answers.store import gather
from ..core.files import read_table
from ..data.dataset import load_split
from .vocabulary import method_order

__all__ = ["Explained", "read_explained"]


@dataclass(frozen=True)
class Explained:
    """The suite `flip`, answered by several methods of one training seed each.

    Arguments:
        questions: The questions, one row each.
        factual: The images asked about, uint8 (N, C, H, W).
        images: Each method's answers, likewise, in the order of rows: floor, methods, ceiling.
        tables: Each method's table of answers, row i of it to question i, with the columns `answered` and, of
            explainers, `network_calls` and `scale`.
        scores: The scores of single questions, a column a score, indexed by (method, question).
    """

    questions: pd.DataFrame
    factual: np.ndarray
    images: dict[str, np.ndarray]
    tables: dict[str, pd.DataFrame]
    scores: pd.DataFrame

    @property
    def attributes(self) -> list[str]:
        """What was to be turned over, in the order of questions."""
        return self.questions["attribute"].drop_duplicates().tolist()

    def answered(self, method: str) -> np.ndarray:
        """Returns which questions a method answered, bool (N,)."""
        return self.tables[method]["answered"].to_numpy(bool)

    def first(self, attribute: str | None = None) -> np.ndarray:
        """Returns the rows of questions about an attribute (None: any), repeats left out."""
        rows = self.questions["repeat"] == 0
        if attribute is not None:
            rows &= self.questions["attribute"] == attribute
        return np.flatnonzero(rows.to_numpy(bool))

    def score(self, method: str, metric: str) -> np.ndarray:
        """Returns a method's score of each question, float64 (N,), NaN where there is none."""
        if metric not in self.scores.columns or method not in self.scores.index.get_level_values(0):
            return np.full(len(self.questions), np.nan)
        return self.scores.loc[method, metric].reindex(self.questions["question"]).to_numpy(np.float64)


def read_explained(
    questions: Path, answers: Path, data: Path, rows: list[Any], methods: list[str]
) -> Explained | None:
    """Reads the answers of every method's first training seed.

    Arguments:
        questions: The folder of questions; None is returned where it has no `flip.parquet`.
        answers: The folder of answers.
        data: The data set's folder.
        rows: The scores of single questions, `scores/<metric>/seed<k>.parquet`.
        methods: The methods; those without answers are left out.

    Raises:
        UserError: If something is damaged, or answers are to other questions.
    """
    if not (questions / "flip.parquet").exists():
        return None
    asked = read_table(questions / "flip.parquet")
    images, tables, seeds = {}, {}, {}
    for method in method_order(methods):
        found = sorted(
            answers.glob(f"{method}/seed*/flip"), key=lambda path: (len(path.parent.name), path.parent.name)
        )
        if found:
            images[method], tables[method] = gather(found[0].parent, "flip", asked)
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
        # A score of a whole set of answers is of no question.
        table = table[table["question"] >= 0]
        scores = table.pivot_table("value", ["method", "question"], "metric", aggfunc="first", dropna=False)
    return Explained(asked, test.images[asked["index"].to_numpy()], images, tables, scores)

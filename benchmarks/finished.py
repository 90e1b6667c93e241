"""A finished run, as the other scripts here read it: its data, its questions, its judges, and scores of new answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterfactory.answers.store import gather
from counterfactory.config import load_settings, read_config
from counterfactory.core.files import read_table
from counterfactory.data.dataset import Dataset, Split, load_dataset, load_split
from counterfactory.methods import Answer
from counterfactory.methods.batches import answer_questions
from counterfactory.models.judges.model import Judge, load_judge

__all__ = ["Asked", "Finished", "open_run", "print_row", "with_answers"]


@dataclass(frozen=True)
class Asked:
    """Questions of a suite, and the true counterfactual images.

    Arguments:
        questions: The questions, numbered anew.
        truth: The rendered images, uint8 (N, C, H, W).
        known: Which rows of them mean anything, bool (N,).
    """

    questions: pd.DataFrame
    truth: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Arguments:
        settings: Its configuration.
        results: The folder of its data set's results.
        dataset: The data set.
        test: The test split.
        judges: The judges, by variable.
    """

    settings: Any
    results: Path
    dataset: Dataset
    test: Split
    judges: dict[str, Judge]

    def ask(self, suite: str, images: int, interventions: Sequence[str] = ()) -> Asked:
        """Returns the questions about the first images of a suite; of `do`, those of the protocol `marginal`."""
        table = read_table(self.results / "questions" / f"{suite}.parquet")
        keep = np.isin(pd.factorize(table["index"])[0], np.arange(images))
        if suite == "do":
            keep &= (table["protocol"] == "marginal").to_numpy()
            keep &= table["intervention"].isin(interventions or table["intervention"]).to_numpy()
        truth, answered = gather(self.results / "answers" / "truth" / "seed0", suite, table)
        asked = table[keep].reset_index(drop=True)
        known = answered["answered"].to_numpy(bool)[keep]
        return Asked(asked.assign(question=np.arange(len(asked))), truth[keep], known)

    def answer(self, respond: Answer, asked: Asked, label: str, batch_size: int = 64) -> np.ndarray:
        """Returns the images that a method answers with, uint8 (N, C, H, W)."""
        return answer_questions(respond, asked.questions, self.dataset, self.test, batch_size, label)[0]

    def scores(self, asked: Asked, images: np.ndarray, intervention: str) -> dict[str, float]:
        """Returns what the judges see, by variable (mean error, or share right), and `l1`, the distance to truth."""
        rows = (asked.questions["intervention"] == intervention).to_numpy()
        true = {name: asked.questions[f"true_{name}"].to_numpy()[rows] for name in self.dataset.names}
        found = {}
        for variable in self.dataset.variables:
            predicted, target = self.judges[variable.name](images[rows], true), true[variable.name]
            right = predicted == target if variable.kind == "categorical" else np.abs(predicted - target)
            found[variable.name] = float(np.mean(right))
        known = rows & asked.known
        distance = np.abs(images[known].astype(float) - asked.truth[known])
        return found | {"l1": float(distance.mean()) if known.any() else float("nan")}


def open_run(configs: Sequence[Path]) -> Finished:
    """Reads the run that configuration files describe, given as for the workflow."""
    settings = load_settings(read_config(configs))
    results = Path(settings.results) / settings.dataset
    dataset, test = load_dataset(results / "data"), load_split(results / "data", "test")
    judges = {name: load_judge(results / "models" / "judges" / name) for name in dataset.names}
    return Finished(settings, results, dataset, test, judges)


def with_answers(settings: Any, method: str = "", own: dict[str, Any] | None = None, **shared: Any) -> Any:
    """Returns the section `answers` with other values: of the method's own section, and of keys that all share."""
    answers = settings.answers.model_copy(update=shared)
    if not own:
        return answers
    return answers.model_copy(update={method: getattr(answers, method).model_copy(update=own)})


def print_row(cells: Sequence[Any], head: bool = False) -> None:
    """Prints a row of a Markdown table; numbers with three figures behind the point."""
    texts = [
        ("" if np.isnan(cell) else f"{cell:.3f}") if isinstance(cell, float) else str(cell) for cell in cells
    ]
    print("| " + " | ".join(texts) + " |", flush=True)
    if head:
        print("|" + " --: |" * len(texts), flush=True)

"""Reads a finished run for the other benchmarks: its data, questions and judges, and scores of new answers."""

from collections.abc import Mapping, Sequence
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

__all__ = ["Finished", "Selection", "open_run", "print_row", "with_answers"]


@dataclass(frozen=True)
class Selection:
    """Some questions of a suite, with their true counterfactual images.

    Arguments:
        questions: The questions, numbered from 0.
        truth: The rendered images, uint8 with shape (N, C, H, W).
        known: Which of these images are determined, bool with shape (N,).
    """

    questions: pd.DataFrame
    truth: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Arguments:
        settings: The configuration.
        results: The folder of the results of the data set.
        dataset: The data set.
        test: The test split.
        judges: The judge of each variable.
    """

    settings: Any
    results: Path
    dataset: Dataset
    test: Split
    judges: dict[str, Judge]

    def select(self, suite: str, images: int, interventions: Sequence[str] = ()) -> Selection:
        """Returns the questions of a suite about its first images.

        Arguments:
            suite: The suite; of `do`, only questions of the protocol `marginal` are returned.
            images: The number of images.
            interventions: The interventions of the suite `do`; by default all.
        """
        table = read_table(self.results / "questions" / f"{suite}.parquet")
        keep = np.isin(pd.factorize(table["index"])[0], np.arange(images))
        if suite == "do":
            keep &= (table["protocol"] == "marginal").to_numpy()
            keep &= table["intervention"].isin(interventions or table["intervention"]).to_numpy()
        truth, answered = gather(self.results / "answers" / "truth" / "seed0", suite, table)
        chosen = table[keep].reset_index(drop=True)
        known = answered["answered"].to_numpy(bool)[keep]
        return Selection(chosen.assign(question=np.arange(len(chosen))), truth[keep], known)

    def answer(self, method: Answer, chosen: Selection, label: str, batch_size: int = 64) -> np.ndarray:
        """Returns the images of a method's answers, uint8 with shape (N, C, H, W)."""
        return answer_questions(method, chosen.questions, self.dataset, self.test, batch_size, label)[0]

    def scores(self, chosen: Selection, images: np.ndarray, intervention: str) -> dict[str, float]:
        """Returns the scores of the answers to one intervention.

        Returns:
            For each variable the mean error of the judge's prediction, or its accuracy; and `l1`, the distance to the
            true counterfactual in grey levels (NaN if no true counterfactual is known).
        """
        rows = (chosen.questions["intervention"] == intervention).to_numpy()
        true = {name: chosen.questions[f"true_{name}"].to_numpy()[rows] for name in self.dataset.names}
        found = {}
        for variable in self.dataset.variables:
            predicted, target = self.judges[variable.name](images[rows], true), true[variable.name]
            score = predicted == target if variable.kind == "categorical" else np.abs(predicted - target)
            found[variable.name] = float(np.mean(score))
        known = rows & chosen.known
        distance = np.abs(images[known].astype(float) - chosen.truth[known])
        return found | {"l1": float(distance.mean()) if known.any() else float("nan")}


def open_run(configs: Sequence[Path]) -> Finished:
    """Reads the run of a configuration.

    Arguments:
        configs: The configuration files; later ones override earlier ones.
    """
    settings = load_settings(read_config(configs))
    results = Path(settings.results) / settings.dataset
    dataset, test = load_dataset(results / "data"), load_split(results / "data", "test")
    judges = {name: load_judge(results / "models" / "judges" / name) for name in dataset.names}
    return Finished(settings, results, dataset, test, judges)


def with_answers(settings: Any, method: str = "", own: Mapping[str, Any] | None = None, **shared: Any) -> Any:
    """Returns the section `answers` of a configuration with other values.

    Arguments:
        settings: The configuration.
        method: The method whose section `answers.<method>` is changed.
        own: The new values of that section.
        shared: The new values of keys that all methods share.
    """
    answers = settings.answers.model_copy(update=shared)
    if not own:
        return answers
    return answers.model_copy(update={method: getattr(answers, method).model_copy(update=own)})


def print_row(cells: Sequence[Any], head: bool = False) -> None:
    """Prints a row of a Markdown table, with three decimals for numbers; `head` adds the line below a header."""
    texts = [
        ("" if np.isnan(cell) else f"{cell:.3f}") if isinstance(cell, float) else str(cell) for cell in cells
    ]
    print("| " + " | ".join(texts) + " |", flush=True)
    if head:
        print("|" + " --: |" * len(texts), flush=True)

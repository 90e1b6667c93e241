"""Answers to the suite `flip` in memory, and classifiers that are simple functions of pixels."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from counterfactory.data.dataset import Dataset
from counterfactory.metrics.inputs import SuiteAnswers
from tests.metrics.conftest import toy_dataset


def answer_flips(
    factual: np.ndarray,
    images: np.ndarray,
    attribute: str | Sequence[str] = "bright",
    label: int | Sequence[int] = 0,
    target: int | Sequence[int] = 1,
    repeat: int | Sequence[int] = 0,
    index: Sequence[int] | None = None,
    answered: bool | Sequence[bool] = True,
    dataset: Dataset | None = None,
) -> SuiteAnswers:
    """Returns answers to questions about `factual`, one image per question."""
    questions = pd.DataFrame({"question": np.arange(len(images)), "suite": "flip"})
    questions = questions.assign(
        index=np.arange(len(images)) if index is None else index,
        intervention=attribute,
        protocol="",
        cycles=1,
        attribute=attribute,
        label=label,
        target=target,
        repeat=repeat,
        answered=answered,
    )
    known = np.zeros(len(images), dtype=bool)
    return SuiteAnswers(dataset or toy_dataset(), "flip", questions, factual, None, known, images)


class StubClassifier:
    """A classifier or oracle whose outputs are functions of the images: probabilities (N,), or of classes (N, K)."""

    def __init__(self, constant: dict[str, str] | None = None, **functions: Callable) -> None:
        self.functions, self.constant = functions, constant or {}
        self.attributes = {name: {"of": name, "above": 0.0} for name in functions}

    def probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.asarray(f(images), float) for name, f in self.functions.items()}

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        found = self.probabilities(images)
        return {name: p.argmax(1) if p.ndim == 2 else (p > 0.5).astype(np.int64) for name, p in found.items()}


def pixel(row: int, column: int = 0) -> Callable:
    """Returns a function of images: one grey level divided by 255, as a probability."""
    return lambda images: images[:, 0, row, column] / 255.0


def blank(count: int, size: int = 4) -> np.ndarray:
    return np.zeros((count, 1, size, size), dtype=np.uint8)


def lit(images: np.ndarray, row: int, column: int = 0, level: int = 255) -> np.ndarray:
    """Returns the images with one pixel set."""
    images = images.copy()
    images[:, 0, row, column] = level
    return images

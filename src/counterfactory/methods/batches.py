r"""Answers a table of questions in aligned batches, one action after another.

The actions of a question are applied one after another. The state between two actions is an answer, that is a uint8
image and the method's own parents:

.. math:: (x_s, \mathrm{pa}_s) = \mathrm{answer}(x_{s-1}, \mathrm{pa}_{s-1}, \mathrm{do}_s)

Question q has slot q mod B of the aligned batch :math:`\lfloor q / B \rfloor` (:class:`counterfactory.methods.Batch`),
regardless of the other questions that are answered with it, so neither the chunks nor the number of jobs change a byte.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import UserError, reading
from ..core.progress import progress
from ..data.dataset import Dataset, Split
from . import Answer, Batch, Columns

__all__ = ["Answered", "Questions", "answer_batch", "answer_questions"]

FLIP = {"attribute": str, "label": np.int64, "target": np.int64}


@dataclass(frozen=True)
class Answered:
    """The answers to some questions.

    Arguments:
        images: The images after the last action, uint8 with shape :math:`(N, C, H, W)`.
        columns: The method's own parents after the last action and the columns it adds, each with shape :math:`(N,)`.
        made: The number of images that were computed, one per action.
    """

    images: np.ndarray
    columns: Columns
    made: int


class Questions:
    """The questions of a table, grouped into aligned batches.

    Arguments:
        table: Rows of the questions of a suite, by ascending `question`.
        batch_size: The number of slots of an aligned batch.
        source: The file of the table, for messages.

    Raises:
        UserError: If the actions of a question are not valid JSON.
    """

    def __init__(self, table: pd.DataFrame, batch_size: int, source: Any = "questions") -> None:
        with reading(source, "not a table of questions"):
            self.size, self._steps = batch_size, table["steps"]
            self.number, self.rows, self.seeds = (
                table[name].to_numpy(np.int64) for name in ("question", "index", "seed")
            )
            self.flip = {
                name: table[name].to_numpy(kind) if name in table else None for name, kind in FLIP.items()
            }
        try:
            self.lengths = np.array([len(_actions(text)) for text in self._steps], dtype=np.int64)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{source}: column steps: not a JSON list of interventions ({error}); delete it and run again"
            ) from None

    def __len__(self) -> int:
        return len(self.number)

    def actions(self, members: np.ndarray) -> list[list[dict[str, float]]]:
        """Returns the actions of the questions in the rows `members`."""
        return [_actions(text) for text in self._steps.iloc[members]]

    def batches(self) -> Iterator[np.ndarray]:
        """Yields the rows of the table that each aligned batch consists of, by ascending batch."""
        batch = self.number // self.size
        ends = np.flatnonzero(np.diff(batch, append=-1)) + 1
        yield from np.split(np.arange(len(batch)), ends[:-1]) if len(batch) else ()


def _actions(text: str) -> list[dict[str, float]]:
    actions = json.loads(text)
    if not isinstance(actions, list) or not all(isinstance(action, dict) for action in actions):
        raise ValueError(f"{text[:40]!r}")
    return actions


def answer_batch(
    respond: Answer, questions: Questions, members: np.ndarray, dataset: Dataset, test: Split
) -> Answered:
    """Answers all actions of the questions `members`, which belong to one aligned batch.

    Arguments:
        respond: A loaded method.
        questions: The questions.
        members: Their rows, int64 with shape :math:`(B,)`, ascending.
        dataset: The data set.
        test: Its test split.

    Returns:
        The answers. A question that the method does not answer has a parent that is NaN, or False in the column
        `answered`.
    """
    rows = questions.rows[members]
    images = np.ascontiguousarray(test.images[rows])
    parents = {name: test.attributes[name].to_numpy(np.float64)[rows] for name in dataset.names}
    more: Columns = {
        name: np.full(len(members), False if kind is bool else np.nan, kind)
        for name, kind in respond.columns.items()
    }
    steps = questions.actions(members)
    made = 0
    for step in range(questions.lengths[members].max(initial=0)):
        # Without finished questions, and without those that the method did not answer at an earlier step.
        active = np.flatnonzero(questions.lengths[members] > step)
        active = active[~np.any([np.isnan(values[active]) for values in parents.values()], axis=0)]
        if not len(active):
            continue
        chosen = members[active]
        batch = Batch(
            images=images[active],
            parents={name: values[active] for name, values in parents.items()},
            do={
                name: np.array([steps[i][step].get(name, np.nan) for i in active], float)
                for name in dataset.names
            },
            seeds=questions.seeds[chosen],
            rows=questions.rows[chosen],
            slots=questions.number[chosen] % questions.size,
            size=questions.size,
            step=step,
            **{name: None if values is None else values[chosen] for name, values in questions.flip.items()},
        )
        new_images, new_parents, *new_more = respond(batch)
        if new_images.dtype != np.uint8 or new_images.shape != batch.images.shape:
            raise TypeError(
                f"the method must return uint8 {batch.images.shape}, not {new_images.dtype} {new_images.shape}"
            )
        images[active] = new_images
        for name, values in parents.items():
            values[active] = new_parents[name]
        for name, values in more.items():
            values[active] = new_more[0][name]
        made += len(active)
    return Answered(images, parents | more, made)


def answer_questions(
    respond: Answer,
    questions: pd.DataFrame,
    dataset: Dataset,
    test: Split,
    batch_size: int,
    label: str = "answer",
) -> tuple[np.ndarray, Columns, int]:
    """Answers questions in memory.

    Arguments:
        respond: A loaded method.
        questions: Rows of the questions of a suite, by ascending `question`.
        dataset: The data set.
        test: Its test split.
        batch_size: The number of slots of an aligned batch.
        label: The label of the progress line.

    Returns:
        The images, uint8 with shape :math:`(N, C, H, W)`; the method's own parents after the last action and the
        columns it adds, each with shape :math:`(N,)`; and the number of images that were computed.
    """
    grouped = Questions(questions, batch_size)
    images = np.zeros((len(grouped), *test.images.shape[1:]), np.uint8)
    columns: Columns = {}
    made = 0
    groups = list(grouped.batches())
    for members in progress(groups, label=label, unit="batches"):
        answered = answer_batch(respond, grouped, members, dataset, test)
        images[members] = answered.images
        for name, values in answered.columns.items():
            columns.setdefault(name, np.zeros(len(grouped), values.dtype))[members] = values
        made += answered.made
    return images, columns, made

r"""The answers: a method's counterfactual images, a chunk of a suite's questions per file.

A question's steps are applied one after another. Between two steps stands an answer, that is a uint8 image
and the method's own parents, since nothing else of a method is an answer:

.. math:: (x_s, \mathrm{pa}_s) = \mathrm{answer}(x_{s-1}, \mathrm{pa}_{s-1}, \mathrm{do}_s)

Question q sits in slot q mod B of the aligned batch :math:`\lfloor q / B \rfloor` whatever is asked with it
(:class:`counterfactory.methods.Batch`), so neither chunks nor the number of jobs change a byte.

A chunk [start, stop) is three files: `<chunk>.npy` (uint8 images, zeros where unanswered), `<chunk>.parquet`
(the questions, `answered`, and the method's own parents in the end) and `<chunk>.cost.json`.
"""

import json
import re
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from .data.dataset import Dataset, Split, load_dataset, load_split
from .errors import UserError
from .files import read_table, write_array, write_json, write_table
from .methods import Answer, Batch, load_method
from .progress import progress

__all__ = ["answer", "answer_questions", "gather"]

CHUNK = re.compile(r"(\d{6,})-(\d{6,})")


def answer(
    method: str,
    suite: str,
    chunk: str,
    seed: int,
    settings: Any,
    data: Path | str,
    models: Path | str,
    questions: Path | str,
    out: Path | str,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Writes one method's answers to one chunk of a suite's questions.

    Chunks of other ranges that overlap this one are left over from another chunk size, and are removed: the
    chunks in a folder never contradict each other.

    Arguments:
        method: The method's name.
        suite: The suite's name, as in the questions.
        chunk: The chunk's name, `<start>-<stop>`, of questions [start, stop).
        seed: The training seed of the method's networks.
        settings: The settings of the section `answers`; `batch_size` is read here, the rest by the method.
        data: The data set's folder.
        models: The folder of the data set's trained models.
        questions: The suite's table of questions.
        out: The folder to write the three files into.
        device: Where networks run.
        threads: The number of threads networks run on.

    Raises:
        UserError: If the chunk's name is no range of the questions, or the method or what it needs is
            missing.
    """
    out = Path(out)
    start, stop = _range(chunk)
    table = read_table(questions)
    if not 0 <= start < stop <= len(table):
        raise UserError(f"{chunk}: not a range of the {len(table)} questions of {questions}")
    if set(table["suite"]) != {suite}:
        raise UserError(f"{questions}: not the questions of suite {suite}; delete it and run again")
    dataset, test = load_dataset(data), load_split(data, "test")

    began = perf_counter()
    respond = load_method(method, seed, data, models, settings, device, threads)
    loaded = perf_counter()
    asked = table.iloc[start:stop]
    images, parents, steps = answer_questions(
        respond, asked, dataset, test, settings.batch_size, label=f"answer {method} {suite} {chunk}"
    )
    answered = ~np.any([np.isnan(values) for values in parents.values()], axis=0)
    images[~answered] = 0
    seconds = perf_counter() - loaded
    calls = getattr(respond, "network_calls", None)

    for low, high, other in _chunks_in(out):
        if other != chunk and low < stop and start < high:
            for leftover in out.glob(f"{other}.*"):
                leftover.unlink(missing_ok=True)
    write_array(out / f"{chunk}.npy", images)
    write_table(out / f"{chunk}.parquet", asked.assign(answered=answered, **parents))
    cost = {
        "questions": len(asked),
        "answered": int(answered.sum()),
        "images": steps,
        "seconds": seconds,
        "load_seconds": loaded - began,
        "network_calls": None if calls is None else calls * steps,
        "peak_rss_mb": _peak_rss(),
        "device": device,
        "threads": threads,
    }
    write_json(out / f"{chunk}.cost.json", cost)


def answer_questions(
    respond: Answer,
    questions: pd.DataFrame,
    dataset: Dataset,
    test: Split,
    batch_size: int,
    label: str = "answer",
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Answers questions in memory, in aligned batches.

    Arguments:
        respond: A loaded method.
        questions: Rows of a suite's questions, by ascending `question`.
        dataset: The data set.
        test: Its test split.
        batch_size: The number of slots of an aligned batch.
        label: What progress is shown under.

    Returns:
        The images, uint8 with shape :math:`(N, C, H, W)`; the method's own parents in the end, each
        :math:`(N,)`, NaN for a question that was not answered; and the number of images made on the way
        there.
    """
    steps = [json.loads(text) for text in questions["steps"]]
    lengths = np.array([len(actions) for actions in steps])
    number, rows, seeds = (questions[name].to_numpy(np.int64) for name in ("question", "index", "seed"))
    images = np.ascontiguousarray(test.images[rows])
    parents = {name: test.attributes[name].to_numpy(np.float64)[rows] for name in dataset.names}
    batches = number // batch_size
    work = [
        (members, step)
        for members in (np.flatnonzero(batches == batch) for batch in np.unique(batches))
        for step in range(lengths[members].max())
    ]

    made = 0
    shown = progress(work, label=label, unit="batches")
    for members, step in shown:
        # Done with: questions of fewer steps, and questions that the method has given up.
        active = members[lengths[members] > step]
        active = active[~np.any([np.isnan(values[active]) for values in parents.values()], axis=0)]
        if not len(active):
            continue
        do = {
            name: np.array([steps[i][step].get(name, np.nan) for i in active], float)
            for name in dataset.names
        }
        batch = Batch(
            images=images[active],
            parents={name: values[active] for name, values in parents.items()},
            do=do,
            seeds=seeds[active],
            rows=rows[active],
            slots=number[active] % batch_size,
            size=batch_size,
            step=step,
        )
        new_images, new_parents = respond(batch)
        if new_images.dtype != np.uint8 or new_images.shape != batch.images.shape:
            raise TypeError(
                f"{label}: uint8 {batch.images.shape} expected, not {new_images.dtype} {new_images.shape}"
            )
        images[active] = new_images
        for name, values in parents.items():
            values[active] = new_parents[name]
        made += len(active)
    return images, parents, made


def gather(
    folder: Path | str, suite: str, questions: Path | str | pd.DataFrame
) -> tuple[np.ndarray, pd.DataFrame]:
    """Reads all answers to a suite.

    Arguments:
        folder: The answers of one method and training seed, with a folder for each suite.
        suite: The suite's name.
        questions: The suite's table of questions, or its path.

    Returns:
        The images, uint8 with shape :math:`(N, C, H, W)`, and the table of questions with the columns
        `answered` and, under the variables' names, the method's own parents in the end (with a NaN where it
        did not answer). Row i of both is question i.

    Raises:
        UserError: If a question has no answer or two, or the answers are to other questions.
    """
    folder = Path(folder) / suite
    asked = questions if isinstance(questions, pd.DataFrame) else read_table(questions)
    # A chunk beyond the last question is left over from a longer table.
    chunks = [chunk for start, _, chunk in _chunks_in(folder) if start < len(asked)]
    if not chunks:
        raise UserError(f"{folder}: holds no answers; run the step that makes them first")
    answers = pd.concat([read_table(folder / f"{chunk}.parquet") for chunk in chunks], ignore_index=True)
    images = np.concatenate([_load_images(folder / f"{chunk}.npy") for chunk in chunks])
    same = set(asked) <= set(answers) and answers[list(asked)].equals(asked.reset_index(drop=True))
    if not same or len(images) != len(asked):
        raise UserError(f"{folder}: not the answers to these {len(asked)} questions; delete it and run again")
    return images, answers


def _load_images(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it and run again") from None


def _range(chunk: str) -> tuple[int, int]:
    match = CHUNK.fullmatch(chunk)
    if match is None:
        raise UserError(f"{chunk}: not the name of a chunk; write it like 000000-000500")
    return int(match[1]), int(match[2])


def _chunks_in(folder: Path) -> list[tuple[int, int, str]]:
    """Returns (start, stop, name) of the chunks in a folder; those still being written are passed over."""
    names = [path.stem for path in folder.glob("*.npy") if CHUNK.fullmatch(path.stem)]
    return sorted((*_range(name), name) for name in names)


def _peak_rss() -> float:
    """Returns the peak resident memory of this process in MB; macOS counts bytes, others KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10

"""Answers one chunk of a suite's questions by one method and writes its three files.

The files are described in :mod:`counterfactory.answers.store`, the order of the computation in
:mod:`counterfactory.methods.batches`. A job that was killed resumes behind its last saved batch
(:mod:`counterfactory.answers.resume`). A chunk that another job completed is not computed again
(:mod:`counterfactory.answers.recovery`).
"""

import hashlib
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from ..answers.recovery import Recovery
from ..answers.resume import ChunkState, fingerprint
from ..answers.store import chunk_range, chunks_in
from ..core.code_hash import code_hash
from ..core.errors import MissingWeights, UserError, reading
from ..core.files import read_table, write_json, write_table
from ..core.plugins import code_of_plugin, without_plugins
from ..core.progress import progress
from ..data.dataset import Dataset, Split, load_dataset, load_split
from . import Answer, Columns, check_method, load_method
from .batches import Questions, answer_batch
from .registry import METHODS, module_of

__all__ = ["Job", "answer"]

LEFT_OUT = "the method answers fewer images"
NOT_SET = "this attribute is no variable of the causal graph, so that a causal method cannot set it"
ROWS = 10_000


@dataclass(frozen=True)
class Job:
    """One chunk to answer: by which method, which questions, and where.

    Arguments:
        method: The method's name.
        suite: The suite's name.
        chunk: The chunk's name, `<start>-<stop>`, of the questions [start, stop).
        data: The folder of the data set.
        models: The folder of the trained models of the data set.
        questions: The suite's table of questions.
        out: The folder for the three files.
        seed: The training seed of the method's networks.
        device: The device of the networks, `cpu` or `cuda`.
        threads: The number of CPU threads.
    """

    method: str
    suite: str
    chunk: str
    data: Path
    models: Path
    questions: Path
    out: Path
    seed: int = 0
    device: str = "cpu"
    threads: int = 1

    @property
    def label(self) -> str:
        """The label of progress lines and messages."""
        return f"answer {self.method} {self.suite} {self.chunk}"


def answer(settings: Any, job: Job) -> None:
    """Writes the answers of one method to one chunk of a suite's questions.

    Chunks of other ranges that overlap this one are removed. They are left from another chunk size.

    Arguments:
        settings: The section `answers` of the configuration.
        job: The chunk.

    Raises:
        UserError: If the chunk's name is not a range of the questions, or the method or a file that it requires is
            missing. If only pretrained weights are missing, the files are written without answers and with the reason.
    """
    check_method(job.method)
    start, stop = chunk_range(job.chunk)
    table = read_table(job.questions)
    if not 0 <= start < stop <= len(table):
        raise UserError(f"{job.chunk}: not a range of the {len(table)} questions of {job.questions}")
    with reading(job.questions, "not a table of questions"):
        suites = set(table["suite"])
    if suites != {job.suite}:
        raise UserError(f"{job.questions}: not the questions of suite {job.suite}; delete it and run again")
    selected = table.iloc[start:stop]
    own = _own_settings(settings, job.method)
    within = _within(table, getattr(own, "images", None))[start:stop]
    recovery = Recovery(job.out, job.chunk, _fingerprint(settings, job, selected))
    with recovery.locked():
        if recovery.restore():
            print(f"{job.label}: restored from its recovery copy", file=sys.stderr)
        else:
            _answer_chunk(settings, job, selected, within, recovery.made_of)
            recovery.save()


def _answer_chunk(settings: Any, job: Job, selected: pd.DataFrame, within: np.ndarray, made_of: str) -> None:
    """Answers the questions of a chunk and writes its three files.

    Arguments:
        settings: The section `answers` of the configuration.
        job: The chunk.
        selected: Its questions, rows of the table of the suite.
        within: Which of them the method is run on, bool with shape (N,).
        made_of: The fingerprint of everything that determines the answers.
    """
    dataset, test = load_dataset(job.data), load_split(job.data, "test")
    questions = Questions(selected, settings.batch_size, job.questions)
    began = perf_counter()
    reason = np.where(within, "", LEFT_OUT).astype(object)
    unset = within & _cannot_set(job, questions)
    within, reason[unset] = within & ~unset, NOT_SET
    respond: Answer | None = None
    try:
        respond = load_method(job.method, job.seed, job.data, job.models, settings, job.device, job.threads)
    except MissingWeights as error:
        # The workflow continues: the files contain the reason instead of answers.
        print(f"{job.label}: not answered: {error}", file=sys.stderr)
        within = np.zeros_like(within)
        reason[:] = str(error)
    loaded = perf_counter()
    state = ChunkState(job.out, job.chunk, made_of, (len(selected), *test.images.shape[1:]))
    state.open()
    try:
        _answer_batches(respond, questions, within, state, (dataset, test), job.label)
    except BaseException:
        state.stop()
        raise
    seconds = perf_counter() - loaded + state.seconds
    columns = dict(state.columns)
    answered = columns.pop("answered")

    start, stop = chunk_range(job.chunk)
    for low, high, other in chunks_in(job.out):
        if other != job.chunk and low < stop and start < high:
            for leftover in job.out.glob(f"{other}.*"):
                leftover.unlink(missing_ok=True)
    table = selected.assign(answered=answered, reason=reason, **columns)
    # Compared with the folders and with the file of images when answers are read.
    table.attrs = {"method": job.method, "seed": job.seed, "images": state.checksum}
    write_table(job.out / f"{job.chunk}.parquet", table)
    cost = {
        "questions": len(selected),
        "answered": int(answered.sum()),
        "images": state.made,
        "seconds": seconds,
        "load_seconds": loaded - began,
        "network_calls": _network_calls(respond, columns, state.made),
        "peak_rss_mb": _peak_rss(),
        "device": job.device,
        "threads": job.threads,
    }
    write_json(job.out / f"{job.chunk}.cost.json", cost)
    state.finish(job.out / f"{job.chunk}.npy")
    state.clear()


def _answer_batches(
    respond: Answer | None,
    questions: Questions,
    within: np.ndarray,
    state: ChunkState,
    world: tuple[Dataset, Split],
    label: str,
) -> None:
    """Answers the batches that `state` does not have yet, and adds them to it."""
    dataset, test = world
    blank = {name: np.nan for name in dataset.names}
    for name, kind in respond.columns.items() if respond is not None else ():
        blank[name] = False if kind is bool else np.nan
    groups = list(questions.batches())
    left = [members for members in groups if members[0] >= state.done]
    done = len(groups) - len(left)
    for members in progress(left, total=len(groups), label=label, unit="batches", start=done):
        images = np.zeros((len(members), *test.images.shape[1:]), np.uint8)
        columns = {name: np.full(len(members), value) for name, value in blank.items()}
        ours, made = within[members], 0
        if respond is not None and ours.any():
            found = answer_batch(respond, questions, members[ours], dataset, test)
            images[ours], made = found.images, found.made
            for name, values in found.columns.items():
                columns[name][ours] = values
        missing = np.any([np.isnan(columns[name]) for name in dataset.names], axis=0)
        columns.setdefault("answered", ~missing)
        images[~columns["answered"]] = 0
        state.add(images, columns, made)


def _network_calls(respond: Answer | None, columns: Columns, made: int) -> float | None:
    """Returns how many times a network was evaluated, by the method's column or its declaration; None: unknown."""
    if "network_calls" in columns:
        return float(np.nansum(columns["network_calls"]))
    if respond is None or respond.network_calls is None:
        return None
    return respond.network_calls * made


def _own_settings(settings: Any, method: str) -> Any:
    """Returns the section of `answers` that only this method reads, or None."""
    section = METHODS[method].section
    return getattr(settings, section, None) if section else None


def _within(questions: pd.DataFrame, images: int | None) -> np.ndarray:
    """Returns which questions are about one of the first `images` images of the table; None: all."""
    if images is None:
        return np.ones(len(questions), dtype=bool)
    return pd.factorize(questions["index"])[0] < images


def _cannot_set(job: Job, questions: Questions) -> np.ndarray:
    """Returns which questions flip a quantity that a causal method cannot set, bool (N,).

    There are none for explainers, and for the floor, which returns its input.
    """
    method = METHODS[job.method]
    if job.suite != "flip" or "do" not in method.suites or not (method.trained or method.simulated):
        return np.zeros(len(questions), dtype=bool)
    actions = questions.actions(np.arange(len(questions)))
    return np.array([not any(steps) for steps in actions], dtype=bool)


def _fingerprint(settings: Any, job: Job, selected: pd.DataFrame) -> str:
    """Returns a fingerprint of everything that determines the bytes of a chunk."""
    method = METHODS[job.method]
    names = [*method.models, *(["scm"] if method.scm else [])]
    weights = [job.models / name / f"seed{job.seed}" / "model.safetensors" for name in names]
    # The network of an explainer's perceptual distance; most choices have no such file.
    perceptual = getattr(_own_settings(settings, job.method), "perceptual", "none").replace("_", "/", 1)
    weights.append(job.models / perceptual / "model.safetensors")
    test = [job.data / "dataset.json"]
    test += [job.data / "test" / name for name in ("images.npy", "attributes.parquet")]
    values = settings.model_dump(mode="json") if hasattr(settings, "model_dump") else vars(settings)
    rows = hashlib.sha256()
    for first in range(0, len(selected), ROWS):  # in parts: hashing all rows at once takes much memory
        part = selected.iloc[first : first + ROWS]
        rows.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
    code = ("methods.run:answer", f"{module_of(job.method)}:load")
    return fingerprint(
        [job.method, job.suite, job.seed, job.device, job.threads],
        code_hash(*without_plugins(code)) + code_of_plugin(code),
        {key: value for key, value in values.items() if key not in ("chunk_size", "chunks")},
        [list(selected), rows.hexdigest()],
        files=(*weights, *test),
    )


def _peak_rss() -> float:
    """Returns the peak resident memory of this process in MB (the system counts KiB, on macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10

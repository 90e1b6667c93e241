r"""The answers: a method's counterfactual images, a chunk of a suite's questions per file.

A question's steps are applied one after another. Between two steps stands an answer, that is a uint8 image
and the method's own parents, since nothing else of a method is an answer:

.. math:: (x_s, \mathrm{pa}_s) = \mathrm{answer}(x_{s-1}, \mathrm{pa}_{s-1}, \mathrm{do}_s)

Question q sits in slot q mod B of the aligned batch :math:`\lfloor q / B \rfloor` whatever is asked with it
(:class:`counterfactory.methods.Batch`), so neither chunks nor the number of jobs change a byte.

A chunk [start, stop) is three files: `<chunk>.npy` (uint8 images, zeros where unanswered), `<chunk>.parquet`
(the questions, `answered`, `reason` where the method was not asked, the method's own parents in the end and what else
it says) and `<chunk>.cost.json`. A killed job goes on behind its last finished aligned batch
(:mod:`counterfactory.answers.resume`), and what was whole before it could be told is not made again
(:mod:`counterfactory.answers.recovery`).
"""

import json
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from ..answers.recovery import Recovery
from ..answers.resume import ChunkState, fingerprint
from ..answers.store import _chunks_in, _range
from ..core.errors import MissingWeights, UserError
from ..core.files import read_table, write_array, write_json, write_table
from ..core.progress import progress
from ..core.provenance import code_hash
from ..data.dataset import Dataset, Split, load_dataset, load_split
from . import Answer, Batch, Columns, load_method
from .registry import METHODS

__all__ = ["answer", "answer_questions"]

LEFT_OUT = "the method is asked about fewer images"


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
            missing; but where a file of weights is, nothing is answered, and the reason stands in the table.
    """
    out = Path(out)
    start, stop = _range(chunk)
    table = read_table(questions)
    if not 0 <= start < stop <= len(table):
        raise UserError(f"{chunk}: not a range of the {len(table)} questions of {questions}")
    if set(table["suite"]) != {suite}:
        raise UserError(f"{questions}: not the questions of suite {suite}; delete it and run again")
    asked = table.iloc[start:stop]
    within = _within(table, getattr(getattr(settings, method, None), "images", None))[start:stop]
    state = _state(
        method, suite, chunk, seed, settings, Path(data), Path(models), asked, out, device, threads
    )
    load = partial(load_method, method, seed, data, models, settings, device, threads)
    make = partial(_answer_chunk, load, Path(data), asked, within, settings.batch_size, out, chunk)
    label = f"answer {method} {suite} {chunk}"
    if state is None:
        make(label, state, device, threads)
        return
    recovery = Recovery(out, chunk, state.made_of)
    with recovery.alone():
        if recovery.take():
            print(f"{label}: whole already", file=sys.stderr)
        else:
            make(label, state, device, threads)
            recovery.keep()


def _answer_chunk(
    load: Callable[[], Answer],
    data: Path,
    asked: pd.DataFrame,
    within: np.ndarray,
    batch_size: int,
    out: Path,
    chunk: str,
    label: str,
    state: ChunkState | None,
    device: str,
    threads: int,
) -> None:
    """Answers the questions of a chunk and writes its three files."""
    start, stop = _range(chunk)
    dataset, test = load_dataset(data), load_split(data, "test")

    began = perf_counter()
    reason = np.where(within, "", LEFT_OUT).astype(object)
    try:
        respond = load()
    except MissingWeights as error:
        # Of no other method's concern: this one's questions stay unanswered, and say why.
        print(f"{label}: not answered: {error}", file=sys.stderr)
        respond, within = _no_answer, np.zeros_like(within)
        reason[:] = str(error)
    loaded = perf_counter()
    images, columns, steps = answer_questions(
        respond,
        asked[within],
        dataset,
        test,
        batch_size,
        label=label,
        state=state,
    )
    images, columns = _spread(images, columns, within)
    parents = [np.isnan(columns[name]) for name in dataset.names]
    answered = columns.pop("answered", ~np.any(parents, axis=0))
    images[~answered] = 0
    seconds = perf_counter() - loaded + (state.seconds if state else 0.0)
    calls = getattr(respond, "network_calls", None)
    if "network_calls" in columns:
        calls = float(np.nansum(columns["network_calls"]))
    elif calls is not None:
        calls = calls * steps

    for low, high, other in _chunks_in(out):
        if other != chunk and low < stop and start < high:
            for leftover in out.glob(f"{other}.*"):
                leftover.unlink(missing_ok=True)
    write_array(out / f"{chunk}.npy", images)
    write_table(out / f"{chunk}.parquet", asked.assign(answered=answered, reason=reason, **columns))
    cost = {
        "questions": len(asked),
        "answered": int(answered.sum()),
        "images": steps,
        "seconds": seconds,
        "load_seconds": loaded - began,
        "network_calls": calls,
        "peak_rss_mb": _peak_rss(),
        "device": device,
        "threads": threads,
    }
    write_json(out / f"{chunk}.cost.json", cost)
    if state:
        state.clear()


def answer_questions(
    respond: Answer,
    questions: pd.DataFrame,
    dataset: Dataset,
    test: Split,
    batch_size: int,
    label: str = "answer",
    state: ChunkState | None = None,
) -> tuple[np.ndarray, Columns, int]:
    """Answers questions in memory, in aligned batches.

    Arguments:
        respond: A loaded method.
        questions: Rows of a suite's questions, by ascending `question`.
        dataset: The data set.
        test: Its test split.
        batch_size: The number of slots of an aligned batch.
        label: What progress is shown under.
        state: Where finished batches are kept, and taken from.

    Returns:
        The images, uint8 with shape :math:`(N, C, H, W)`; the method's own parents in the end, each
        :math:`(N,)`, NaN for a question that was not answered, and the columns that the method adds; and the
        number of images made on the way there.
    """
    steps = [json.loads(text) for text in questions["steps"]]
    lengths = np.array([len(actions) for actions in steps])
    number, rows, seeds = (questions[name].to_numpy(np.int64) for name in ("question", "index", "seed"))
    images = np.ascontiguousarray(test.images[rows])
    parents = {name: test.attributes[name].to_numpy(np.float64)[rows] for name in dataset.names}
    more = {
        name: np.full(len(questions), False if kind is bool else np.nan, kind)
        for name, kind in getattr(respond, "columns", {}).items()
    }
    flip = {
        "attribute": questions["attribute"].to_numpy(str) if "attribute" in questions else None,
        "label": questions["label"].to_numpy(np.int64) if "label" in questions else None,
        "target": questions["target"].to_numpy(np.int64) if "target" in questions else None,
    }

    made = done = 0
    work = []
    for batch, members in _groups(number // batch_size):
        length = lengths[members].max()
        kept = state.load(batch) if state else None
        if kept is None:
            work += [(batch, members, step, step == length - 1) for step in range(length)]
            continue
        images[members] = kept["images"]
        for name, values in (parents | more).items():
            values[members] = kept[f"column {name}"]
        made += int(kept["made"])
        done += length
        state.seconds += float(kept["seconds"])

    shown = progress(work, total=done + len(work), label=label, unit="batches", start=done)
    for group, members, step, last in shown:
        if step == 0:
            made_before, began = made, perf_counter()
        # Done with: questions of fewer steps, and questions that the method has given up.
        active = members[lengths[members] > step]
        active = active[~np.any([np.isnan(values[active]) for values in parents.values()], axis=0)]
        if len(active):
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
                **{name: None if values is None else values[active] for name, values in flip.items()},
            )
            new_images, new_parents, *new_more = respond(batch)
            if new_images.dtype != np.uint8 or new_images.shape != batch.images.shape:
                raise TypeError(
                    f"{label}: uint8 {batch.images.shape} expected, not {new_images.dtype} {new_images.shape}"
                )
            images[active] = new_images
            for name, values in parents.items():
                values[active] = new_parents[name]
            for name, values in more.items():
                values[active] = new_more[0][name]
            made += len(active)
        if state and last:
            columns = {f"column {name}": values[members] for name, values in (parents | more).items()}
            spent = {"made": np.array(made - made_before), "seconds": np.array(perf_counter() - began)}
            state.save(group, {"images": images[members], **columns, **spent})
    return images, parents | more, made


def _no_answer(batch: Batch) -> tuple[np.ndarray, Columns]:
    """Answers nothing: what stands for a method whose weights are missing."""
    raise AssertionError("no question is left to be asked")


def _groups(batches: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Returns each aligned batch and the rows of its questions."""
    return [(int(batch), np.flatnonzero(batches == batch)) for batch in np.unique(batches)]


def _within(questions: pd.DataFrame, images: int | None) -> np.ndarray:
    """Returns which questions are about one of the first `images` images of the table; None: all."""
    if images is None:
        return np.ones(len(questions), dtype=bool)
    return pd.factorize(questions["index"])[0] < images


def _spread(images: np.ndarray, columns: Columns, within: np.ndarray) -> tuple[np.ndarray, Columns]:
    """Puts what was answered in its rows; the others are blank."""
    if within.all():
        return images, columns
    spread = np.zeros((len(within), *images.shape[1:]), images.dtype)
    spread[within] = images
    wide = {}
    for name, values in columns.items():
        wide[name] = np.full(len(within), False if values.dtype == bool else np.nan, values.dtype)
        wide[name][within] = values
    return spread, wide


def _state(
    method: str,
    suite: str,
    chunk: str,
    seed: int,
    settings: Any,
    data: Path,
    models: Path,
    asked: pd.DataFrame,
    out: Path,
    device: str,
    threads: int,
) -> ChunkState | None:
    """Returns where the chunk keeps its finished batches; None for a method from outside this package.

    Nothing tells whether the code of such a method has changed.
    """
    if method not in METHODS:
        return None
    names = [*METHODS[method].models, *(["scm"] if METHODS[method].scm else [])]
    weights = [models / name / f"seed{seed}" / "model.safetensors" for name in names]
    # What an explainer keeps near the image by; of most choices there is no such file.
    perceptual = getattr(getattr(settings, method, None), "perceptual", "none").replace("_", "/", 1)
    weights.append(models / perceptual / "model.safetensors")
    test = [data / "dataset.json", data / "test" / "images.npy", data / "test" / "attributes.parquet"]
    values = settings.model_dump(mode="json") if hasattr(settings, "model_dump") else vars(settings)
    code = code_hash("methods.run", f"methods.{method}")
    made_of = fingerprint(
        [method, suite, seed, device, threads, code],
        {key: value for key, value in values.items() if key not in ("chunk_size", "chunks")},
        asked.to_json(orient="split", double_precision=15),
        files=(*weights, *test),
    )
    return ChunkState(out, chunk, made_of)


def _peak_rss() -> float:
    """Returns the peak resident memory of this process in MB; macOS counts bytes, others KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10

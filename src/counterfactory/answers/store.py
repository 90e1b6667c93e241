"""TODO answers.store."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import read_table
from ..core.foreign.npy import load_npy

__all__ = ["CHUNK", "gather"]


CHUNK = re.compile(r"(\d{6,})-(\d{6,})")


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
    images = np.concatenate([load_npy(folder / f"{chunk}.npy") for chunk in chunks])
    same = set(asked) <= set(answers) and answers[list(asked)].equals(asked.reset_index(drop=True))
    if not same or len(images) != len(asked):
        raise UserError(f"{folder}: not the answers to these {len(asked)} questions; delete it and run again")
    return images, answers


def _range(chunk: str) -> tuple[int, int]:
    match = CHUNK.fullmatch(chunk)
    if match is None:
        raise UserError(f"{chunk}: not the name of a chunk; write it like 000000-000500")
    return int(match[1]), int(match[2])


def _chunks_in(folder: Path) -> list[tuple[int, int, str]]:
    """Returns (start, stop, name) of the chunks in a folder; those still being written are passed over."""
    names = [path.stem for path in folder.glob("*.npy") if CHUNK.fullmatch(path.stem)]
    return sorted((*_range(name), name) for name in names)

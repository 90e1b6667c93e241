"""Reads the answers of a method: chunks of images and tables, joined into the answers to a whole suite.

The answers to the questions [start, stop) of a suite are the chunk `<start>-<stop>`, three files in one folder:

- `<chunk>.npy`: the images, uint8 with shape (N, C, H, W); zeros where a question was not answered.
- `<chunk>.parquet`: the questions, `answered`, `reason` (why the method was not run, otherwise empty), the method's own
  parents after the last action and the columns that the method adds.
- `<chunk>.cost.json`: time, memory and network calls.
"""

import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.errors import BadFile, UserError
from ..core.files import read_table
from ..core.foreign.npy import load_npy
from ..methods.registry import METHODS

__all__ = ["chunk_range", "chunks_in", "gather", "load_images"]

CHUNK = re.compile(r"(\d{6,})-(\d{6,})")
AGAIN = "delete it and run again"


def gather(
    folder: Path | str, suite: str, questions: Path | str | pd.DataFrame
) -> tuple[np.ndarray, pd.DataFrame]:
    """Reads all answers to a suite.

    Arguments:
        folder: The answers of one method and training seed, with one folder per suite.
        suite: The suite's name.
        questions: The suite's table of questions, or its path.

    Returns:
        The images, uint8 with shape :math:`(N, C, H, W)`, and the table of questions with the columns `answered` and,
        under the variables' names, the method's own parents after the last action (with a NaN where it did not
        answer). Row i of both is question i.

    Raises:
        UserError: If a question has no answer or two, the answers belong to other questions, or a file is missing,
            damaged or cannot be read.
    """
    folder = Path(folder) / suite
    table = questions if isinstance(questions, pd.DataFrame) else read_table(questions)
    # A chunk behind the last question is left from an earlier, longer table.
    chunks = [chunk for start, _, chunk in chunks_in(folder) if start < len(table)]
    if not chunks:
        raise UserError(f"{folder}: contains no answers; run the step that makes them first")
    tables, images = [], []
    for chunk in chunks:
        tables.append(_load_table(folder / f"{chunk}.parquet"))
        images.append(load_images(folder / f"{chunk}.npy"))
        if len(tables[-1]) != len(images[-1]) or images[-1].shape[1:] != images[0].shape[1:]:
            raise UserError(
                f"{folder / chunk}.npy: has images {images[-1].shape} for {len(tables[-1])} questions; "
                f"delete this chunk and run again"
            )
        # The checksum is missing in tables of other programs.
        if tables[-1].attrs.get("images") not in (None, zlib.crc32(np.ascontiguousarray(images[-1]).data)):
            raise BadFile(
                f"{folder / chunk}.npy: not the images of {chunk}.parquet; delete this chunk and run again"
            )
    answers = pd.concat(tables, ignore_index=True)
    same = set(table) <= set(answers) and answers[list(table)].equals(table.reset_index(drop=True))
    if not same:
        raise UserError(
            f"{folder}: not the answers to these {len(table)} questions; delete the folder and run again"
        )
    return np.concatenate(images), answers


def load_images(path: Path | str) -> np.ndarray:
    """Reads a file of images.

    Returns:
        The images, uint8 with shape :math:`(N, C, H, W)`.

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it is damaged or is not such an array.
    """
    images = load_npy(path)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise BadFile(f"{path}: contains {images.dtype} {images.shape}, not uint8 (N, C, H, W); {AGAIN}")
    return images


def chunk_range(chunk: str) -> tuple[int, int]:
    """Returns the range [start, stop) of questions of a chunk.

    Raises:
        UserError: If the chunk's name is not `<start>-<stop>` with six digits or more each.
    """
    match = CHUNK.fullmatch(chunk)
    if match is None:
        raise UserError(f"{chunk}: not the name of a chunk; write it like 000000-000500")
    return int(match[1]), int(match[2])


def chunks_in(folder: Path) -> list[tuple[int, int, str]]:
    """Returns (start, stop, name) of the complete chunks in a folder, by ascending start."""
    names = [path.stem for path in folder.glob("*.npy") if CHUNK.fullmatch(path.stem)]
    return sorted((*chunk_range(name), name) for name in names)


def _load_table(path: Path) -> pd.DataFrame:
    table = read_table(path)
    if "answered" not in table or table["answered"].dtype != bool:
        raise BadFile(f"{path}: has no column answered of true and false; {AGAIN}")
    # The path of a registered method ends with <method>/seed<k>/<suite>/<chunk>.parquet.
    method, seed = (folder.name for folder in (path.absolute().parents[2], path.absolute().parents[1]))
    found = (table.attrs.get("method", method), f"seed{table.attrs.get('seed', seed.removeprefix('seed'))}")
    if {method, found[0]} <= set(METHODS) and seed.startswith("seed") and found != (method, seed):
        raise BadFile(f"{path}: has answers of {'/'.join(found)}, not of {method}/{seed}; {AGAIN}")
    return table

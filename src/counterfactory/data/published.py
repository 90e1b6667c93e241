"""Reads the published tables of Morpho-MNIST with thickness and intensity.

The tables `train-morpho.csv` (60,000 rows) and `t10k-morpho.csv` (10,000 rows) have the columns `index`, `thickness`
(px) and `intensity` (grey levels). Files compressed with gzip (`.csv.gz`), other separators (`;`, tab) and column names
in capitals are accepted.
"""

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.errors import UserError, reading
from .processes import INTENSITY

__all__ = ["find_published", "read_published"]

_COLUMNS = ("index", "thickness", "intensity")
_SEPARATORS = ",;\t"
# The table of 60,000 rows has 1.7 MB.
_LARGEST = 2**25


def read_published(folder: Path | str, train: int, test: int) -> pd.DataFrame:
    """Reads the two published tables.

    Arguments:
        folder: The folder that contains them; `~` is expanded.
        train: The number of rows of `train-morpho.csv`.
        test: The number of rows of `t10k-morpho.csv`.

    Returns:
        Columns `thickness` (px), `intensity` (grey levels), `noise_thickness`, `noise_intensity`; train rows first, in
        the order of MNIST.

    Raises:
        UserError: If a table is missing, cannot be read, is of another data set, has another length, or holds values
            that the process does not generate.
    """
    tables = []
    for path, count in zip(find_published(folder), (train, test), strict=True):
        table = _read(path)
        if not np.array_equal(table["index"], np.arange(count)):
            raise UserError(
                f"{path}: column index must run from 0 to {count - 1}, one row per digit; download it again"
            )
        try:
            values = table[["thickness", "intensity"]].astype(np.float64)
            noises = INTENSITY.abduct(values["thickness"], values["intensity"])
        except (UserError, ValueError) as error:
            raise UserError(
                f"{path}: {error}; use the tables of Morpho-MNIST with thickness and intensity"
            ) from None
        tables.append(pd.concat([values, noises], axis=1))
    return pd.concat(tables, ignore_index=True)


def find_published(folder: Path | str) -> tuple[Path, Path]:
    """Returns the paths of the tables of the training digits and of the test digits.

    Raises:
        UserError: If there is no such folder, or a table is missing.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"data.published: '{folder}' is not a folder; name the one of both tables, or set null"
        )
    return _find(folder, "train-morpho.csv"), _find(folder, "t10k-morpho.csv")


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise UserError(
        f"data.published: {folder / name}: no such file; put both published tables there, or set null"
    )


def _bytes(path: Path) -> bytes:
    """Returns the content of a file, decompressed if it is gzip.

    Raises:
        ValueError: If it is larger than any such table.
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        data = (gzip.GzipFile(fileobj=file) if packed else file).read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"more than {_LARGEST} bytes")
    return data


def _read(path: Path) -> pd.DataFrame:
    """Reads one table, its columns renamed to lower case.

    Raises:
        UserError: If it cannot be read, or lacks a column.
        BadFile: If it is damaged.
    """
    with reading(path, "not a table", remedy="download it again"):
        text = _bytes(path).decode("utf-8-sig")
        header = text.split("\n", 1)[0]
        separator = max(_SEPARATORS, key=header.count)
        table = pd.read_csv(io.StringIO(text), sep=separator)
    table.columns = [str(name).strip().lower() for name in table.columns]
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        found = ", ".join(list(table.columns)[:8])
        raise UserError(
            f"{path}: has the columns {found}, but no {missing[0]}: it is the table of another data set; "
            "use Morpho-MNIST with thickness and intensity (Pawlowski et al., 2020), or set data.published: null"
        )
    return table

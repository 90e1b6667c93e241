"""Variation of scores over trainings, as measured for a release with several training seeds.

A run with one training seed cannot tell how far another training would move its scores. For some data sets the package
contains the scores of several trainings of the default configuration, one row per score and seed. The tables of this
module show their mean and standard deviation

.. math:: s = \\sqrt{\\frac{1}{S - 1} \\sum_{k=1}^S (m_k - \\bar m)^2},

where m_k is the score of the training with seed k, a mean over questions. `benchmarks/training_spread.py` writes the
files from a run with several seeds.
"""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pandas as pd
import yaml

from ..core.errors import UserError, reading
from ..core.files import write_text
from ..data.dataset import Dataset
from ..metrics.summary import GROUP
from .cells import Scores
from .explanations import explanation_tables
from .layout import Column, Row, Table
from .score_tables import headline_table
from .vocabulary import CEILING

__all__ = [
    "RELEASED",
    "checksum",
    "is_released",
    "read_released",
    "released_rows",
    "spread_tables",
    "write_released",
]

RELEASED = Path(__file__).parent / "released"
"""The folder of released scores: `<dataset>.csv` and, in `<dataset>.yaml`, how they were computed."""

KEYS = tuple(name for name in GROUP if name != "dataset")
"""The columns that identify a released score; `value` and `n` follow."""

_TABLES = {"headline": "spread", "flip": "spread_flip"}
_KINDS = ("predicted", "f1", "l1", "truth")
_LEAST = 3


def is_released(dataset: str, folder: Path = RELEASED) -> bool:
    """Returns whether the release contains scores of several trainings for a data set."""
    return (folder / f"{dataset}.csv").is_file()


def checksum(dataset: str, folder: Path = RELEASED) -> str:
    """Returns the SHA-256 checksum of the released scores of a data set and of their description."""
    return sha256(
        b"".join((folder / f"{dataset}.{kind}").read_bytes() for kind in ("csv", "yaml"))
    ).hexdigest()


def released_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of `scores.csv` that the tables of this module need, of methods with several seeds.

    Those of the ceiling, which is not trained, are kept: means over attributes are over those that it answers.

    Arguments:
        table: The columns of `scores.csv`.

    Raises:
        UserError: If no method has at least three training seeds.
    """
    kinds = table["metric"].str.partition("_")[0].isin(_KINDS) & table["suite"].isin(
        ["do", "null", "reverse"]
    )
    rows = table[(kinds | (table["suite"] == "flip")) & table["value"].notna()]
    seeds = rows.groupby("method")["seed"].transform("nunique")
    if not (seeds >= _LEAST).any():
        raise UserError(
            f"no method has scores of {_LEAST} training seeds; run with --config seeds=[0,1,2] first"
        )
    rows = rows[(seeds >= _LEAST) | (rows["method"] == CEILING)]
    return rows[[*KEYS, "value", "n"]].reset_index(drop=True)


def write_released(rows: pd.DataFrame, about: dict[str, str], dataset: str, folder: Path = RELEASED) -> None:
    """Writes released scores with five significant digits, and how they were computed.

    Arguments:
        rows: The rows of :func:`released_rows`.
        about: `command`, `revision` and `machine`.
        dataset: The data set.
        folder: The folder, which is created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{dataset}.csv", rows.to_csv(index=False, float_format="%.5g", lineterminator="\n"))
    write_text(folder / f"{dataset}.yaml", yaml.safe_dump(about, sort_keys=False))


def read_released(dataset: str, folder: Path = RELEASED) -> tuple[Scores, dict[str, str]]:
    """Returns the released scores of a data set, and how they were computed.

    Raises:
        UserError: If the release has none, or a file is damaged.
    """
    path = folder / f"{dataset}.csv"
    with reading(path, "not a table of released scores"):
        table = pd.read_csv(path, keep_default_na=False)[[*KEYS, "value", "n"]]
        table = table.astype({"value": "float64", "n": "int64", "seed": "int64", "cycles": "int64"})
    with reading(path.with_suffix(".yaml"), "not a description of released scores"):
        about = {
            key: str(value) for key, value in yaml.safe_load(path.with_suffix(".yaml").read_text()).items()
        }
    unknown = float("nan")
    return Scores(table.assign(dataset=dataset, low=unknown, high=unknown, reason="")), about


def spread_tables(scores: Scores, dataset: Dataset, folder: Path = RELEASED) -> list[Table]:
    """Returns mean and standard deviation over the trainings of the release, for the methods of a run.

    The tables have the columns of the tables `headline` and `flip`. No method is marked as the best one: the tables
    show how far one training differs from another.

    Arguments:
        scores: The scores of the run, whose methods have a row.
        dataset: The data set.
        folder: The folder of released scores.
    """
    if not is_released(dataset.name, folder):
        return []
    released, about = read_released(dataset.name, folder)
    caption = (
        f"Mean ± standard deviation over {len(released.seeds)} trainings of the default configuration, measured for "
        "this release. Intervals of a run with one training seed do not contain this variation. Two methods whose "
        "scores in this run differ by less than about three standard deviations may change places in another training."
    )
    notes = (f"Computed by `{about['command']}` at revision {about['revision']} ({about['machine']}).",)
    found = {
        "headline": headline_table(released, dataset),
        **{table.key: table for table in explanation_tables(released, dataset) if table.key == "flip"},
    }
    tables = []
    for key, table in found.items():
        title = f"Variation over trainings: {table.title[0].lower()}{table.title[1:]}"
        rows = [row for row in table.rows if row.role == "method" and row.key in scores.methods]
        kept = [
            k
            for k, column in enumerate(table.columns)
            if not _is_count(column) and any(row.cells[k].value is not None for row in rows)
        ]
        columns = tuple(table.columns[k] for k in kept)
        own = tuple(_plain(row, kept) for row in rows)
        if columns and own:
            tables.append(Table(_TABLES[key], title, columns, own, caption, notes=notes))
    return tables


def _is_count(column: Column) -> bool:
    return column.unit == "answers"


def _plain(row: Row, kept: list[int]) -> Row:
    """Returns a row with some of its cells, none of which is marked as the best."""
    return replace(row, cells=tuple(replace(row.cells[k], best=False) for k in kept))

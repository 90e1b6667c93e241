"""Checks the columns of a table that was read from a file."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from ..core.errors import BadFile

__all__ = ["require_columns"]


def require_columns(
    path: Path | str, table: pd.DataFrame, what: str, numbers: Sequence[str] = (), texts: Sequence[str] = ()
) -> None:
    """Checks that a table has all required columns and that numbers are stored as numbers.

    Arguments:
        path: The file or folder of the table, for the message.
        table: The table.
        what: What the table should be, for the message, such as `a table of questions`.
        numbers: The names of the required columns of numbers or booleans.
        texts: The names of the required columns of texts.

    Raises:
        BadFile: If a column is missing or has another type.
    """
    for name in (*numbers, *texts):
        if name not in table:
            raise BadFile(f"{path}: not {what} (no column {name}); delete it and run again")
    if not len(table):
        return
    for name in numbers:
        if not is_numeric_dtype(table[name]):
            raise BadFile(f"{path}: not {what} (column {name} is not numeric); delete it and run again")
    for name in texts:
        if is_numeric_dtype(table[name]):
            raise BadFile(f"{path}: not {what} (column {name} is not text); delete it and run again")

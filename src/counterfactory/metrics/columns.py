"""Checks the columns of a table that was read from a file."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from ..core.errors import BadFile

__all__ = ["require_columns"]


def require_columns(
    path: Path | str,
    table: pd.DataFrame,
    what: str,
    integers: Sequence[str] = (),
    numbers: Sequence[str] = (),
    texts: Sequence[str] = (),
) -> None:
    """Checks that a table has all required columns, and their types.

    Arguments:
        path: The file or folder of the table, for the message.
        table: The table.
        what: What the table should be, for the message, such as `a table of questions`.
        integers: The names of the required columns of integers.
        numbers: The names of the required columns of numbers or booleans.
        texts: The names of the required columns of texts.

    Raises:
        BadFile: If a column is missing or has another type.
    """
    kinds = (
        ("of integers", is_integer_dtype, integers),
        ("of numbers", is_numeric_dtype, numbers),
        ("of text", lambda column: not is_numeric_dtype(column), texts),
    )
    for kind, test, names in kinds:
        for name in names:
            if name not in table:
                raise BadFile(f"{path}: not {what} (no column {name}); delete it and run again")
            if len(table) and not test(table[name]):  # an empty table has no types
                raise BadFile(f"{path}: not {what} (column {name} is not {kind}); delete it and run again")

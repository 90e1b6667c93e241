"""Infers the role of each column of a table of images: variable, individual, split, row number or text."""

import re
from collections.abc import Mapping, Sequence

from .columns import Looks, is_missing
from .tables import Table

__all__ = ["RESERVED", "key_of", "role_of", "split_of"]

RESERVED = ("random", "index", "identity", "file")
"""Names that no variable may have: other columns of the attributes, and the intervention `random`."""

FEWEST_ROWS = 20
SPARSE = 0.2
"""A column with a larger share of missing values is no variable, unless the configuration names it."""


IDENTITY = re.compile(
    r"^(.*[ _-])?(identity|person|subject|patient|individual|celebrity)([ _-]?(id|no|nr|number))?$", re.I
)
SPLIT = re.compile(r"^(data[ _-]?)?(split|partition|fold|subset|set)$", re.I)
INDEX = re.compile(r"^(unnamed.*|index|id|row|no|nr|number|.*[ _-]id)$", re.I)
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
    "judges": "judges",
    "none": "none",
    "unused": "none",
}


def role_of(name: str, table: Table, looks: Looks) -> str:
    """Returns the role of a column: `variable`, `text`, `identity`, `split`, `index` or `sparse`."""
    cells = table.columns[name]
    words = {cell.lower() for cell in cells if not is_missing(cell)}
    if SPLIT.match(name) and (words <= set(SPLIT_WORDS) or words <= {"0", "1", "2", "3"} or "train" in words):
        return "split"
    if IDENTITY.match(name):
        return "identity"
    if INDEX.match(name):
        return "index"
    if words and words <= set(SPLIT_WORDS) and "train" in words:
        return "split"
    if looks.kind == "continuous" and looks.different == len(cells) > FEWEST_ROWS and _counts_up(cells):
        return "index"
    if looks.kind == "text" or looks.different < 2:
        return "text"
    return "sparse" if looks.missing > SPARSE * len(cells) else "variable"


def key_of(column: str, taken: Mapping[str, str] | Sequence[str] = ()) -> str:
    """Returns the name of a variable for a column: small letters, digits and underscores, not yet taken."""
    name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
    name = (name if name[:1].isalpha() else f"v_{name}".rstrip("_"))[:50]
    if name in RESERVED:
        name = f"{name}_value"
    number = next(
        count for count in range(1, 10_000) if (f"{name}_{count}" if count > 1 else name) not in taken
    )
    return name if number == 1 else f"{name}_{number}"


def split_of(cell: str, values: Mapping[str, str]) -> str | None:
    """Returns the split that a cell of the split column names; None for an unknown one."""
    return values.get(cell) if values else SPLIT_WORDS.get(cell.lower())


def _counts_up(cells: Sequence[str]) -> bool:
    numbers = sorted(int(cell) for cell in cells if cell.lstrip("-").isdigit())
    return len(numbers) == len(cells) and numbers[-1] - numbers[0] == len(numbers) - 1

"""Reads numbers as tables write them, with a decimal point or comma and with separators of thousands.

A mark (comma or point) separates thousands if it stands twice in a cell, or before the other mark, as in `1,234.5`. It
is the decimal mark in cells such as `1,5` and `0,125`. A cell such as `1,234` or `1.234` can be read in two ways. The
other cells of its column decide:

- `1,234` is 1234 if others have a decimal point or thousands with commas, and 1.234 if others have a decimal comma. If
  there are none or both, it is ambiguous.
- `1.234` is 1234 if others separate thousands by points, and 1.234 if no other cell has a decimal comma. Otherwise it
  is ambiguous.

This module imports neither numpy nor pandas.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["PLAIN", "Numerals", "numerals_of"]

EITHER = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}")
"""A cell that is a whole number with thousands or a number with three decimals."""

MARKED = re.compile(
    r"[+-]?(?:[1-9]\d{0,2}(?:(,\d{3})+(?:\.\d*)?|(\.\d{3})+(?:,\d*)?)|(?:\d+(?:([.,])\d*)?|([.,])\d+))(?:[eE][+-]?\d+)?"
)
"""A number with marks: thousands by comma (1), thousands by point (2), or one decimal mark (3 or 4)."""


@dataclass(frozen=True)
class Numerals:
    """How the numbers of a column are written.

    Arguments:
        thousands: The mark that separates thousands in cells that can be read in two ways, or an empty text.
        ambiguous: A cell that can be read in two ways, between which the other cells of the column do not decide;
            empty if there is none.
    """

    thousands: str = ""
    ambiguous: str = ""

    def number(self, cell: str) -> float | None:
        """Returns the finite number in a cell, or None if it holds none."""
        if "_" in cell:  # Python would read 1_000
            return None
        either = EITHER.fullmatch(cell)
        if either is not None:
            own = either[1]
            return float(cell.replace(own, "" if own == self.thousands else "."))
        found = MARKED.fullmatch(cell)
        if found is not None and (found[1] or found[2]):
            thousands, decimal = (",", ".") if found[1] else (".", ",")
            cell = cell.replace(thousands, "").replace(decimal, ".")
        elif found is not None:
            cell = cell.replace(",", ".")
        try:
            value = float(cell)
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def other(self) -> str:
        """Returns the two spellings that make the ambiguous cell clear, such as `1234 or 1.234`."""
        return f"{self.ambiguous.replace(',', '').replace('.', '')} or {self.ambiguous.replace(',', '.')}"


PLAIN = Numerals()
"""Numbers with a decimal point, or a decimal comma."""


def numerals_of(cells: Iterable[str]) -> Numerals:
    """Returns how the numbers of a column are written.

    Arguments:
        cells: The cells of the column; those that hold no number are not used.
    """
    seen = set[str]()
    either: dict[str, str] = {}
    for cell in cells:
        if (unclear := EITHER.fullmatch(cell)) is not None:
            either.setdefault(unclear[1], cell)
        elif (found := MARKED.fullmatch(cell)) is not None:
            kinds = ("thousands ,", "thousands .", f"decimal {found[3]}", f"decimal {found[4]}")
            seen |= {kind for kind, group in zip(kinds, found.groups(), strict=True) if group}
    point = bool(seen & {"thousands ,", "decimal ."})
    comma = bool(seen & {"thousands .", "decimal ,"})
    if "," in either and point == comma:
        return Numerals(ambiguous=either[","])
    if "." in either and comma and (point or "thousands ." not in seen):
        return Numerals(ambiguous=either["."])
    return Numerals("," if point and not comma else "." if "thousands ." in seen and not point else "")

"""Interprets columns of text: finds missing cells, the kind of a column, and the number of each cell.

A column is `binary` if its cells are two of the words for no and yes in :data:`NO` and :data:`YES`, such as -1 and 1 or
`no` and `yes`, `continuous` if they are numbers, and `categorical` otherwise. Whole numbers with few different values
are classes. This module imports neither numpy nor pandas.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .numerals import PLAIN, Numerals, numerals_of
from .variable import Variable

__all__ = ["MISSING", "Looks", "cell_reader", "class_words", "is_missing", "look", "truth_value"]

MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "?", "-"})
"""The cells that count as missing, in lower case."""

NO = ("0", "-1", "no", "n", "false", "f", "absent")
YES = ("1", "yes", "y", "true", "t", "present")
MOST_CLASSES = 20
FEWEST_NUMBERS = 10
"""Whole numbers with fewer different values than this are classes."""


@dataclass(frozen=True)
class Looks:
    """The kind and the contents of a column, as inferred from its cells.

    Arguments:
        kind: `binary`, `categorical`, `continuous`; or `text`, for columns without meaning for an image, such as names.
        classes: The classes in words, in order; empty for continuous columns and text.
        low: The smallest number of a continuous column.
        high: The largest one.
        missing: The number of cells without a value.
        different: The number of different values.
        odd: The cells that do not fit the kind of the column, such as a word in a column of numbers, with their count.
        numerals: How its numbers are written.
    """

    kind: str
    classes: tuple[str, ...]
    low: float
    high: float
    missing: int
    different: int
    odd: tuple[tuple[str, int], ...] = ()
    numerals: Numerals = PLAIN


def is_missing(cell: str) -> bool:
    """Returns whether a cell holds no value."""
    return cell.lower() in MISSING


def truth_value(cell: str) -> int | None:
    """Returns 0 or 1 for a word for no or yes; None for another one."""
    word = cell.lower()
    if word in NO:
        return 0
    if word in YES:
        return 1
    value = PLAIN.number(cell)
    return None if value not in (-1.0, 0.0, 1.0) else int(value > 0)


def look(cells: Sequence[str]) -> Looks:
    """Infers the kind of a column.

    A column in which at least 95 % of the cells are numbers, or words for no and yes, is a column of these, and the
    other cells are listed as `odd`.
    """
    counted = Counter(cells)
    missing = sum(count for cell, count in counted.items() if is_missing(cell))
    known = Counter({cell: count for cell, count in counted.items() if not is_missing(cell)})
    total = known.total()
    numerals = numerals_of(known)
    number = numerals.number
    nothing = (0.0, 1.0, missing, len(known))
    if not total:
        return Looks("text", (), *nothing)
    odd = tuple((cell, count) for cell, count in known.items() if truth_value(cell) is None)
    three = {-1.0, 0.0} <= {number(cell) for cell in known}  # -1, 0 and 1 are three classes
    if _few(odd, total) and all(number(cell) is None for cell, _ in odd) and not three:
        return Looks("binary", ("no", "yes"), *nothing, odd)
    odd = tuple((cell, count) for cell, count in known.items() if number(cell) is None)
    if _few(odd, total):
        values = {cell: value for cell in known if (value := number(cell)) is not None}
        whole = all(value.is_integer() for value in values.values())
        if whole and len(values) < FEWEST_NUMBERS and total >= 5 * len(values):
            return Looks("categorical", class_words(values), *nothing, odd)
        low, high = min(values.values()), max(values.values())
        return Looks("continuous", (), low, high, missing, len(known), odd, numerals)
    if len(known) <= MOST_CLASSES and total >= 2 * len(known):
        return Looks("categorical", class_words(known), *nothing)
    return Looks("text", (), *nothing)


def _few(odd: Sequence[tuple[str, int]], total: int) -> bool:
    """Returns whether at most 5 % of the cells are odd, and not all."""
    count = sum(count for _, count in odd)
    return count <= 0.05 * total and count < total


def class_words(cells: Iterable[str]) -> tuple[str, ...]:
    """Returns the different values of a categorical column in order: numbers by size, words by alphabet."""
    words = {cell for cell in cells if not is_missing(cell)}
    numerals = numerals_of(words)
    numbers = {word: numerals.number(word) for word in words}
    if all(value is not None for value in numbers.values()):
        return tuple(sorted(words, key=lambda word: (numbers[word] or 0.0, word)))
    return tuple(sorted(words))


def cell_reader(variable: Variable, numerals: Numerals = PLAIN) -> Callable[[str], float | str]:
    """Returns a function that converts a cell to a class or a value; for an invalid cell it returns an error text.

    Arguments:
        variable: The variable. A cell is compared with the words of its classes, then ignoring case.
        numerals: How the numbers of its column are written.
    """
    number = numerals.number
    if variable.kind == "continuous":
        return lambda cell: value if (value := number(cell)) is not None else f"{cell!r} is no number"
    exact = {word: float(label) for label, word in enumerate(variable.names)}
    small = {word.lower(): label for word, label in exact.items()}
    binary = variable.names == ("no", "yes")

    def read(cell: str) -> float | str:
        label = exact.get(cell, small.get(cell.lower()))
        if label is None and binary:
            label = truth_value(cell)
        if label is None and (value := number(cell)) is not None:
            label = next((own for word, own in exact.items() if number(word) == value), None)
        return f"{cell!r} is none of {', '.join(variable.names)}" if label is None else float(label)

    return read

"""Describes a wrong name: the most similar valid one, and all valid ones, in the same words everywhere."""

import difflib
from collections.abc import Iterable
from typing import Any

from .errors import UserError

__all__ = ["nearest", "shortened", "similar", "unknown_name"]

LONGEST = 60
MOST = 40


def nearest(word: str, choices: Iterable[str]) -> str:
    """Returns the remedy for a wrong name: the most similar valid one, if any is similar, and all valid ones.

    At most 40 valid names are listed. A word of more than 60 characters is similar to none.
    """
    known = [str(choice) for choice in choices]
    near = similar(word, known)
    listed = ", ".join(known[:MOST]) + (f" and {len(known) - MOST} more" if len(known) > MOST else "")
    every = f"choose from {listed or 'none'}"
    return f"did you mean '{near}'? ({every})" if near else every


def similar(word: str, choices: Iterable[str]) -> str | None:
    """Returns the valid name that is most similar to a word; None if none is similar."""
    near = difflib.get_close_matches(word, list(choices), n=1) if len(word) <= LONGEST else []
    return near[0] if near else None


def unknown_name(name: Any, what: str, choices: Iterable[str]) -> UserError:
    """Returns the error for a name that is not known.

    Arguments:
        name: The name, which may be any text. Its place may stand before it, as in `methods: hvea`.
        what: What is wrong, such as `no such method`.
        choices: The valid names.
    """
    word = str(name).rpartition(": ")[2]
    return UserError(f"{shortened(name)}: {what}; {nearest(word, choices)}")


def shortened(name: Any) -> str:
    """Returns a text on one line and of at most 60 characters; an empty one as two quotes."""
    text = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in str(name)) or "''"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."

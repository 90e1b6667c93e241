"""Says what is wrong with a configuration: one line that names the key and the nearest valid choice."""

import difflib
import re
from collections.abc import Iterable, Mapping
from textwrap import shorten
from typing import Any

from pydantic import ValidationError

__all__ = ["explain"]

Location = tuple[int | str, ...]

_WORDS = {
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "bool_type": "be true or false",
    "string_type": "be text",
    "string_too_short": "not be empty",
    "list_type": "be a list, such as [a, b]",
    "tuple_type": "be a list, such as [a, b]",
}
"""What pydantic calls its types, in the words of YAML."""


def explain(error: ValidationError, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Says the first mistake in one line.

    Arguments:
        error: What pydantic found.
        given: The whole configuration that it was found in.
        defaults: The whole configuration by default, for the keys that there are.
    """
    # A key that does not exist explains more than what it left unset, so those go first.
    mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    mistake = mistakes[0]
    path = _dotted(mistake["loc"])
    value = shorten(repr(_at(given, mistake["loc"])), 60)
    kind = mistake["type"]
    if kind == "extra_forbidden":
        keys = _siblings(defaults, mistake["loc"][:-1])
        text = f"{path} is not a key; {_nearest_key(mistake['loc'], keys, defaults)}"
    elif kind == "literal_error":
        choices = re.findall(r"'([^']*)'", mistake["ctx"]["expected"]) or [mistake["ctx"]["expected"]]
        text = f"{path} is {value}; {_nearest(str(_at(given, mistake['loc'])), choices)}"
    elif kind == "missing":
        text = f"{path} is missing; give it"
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        text = f"{path} is {value}; it must hold keys and values"
    else:
        message = _WORDS.get(kind) or mistake["msg"].removeprefix("Input ").removeprefix("should ")
        text = f"{path} is {value}; it should {message}"
    more = len(mistakes) - 1
    return " ".join(text.split()) + (f" (and {more} more mistake{'s' * (more > 1)})" if more else "")


def _dotted(location: Location) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _at(tree: Any, location: Location) -> Any:
    for part in location:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _siblings(defaults: Mapping[str, Any], location: Location) -> list[str]:
    """Returns the keys there are at a place; at one that the user named, such as an attribute, those of its like."""
    keys = _at(defaults, location)
    if not isinstance(keys, Mapping):
        keys = next(iter((_at(defaults, location[:-1]) or {}).values()), None)
    return list(keys) if isinstance(keys, Mapping) else []


def _nearest(word: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(word, choices, n=1)
    every = f"choose from {', '.join(choices)}"
    return f"did you mean '{near[0]}'? ({every})" if near else every


def _nearest_key(location: Location, siblings: list[str], defaults: Mapping[str, Any]) -> str:
    *above, key = map(str, location)
    near = difflib.get_close_matches(key, siblings, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    # The right key in the wrong section: those further down in this very section come first.
    elsewhere = [path for path in _paths(defaults) if path.split(".")[-1] == key]
    inside = [path for path in elsewhere if path.split(".")[: len(above)] == above]
    if elsewhere:
        return f"did you mean {' or '.join(repr(path) for path in (inside if above and inside else elsewhere)[:3])}?"
    return f"choose from {', '.join(siblings)}"


def _paths(tree: Mapping[str, Any], above: str = "") -> Iterable[str]:
    for key, value in tree.items():
        yield f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{key}.")

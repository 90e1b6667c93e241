"""Describes the mistakes in a configuration, one line each: the key, its value and the nearest valid choice."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ..core.names import LONGEST, nearest, similar
from .alternatives import accepted_words, annotation_at, literals

__all__ = ["error_messages", "nearest", "shown"]


Location = tuple[int | str, ...]

_WORDS = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "list_type": "must be a list, such as [a, b]",
    "tuple_type": "must be a list, such as [a, b]",
    "model_type": "must contain keys and values",
    "model_attributes_type": "must contain keys and values",
    "dict_type": "must contain keys and values",
}
"""Kinds of pydantic errors, in the words of YAML."""

_BOUNDS = {
    "greater_than": ("gt", "must be greater than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
    "multiple_of": ("multiple_of", "must be a multiple of"),
}
"""Kinds of pydantic errors with a bound: the bound's name in the error, and the message."""


def error_messages(
    error: ValidationError, given: Mapping[str, Any], defaults: Mapping[str, Any], section: type[BaseModel]
) -> list[str]:
    """Returns one line for each mistake.

    Arguments:
        error: The error raised by pydantic.
        given: The whole configuration that was validated.
        defaults: The default configuration, which has all keys.
        section: The class of the whole configuration.
    """
    lines: dict[Location, str] = {}  # by location, since the alternatives of a union report one mistake each
    # A misspelt key explains a missing one, so misspelt keys come first.
    for mistake in sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden"):
        location, union = _inside(given, mistake["loc"], mistake["type"] == "missing")
        value = _at(given, location)
        if union is not None and not _precise(mistake["type"], value, location != union):
            line = _of_union(union, _at(given, union), annotation_at(section, union))
            lines.setdefault(union, line)
            continue
        if union is not None and union != location:
            lines.pop(union, None)
        lines[location] = " ".join(_message(mistake, location, given, defaults).split())
    return list(lines.values())


def _precise(kind: str, value: Any, inside: bool) -> bool:
    """Returns whether the mistake of one alternative says more than that the value is none of the alternatives."""
    if kind == "missing":
        return False
    if inside:
        return True
    if isinstance(value, str):
        return kind in ("string_too_short", "string_too_long", "string_pattern_mismatch")
    if isinstance(value, list):
        return kind in ("duplicate",)
    return False


def _of_union(location: Location, value: Any, annotation: Any) -> str:
    """Returns the line of a value that none of the alternatives of a key accepts."""
    line = f"{_dotted(location)} is {shown(value)}; "
    near = similar(value, literals(annotation)) if isinstance(value, str) else None
    words = f"did you mean {near!r}?" if near else f"it must be {accepted_words(annotation)}"
    return " ".join(f"{line}{words}".split())


def shown(value: Any) -> str:
    """Returns a value as YAML would write it, cut to 60 characters."""
    words: dict[Any, str] = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        text = "a very large number"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _message(mistake: Any, location: Location, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    kind, context = mistake["type"], mistake.get("ctx", {})
    path, value = _dotted(location), _at(given, location)
    if kind == "extra_forbidden":
        return f"{path} is not a key; {_nearest_key(location, defaults)}"
    if kind == "missing":
        return f"{path} is missing; add it"
    if mistake["loc"][-1] == "[key]" and not kind.startswith("string"):
        return f"{path}: the key must be a whole number"
    if mistake["loc"][-1] == "[key]":
        return f"{path}: a name must start with a letter and have at most 60 small letters, digits and _"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
        return f"{path} is {shown(value)}; {nearest(str(value), choices)}"
    if kind == "duplicate":
        return f"{path} {mistake['msg']}"
    if kind == "too_short":
        least = context["min_length"]
        remedy = f"must have at least {'one entry' if least == 1 else f'{least} entries'}"
    elif kind == "string_too_long":
        remedy = f"must have at most {context['max_length']} characters"
    elif kind == "too_long":
        remedy = f"must have at most {context['max_length']} entries"
    elif kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        bound = context[name]
        remedy = f"{text} {bound:,}" if isinstance(bound, int) else f"{text} {bound:,g}"
    else:
        remedy = _WORDS.get(kind) or mistake["msg"].removeprefix("Input ").replace("should", "must", 1)
    return f"{path} is {shown(value)}; it {remedy}"


def _inside(given: Any, location: Location, missing: bool) -> tuple[Location, Location | None]:
    """Returns a location without the parts that name an alternative of a union, and the location of that union.

    Such a part, for example `constrained-int`, is no key of a mapping and no position of a list. Only the last part of
    the location of a `missing` key is none either.
    """
    found: list[int | str] = []
    union = None
    for position, part in enumerate(location):
        if part == "[key]":
            continue
        if isinstance(given, Mapping):
            keys = {key if isinstance(key, str) else shown(key) for key in given}
            alternative = str(part) not in keys and not (missing and position == len(location) - 1)
        else:
            alternative = not isinstance(given, list | tuple) or not isinstance(part, int)
        if alternative and isinstance(part, str):
            union = tuple(found) if union is None else union
            continue
        found.append(part)
        given = _at(given, (part,))
    return tuple(found), union


def _dotted(location: Location) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    path = "".join(parts).lstrip(".")
    return path if len(path) <= 2 * LONGEST else f"{path[: 2 * LONGEST - 3]}..."


def _at(tree: Any, location: Location) -> Any:
    for part in location:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _siblings(defaults: Mapping[str, Any], location: Location) -> list[str]:
    """Returns the keys of a section; for a section that the user named, such as an attribute, those of the others."""
    keys = _at(defaults, location)
    if not isinstance(keys, Mapping):
        keys = next(iter((_at(defaults, location[:-1]) or {}).values()), None)
    return list(keys) if isinstance(keys, Mapping) else []


def _nearest_key(location: Location, defaults: Mapping[str, Any]) -> str:
    *above, key = map(str, location)
    siblings = _siblings(defaults, location[:-1])
    near = similar(key, siblings)
    if near:
        return f"did you mean '{near}'?"
    # The right key in the wrong section: those below the same section come first.
    elsewhere = [path for path in _paths(defaults) if path.split(".")[-1] == key]
    inside = [path for path in elsewhere if path.split(".")[: len(above)] == above]
    if elsewhere:
        found = inside if above and inside else elsewhere
        return f"did you mean {' or '.join(repr(path) for path in found[:3])}?"
    return f"choose from {', '.join(siblings)}"


def _paths(tree: Mapping[str, Any], above: str = "") -> Iterable[str]:
    for key, value in tree.items():
        yield f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{key}.")

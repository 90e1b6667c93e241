"""Describes in words what a key accepts that can have values of several kinds, such as `none` or a whole number."""

from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .values import members

__all__ = ["accepted_words", "annotation_at", "literals"]

_KINDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_MANY: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "texts"}
_BOUNDS = {"ge": "of at least", "gt": "greater than", "le": "of at most", "lt": "less than"}


def accepted_words(annotation: Any) -> str:
    """Returns what a type accepts, such as `none, square or a whole number of at least 8`.

    Arguments:
        annotation: The type of the key, as the class of its section annotates it.
    """
    words: list[str] = []
    for choice in members(annotation):
        words += [one for one in _words(choice) if one not in words]
    if "a number" in words and "a whole number" in words:
        words.remove("a whole number")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def literals(annotation: Any) -> list[str]:
    """Returns the words that a type accepts literally."""
    return [
        word
        for choice in members(annotation)
        if get_origin(choice) is Literal
        for word in get_args(choice)
        if isinstance(word, str)
    ]


def annotation_at(section: type[BaseModel], location: tuple[int | str, ...]) -> Any:
    """Returns the type of the key at a location, or None if there is no such key.

    Arguments:
        section: The class of the whole configuration.
        location: The names of sections, keys and entries of mappings, and the positions in lists.
    """
    kind: Any = section
    for part in location:
        for choice in members(kind):
            bare = get_args(choice)[0] if get_origin(choice) is Annotated else choice
            below = get_args(bare)
            if isinstance(bare, type) and issubclass(bare, BaseModel) and part in bare.model_fields:
                kind = bare.model_fields[str(part)].annotation
                break
            if get_origin(bare) is dict or (get_origin(bare) is list and isinstance(part, int)):
                kind = below[-1]
                break
            if get_origin(bare) is tuple and isinstance(part, int) and below:
                kind = below[min(part, len(below) - 1)]
                break
        else:
            return None
    return kind


def _words(choice: Any) -> list[str]:
    bounds: dict[str, Any] = {}
    if get_origin(choice) is Annotated:
        choice, *metadata = get_args(choice)
        bounds = _bounds(metadata)
    origin, below = get_origin(choice), get_args(choice)
    if origin is Literal:
        return [str(one) for one in below]
    if choice is NoneType:
        return ["null"]
    if origin in (list, tuple):
        kinds = {kind for kind in below if kind is not ...}
        bare = next(iter(kinds)) if len(kinds) == 1 else None
        bare = get_args(bare)[0] if get_origin(bare) is Annotated else bare
        count = f"{len(below)} " if origin is tuple and ... not in below else ""
        least = f"at least {bounds['min_length']} " if "min_length" in bounds else ""
        return [f"a list of {least or count}{_MANY.get(bare, 'values')}"]
    if origin is dict or (isinstance(choice, type) and issubclass(choice, BaseModel)):
        return ["keys and values"]
    word = _KINDS.get(choice, "another value")
    limits = [f"{text} {bounds[name]:,}" for name, text in _BOUNDS.items() if name in bounds]
    # An upper bound that only excludes typing errors is left out.
    return [" ".join([word, *limits[:1]])]


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in metadata:
        for part in one.metadata if isinstance(one, FieldInfo) else [one]:
            found |= {
                name: value
                for name in ("ge", "gt", "le", "lt", "min_length")
                if (value := getattr(part, name, None)) is not None
            }
    return found

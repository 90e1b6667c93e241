"""Converts text in a configuration to the type that its key requires.

`snakemake --config 'seeds=[0, 1]'` passes every value inside a list or section as text, and YAML 1.1 reads `1e-3`
(without a dot) as text. Where a key accepts other values than text, such a value is read as YAML would read it: `48` is
a number where a key accepts a number or a word.
"""

import datetime
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["float_of", "members", "typed"]

_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")


def float_of(text: str) -> float | None:
    """Returns the number that `text` denotes in exponent notation, such as `1e-3`; None if it is no such number."""
    return float(text) if _EXPONENT.fullmatch(text) else None


def typed(value: Any, annotation: Any) -> Any:
    """Returns `value` with every text in it converted that the type `annotation` does not accept as text.

    Arguments:
        value: A value of the configuration: a mapping, list, text, number, truth value or None.
        annotation: The type of the key, as the class of its section annotates it.
    """
    if isinstance(value, datetime.date):  # YAML reads 2020-01-01, for example the name of a folder, as a date
        value = value.isoformat()
    choices = _choices(annotation)
    if isinstance(value, str):
        if NoneType in choices and value in ("null", "~"):
            return None
        if value in choices or (str in choices and int not in choices and float not in choices):
            return value
        read = _scalar(value)
        if any(choice is str or isinstance(choice, str) for choice in choices) and not _fits(read, choices):
            return value  # text, or a misspelt word, which is refused as it stands
        value = read
    for choice in choices:
        if isinstance(value, Mapping) and isinstance(choice, type) and issubclass(choice, BaseModel):
            fields = choice.model_fields
            return {
                key: typed(one, fields[key].annotation) if key in fields else one
                for key, one in value.items()
            }
        if isinstance(value, Mapping) and get_origin(choice) is dict:
            return {key: typed(one, get_args(choice)[1]) for key, one in value.items()}
        if isinstance(value, list) and get_origin(choice) is list:
            return [typed(one, get_args(choice)[0]) for one in value]
        if isinstance(value, list) and get_origin(choice) is tuple:
            return [
                typed(one, of) for one, of in zip(value, _padded(get_args(choice), len(value)), strict=True)
            ]
    return value


def _choices(annotation: Any) -> list[Any]:
    """Returns the alternatives of a type: the members of unions, the values of literals, without annotations."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _choices(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    if origin is Literal:
        return list(get_args(annotation))
    return [annotation]


def members(annotation: Any) -> list[Any]:
    """Returns the members of a union, or the type alone; literals and bounds are kept."""
    if get_origin(annotation) in (Union, UnionType):
        return [one for part in get_args(annotation) for one in members(part)]
    if get_origin(annotation) is Annotated:
        inner = get_args(annotation)[0]
        if get_origin(inner) in (Union, UnionType):
            return members(inner)
    return [annotation]


def _fits(value: Any, choices: list[Any]) -> bool:
    """Returns whether a value read from text has the type of one of the alternatives, or is one of them.

    A list does not fit where any text is accepted, because a text may be in brackets.
    """
    if isinstance(value, list):
        return str not in choices and any(get_origin(choice) in (list, tuple) for choice in choices)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    for choice in choices:
        if (number and choice is float) or (isinstance(choice, type) and type(value) is choice):
            return True
    return number and value in [choice for choice in choices if isinstance(choice, int | float)]


def _padded(types: tuple[Any, ...], length: int) -> list[Any]:
    return [types[min(position, len(types) - 1)] for position in range(length)]


def _scalar(text: str) -> Any:
    import yaml

    number = float_of(text.strip())
    if number is not None:
        return number
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text

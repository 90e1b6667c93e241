"""Keys whose values can be of several kinds: one line for a mistake, which says all of them."""

import re
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from counterfactory.config import Settings, load_settings
from counterfactory.config.alternatives import accepted_words, annotation_at, literals
from counterfactory.config.values import members
from counterfactory.core.errors import UserError

CROP = "it must be none, square or a whole number of at least 8"
RANGE = "it must be auto or a list of 2 numbers"
OPTION = "it must be true or false, a number, text or a list of texts"


def options(value):
    return {"oracle": {"options": {"a": value}}}


def ranged(value):
    return {"data": {"variables": {"size": {"range": value}}}}


def intervened(*values):
    return {"questions": {"do": {"interventions": list(values)}}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data": {"crop": "big"}}, f"data.crop is 'big'; {CROP}"),
        ({"data": {"crop": 4}}, f"data.crop is 4; {CROP}"),
        ({"data": {"crop": "4"}}, f"data.crop is 4; {CROP}"),
        ({"data": {"crop": None}}, f"data.crop is null; {CROP}"),
        ({"data": {"crop": True}}, f"data.crop is true; {CROP}"),
        ({"data": {"crop": "48.5"}}, f"data.crop is '48.5'; {CROP}"),
        ({"data": {"crop": {"side": 48}}}, f"data.crop is {{'side': 48}}; {CROP}"),
        ({"data": {"crop": "squar"}}, "data.crop is 'squar'; did you mean 'square'?"),
        (ranged("wide"), f"data.variables.size.range is 'wide'; {RANGE}"),
        (ranged([0]), f"data.variables.size.range is [0]; {RANGE}"),
        (ranged([0, 1, 2]), f"data.variables.size.range is [0, 1, 2]; {RANGE}"),
        (ranged([0, "a"]), "data.variables.size.range[1] is 'a'; it must be a number"),
        (options(None), f"oracle.options.a is null; {OPTION}"),
        (options({"b": 1}), f"oracle.options.a is {{'b': 1}}; {OPTION}"),
        (options([1]), "oracle.options.a[0] is 1; it must be text"),
        (
            intervened(5),
            "questions.do.interventions[0] is 5; it must be text or a list of at least 2 texts",
        ),
        (intervened(""), "questions.do.interventions[0] is ''; it must not be empty"),
        (intervened(["a", "a"]), "questions.do.interventions[0] contains 'a' twice"),
        ({"questions": {"do": {"values": {"thickness": ["x"]}}}}, "it must be a number"),
    ],
)
def test_a_mistake_is_one_line_that_names_every_alternative(given, said):
    with pytest.raises(UserError) as refused:
        load_settings(given)
    line = str(refused.value)
    assert line.startswith("config: ") and line.endswith(said) and "\n" not in line


def keys(section: type[BaseModel], above: tuple[str, ...] = ()):
    """Yields the location and the type of every key, and of every entry of a list or mapping."""
    for name, field in section.model_fields.items():
        yield from _below(field.annotation, (*above, name))


def _below(annotation: Any, location: tuple):
    yield location, annotation
    for choice in members(annotation):
        bare = get_args(choice)[0] if get_origin(choice) is Annotated else choice
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            yield from keys(bare, location)
        elif get_origin(bare) in (dict, list):
            yield from _below(get_args(bare)[-1], (*location, 0 if get_origin(bare) is list else "name"))


def test_every_union_of_the_configuration_is_said_in_words():
    found = {}
    for location, annotation in keys(Settings):
        kinds = [one for one in members(annotation) if one is not NoneType]
        if len(kinds) > 1:
            assert annotation_at(Settings, location) == annotation, location
            found[".".join(map(str, location))] = words = accepted_words(annotation)
            assert "another value" not in words and not re.search(r"[\[\]<>]|typing", words)
    assert {"data.crop", "data.variables.name.range", "oracle.options.name"} <= set(found)


def test_literals_of_a_union():
    assert literals(Literal["a", "b"] | int) == ["a", "b"] and literals(Literal[1, 2]) == []

"""Every key of the configuration with wrong values of every kind: accepted, or refused in short lines with the key."""

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from counterfactory.config import Settings, load_settings
from counterfactory.core.errors import UserError

VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2,
    10**12,
    10**400,
    1e-3,
    0.5,
    float("inf"),
    float("nan"),
    "",
    "~",
    "1e-3",
    "{word}",
    "a\nb",
    "x" * 10_000,
    "[",
    [],
    [0, 0],
    [-1],
    ["a", "a"],
    [[]],
    {},
    {"a": 1},
    {5: 6},
]


def leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, key))


def declared(settings: Settings, path: tuple[str, ...]) -> object:
    """Returns the class that declares a key; the section itself where it is a table of names."""
    section: Any = settings
    for key in path[:-1]:
        section = section[key] if isinstance(section, Mapping) else getattr(section, key)
    if isinstance(section, Mapping):
        return path[:-1]
    return next(one for one in type(section).__mro__ if path[-1] in inspect.get_annotations(one))


def cases(section: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields the keys of a section with wrong values.

    A key that several sections share, such as those of trainings, gets all values in the first of them and parts in the
    others: its checks are the same.
    """
    settings = Settings()
    seen: Counter[tuple[object, str]] = Counter()
    for path in leaves(settings.model_dump(mode="json")):
        field = (declared(settings, path), path[-1])
        if path[0] == section:
            yield from ((path, value) for value in (VALUES[seen[field] % 3 :: 3] if seen[field] else VALUES))
        seen[field] += 1


@pytest.mark.slow
@pytest.mark.parametrize("section", list(Settings.model_fields))
def test_every_leaf_is_accepted_or_refused_in_short_lines(section):
    for path, value in cases(section):
        given: Any = value
        for key in reversed(path):
            given = {key: given}
        try:
            load_settings(given)
        except UserError as error:
            lines = str(error).splitlines()
            assert all(line.startswith("config: ") and len(line) < 700 for line in lines), lines
            assert any(path[-1] in line for line in lines), (path, value, lines)

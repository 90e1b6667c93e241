"""Every key of the configuration with wrong values of every kind: accepted, or refused in short lines with the key."""

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


@pytest.mark.slow
@pytest.mark.parametrize("section", list(Settings.model_fields))
def test_every_leaf_is_accepted_or_refused_in_short_lines(section):
    whole = Settings().model_dump(mode="json")
    for path in leaves({section: whole[section]}):
        for value in VALUES:
            given: Any = value
            for key in reversed(path):
                given = {key: given}
            try:
                load_settings(given)
            except UserError as error:
                lines = str(error).splitlines()
                assert all(line.startswith("config: ") and len(line) < 700 for line in lines), lines
                assert any(path[-1] in line for line in lines), (path, value, lines)

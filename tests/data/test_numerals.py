"""Numbers with decimal points, decimal commas and separators of thousands; cells with two readings are not guessed."""

import pytest

from counterfactory.config import load_settings
from counterfactory.core.errors import UserError
from counterfactory.data.numerals import PLAIN, numerals_of
from tests.data.own_folder import draw_folder, write_table


@pytest.mark.parametrize(
    "cells, values",
    [
        (["1234", "1.5"], [1234.0, 1.5]),
        (["1,234", "12.5"], [1234.0, 12.5]),
        (["1,234", "1,234,567"], [1234.0, 1234567.0]),
        (["-1,234", "1,234.25"], [-1234.0, 1234.25]),
        (["1,234", "1,5"], [1.234, 1.5]),
        (["0,125", "3,250"], [0.125, 3.25]),
        (["1234,567", "1,234"], [1234.567, 1.234]),
        (["1,234", "1.234,5"], [1.234, 1234.5]),
        (["1.234", "1.234.567"], [1234.0, 1234567.0]),
        (["1.234", "5"], [1.234, 5.0]),
        (["1.5", "1,5"], [1.5, 1.5]),
        (["1,5e3", ".5", ",5", "5."], [1500.0, 0.5, 0.5, 5.0]),
    ],
)
def test_the_other_cells_of_a_column_decide(cells, values):
    found = numerals_of(cells)
    assert not found.ambiguous and [found.number(cell) for cell in cells] == values


@pytest.mark.parametrize(
    "cells, cell",
    [
        (["1,234", "5,678"], "1,234"),
        (["7", "1,234"], "1,234"),
        (["1.5", "1,5", "1,234"], "1,234"),
        (["1.234", "1,5"], "1.234"),
    ],
)
def test_two_readings_are_ambiguous(cells, cell):
    assert numerals_of(cells).ambiguous == cell


@pytest.mark.parametrize(
    "cell", ["", "inf", "-inf", "nan", "1e400", "1_000", "1 234", "1.2.3", "1,23,456", "x"]
)
def test_other_cells_hold_no_number(cell):
    assert PLAIN.number(cell) is None and not numerals_of([cell]).ambiguous


def test_an_ambiguous_column_is_refused_in_one_line(tmp_path):
    rows = draw_folder(tmp_path, 30)
    write_table(
        tmp_path / "table.csv", [[row[0], f"{1000 + 7 * i:,}", *row[2:]] for i, row in enumerate(rows)]
    )
    for variables in ({}, {"size": {"type": "continuous"}}):
        with pytest.raises(
            UserError, match="size: column 'Size' has '1,000', which can be 1000 or 1.000; write it"
        ) as e:
            load_settings(
                {"dataset": "folder", "data": {"folder": str(tmp_path / "images"), "variables": variables}}
            )
        assert "\n" not in str(e.value)

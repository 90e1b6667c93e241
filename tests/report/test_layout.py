import pytest

from counterfactory.report.layout import (
    Cell,
    Column,
    Row,
    Table,
    embolden_best,
    embolden_columns,
    footnotes,
    format_cell,
    format_number,
    join_tables,
)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.1234, 3, "0.123"),
        (-0.0004, 3, "0.000"),
        (-0.5, 1, "-0.5"),
        (10800, 0, "10,800"),
        (9999, 0, "9999"),
        (0, 2, "0.00"),
    ],
)
def test_numbers_have_fixed_decimals_and_no_negative_zero(value, decimals, text):
    assert format_number(value, decimals) == text


def test_a_cell_shows_its_interval_or_its_spread_or_nothing():
    column = Column("x", "x", decimals=2)
    assert format_cell(Cell(1.0, 0.9, 1.1), column) == ("1.00", "[0.90, 1.10]")
    assert format_cell(Cell(1.0, spread=0.25, seeds=2), column) == ("1.00", "± 0.25")
    both = Cell(1.0, 0.5, 1.5, spread=0.25, seeds=2)  # the interval over seeds says more than the spread
    assert format_cell(both, column) == ("1.00", "[0.50, 1.50]")
    assert format_cell(Cell(1.0), column) == ("1.00", "")
    assert format_cell(Cell(reason="why"), column) == ("", "")
    assert format_cell(Cell(1.0, decimals=4), column) == ("1.0000", "")
    assert format_cell(Cell(text="cpu"), column) == ("cpu", "")


@pytest.mark.parametrize(
    ("better", "best"), [("lower", [False, True, False, False]), ("higher", [False, False, True, False])]
)
def test_the_best_candidate_is_marked(better, best):
    cells = [Cell(0.0 if better == "lower" else 9.0), Cell(1.0), Cell(2.0), Cell(reason="absent")]
    assert [cell.best for cell in embolden_best(cells, [False, True, True, True], better, 2)] == best


def test_numbers_that_are_equal_as_shown_are_equally_good():
    cells = embolden_best([Cell(1.001), Cell(1.004), Cell(1.2)], [True] * 3, "lower", 2)
    assert [cell.best for cell in cells] == [True, True, False]


def test_only_cells_with_the_largest_n_are_compared():
    cells = [Cell(0.1, n=20), Cell(0.5, n=100), Cell(0.4, n=100)]
    assert [cell.best for cell in embolden_best(cells, [True] * 3, "lower", 2)] == [False, False, True]
    # Two cells with different n are not compared.
    assert not any(cell.best for cell in embolden_best(cells[:2], [True] * 2, "lower", 2))


def test_a_single_method_is_not_marked():
    assert not embolden_best([Cell(0.0), Cell(1.0)], [False, True], "lower", 2)[1].best
    assert not embolden_best([Cell(1.0), Cell(2.0)], [True, True], "", 2)[0].best


def _table(key, columns, rows):
    return Table(key, key, columns, rows)


def test_columns_are_emboldened_one_by_one():
    rows = (
        Row("copy", (Cell(0.0), Cell(1.0)), "floor"),
        Row("a", (Cell(1.0), Cell(0.2)), "method"),
        Row("b", (Cell(2.0), Cell(0.8)), "method"),
    )
    table = embolden_columns(
        _table("t", (Column("x", "x", better="lower"), Column("y", "y", better="higher")), rows)
    )
    assert [[cell.best for cell in row.cells] for row in table.rows] == [
        [False, False],
        [True, False],
        [False, True],
    ]


def test_each_reason_has_one_letter_in_order():
    rows = (
        Row("a", (Cell(reason="one"), Cell(reason="two"))),
        Row("b", (Cell(1.0, reason="one"), Cell(2.0))),
    )
    assert footnotes(_table("t", (Column("x", "x"), Column("y", "y")), rows)) == {"one": "a", "two": "b"}


def test_joined_tables_align_rows_and_state_missing_ones():
    left = _table(
        "l", (Column("x", "x", "g"),), (Row("a", (Cell(1.0),), key="a"), Row("b", (Cell(2.0),), key="b"))
    )
    right = _table("r", (Column("y", "y"),), (Row("a", (Cell(3.0),), key="a"),))
    joined = join_tables("j", "J", [left, right])
    assert [column.group for column in joined.columns] == ["l: g", "r"]
    assert [[cell.value for cell in row.cells] for row in joined.rows] == [[1.0, 3.0], [2.0, None]]
    assert joined.rows[1].cells[1].reason == "not asked"


def test_a_table_survives_json():
    table = Table(
        "t", "T", (Column("x", "x"),), (Row("a", (Cell(1.0, best=True),), "method", "a"),), notes=("n",)
    )
    assert Table.from_dict(table.as_dict()) == table

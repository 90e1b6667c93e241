"""Tables as users have them: separators, encodings, kinds of columns, and cells without a value."""

import pandas as pd
import pytest

from counterfactory.core.errors import BadFile
from counterfactory.data.columns import cell_reader, look, truth_value
from counterfactory.data.tables import read_columns
from counterfactory.data.variable import Variable

COLUMNS = {"image": ["a.png", "b.png"], "x": ["1", "2"]}


@pytest.mark.parametrize(
    "text",
    [
        "image,x\na.png,1\nb.png,2\n",
        "\ufeffimage;x\r\na.png;1\r\n\r\nb.png;2\r\n",
        "image\tx\na.png\t1\nb.png\t2",
        'image|x\n"a.png"| 1 \nb.png|2\n',
        "2\nx\na.png 1\nb.png  2\n",  # CelebA: the number of rows, and a header without the first column
    ],
)
def test_the_separator_is_found(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert read_columns(tmp_path / "t.csv").columns == COLUMNS


def test_parquet_has_the_same_cells(tmp_path):
    pd.DataFrame({"image": ["a.png", "b.png"], "x": [1.0, 2.0], "y": [None, True]}).to_parquet(
        tmp_path / "t.parquet"
    )
    assert read_columns(tmp_path / "t.parquet").columns == COLUMNS | {"y": ["", "True"]}


def test_rows_with_another_number_of_cells_are_named(tmp_path):
    (tmp_path / "t.csv").write_text("image,x\na.png,1\nb.png\nc.png,2,3\nd.png,4\n")
    table = read_columns(tmp_path / "t.csv")
    assert table.ragged == (2, 3) and table.rows == (1, 4) and table.columns["x"] == ["1", "4"]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not a table"),
        (b"\x00\x01" * 50, "not a table"),
        (b"\xff\xfea\x00", "not a table"),
        (b"image,x\n", "has no rows"),
        (b"image,x,x\na,1,2\n", "two columns are called 'x'"),
        (b"image,,x\na,1,2\n", "column 2 has no name"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BadFile, match=words) as caught:
        read_columns(tmp_path / "t.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "cells, kind, classes",
    [
        (["yes", "no", "NO", ""], "binary", ("no", "yes")),
        (["-1", "1", "True"], "binary", ("no", "yes")),
        (["yes", "no"] * 20 + ["maybe"], "binary", ("no", "yes")),
        (["0", "1"] * 20 + ["2"], "categorical", ("0", "1", "2")),
        (["-1", "0", "1"] * 10, "categorical", ("-1", "0", "1")),
        (["1.5", "2", "x"] + ["3.25"] * 40, "continuous", ()),
        (["3", "10", "2"] * 10, "categorical", ("2", "3", "10")),
        (["red", "blue"] * 3 + ["NA"], "categorical", ("blue", "red")),
        ([f"name {i}" for i in range(30)], "text", ()),
        (["1,5", "2,75", "3,125", "9"], "continuous", ()),
        (["", "NA"], "text", ()),
    ],
)
def test_kinds_of_columns(cells, kind, classes):
    found = look(cells)
    assert (found.kind, found.classes) == (kind, classes)


def test_cells_become_numbers_or_say_what_is_wrong():
    read = cell_reader(Variable("x", "categorical", classes=3, names=("2", "3", "10")))
    assert [read(cell) for cell in ("2", "10.0", "4")] == [0.0, 2.0, "'4' is none of 2, 3, 10"]
    read = cell_reader(Variable("x", "continuous"))
    assert read("1_000") == "'1_000' is no number"
    assert read("1e2") == 100.0 and read("nan") == "'nan' is no number" and read("1,5") == 1.5
    read = cell_reader(Variable("x", "categorical", classes=2, names=("no", "yes")))
    assert [read(cell) for cell in ("Yes", "-1", "TRUE", "0.0")] == [1.0, 0.0, 1.0, 0.0]
    # The order of a user's words counts, not their meaning.
    read = cell_reader(Variable("x", "categorical", classes=2, names=("yes", "no")))
    assert [read("yes"), read("no")] == [0.0, 1.0]
    assert truth_value("maybe") is None

"""Published tables of Morpho-MNIST: accepted spellings, one-line errors for other data sets and damaged files."""

import gzip

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.errors import BadFile, UserError
from counterfactory.data.published import read_published

TRAIN, TEST = 6, 3
TABLE = pd.DataFrame(
    {"index": range(TRAIN), "thickness": 2.25, "intensity": np.linspace(100.0, 110.0, TRAIN)}
)


def write(folder, text, name="train-morpho.csv"):
    data = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(data)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, TABLE.to_csv(index=False))
    write(tmp_path, TABLE.head(TEST).to_csv(index=False), "t10k-morpho.csv")
    return tmp_path


def refusal(folder, kind=UserError):
    with pytest.raises(kind) as caught:
        read_published(folder, TRAIN, TEST)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("rename", [str, str.upper, str.title, " {} ".format])
def test_separators_and_capitals(folder, separator, rename):
    expected = read_published(folder, TRAIN, TEST)
    assert list(expected) == ["thickness", "intensity", "noise_thickness", "noise_intensity"]
    write(folder, TABLE.rename(columns=rename).to_csv(index=False, sep=separator))
    pd.testing.assert_frame_equal(read_published(folder, TRAIN, TEST), expected)


def test_compressed_tables_a_byte_order_mark_and_the_home_folder(folder, monkeypatch):
    expected = read_published(folder, TRAIN, TEST)
    text = (folder / "train-morpho.csv").read_bytes()
    write(folder, b"\xef\xbb\xbf" + text)
    pd.testing.assert_frame_equal(read_published(folder, TRAIN, TEST), expected)
    (folder / "train-morpho.csv").unlink()
    write(folder, gzip.compress(text), "train-morpho.csv.gz")
    monkeypatch.setenv("HOME", str(folder))
    pd.testing.assert_frame_equal(read_published("~", TRAIN, TEST), expected)


def test_the_table_of_another_data_set_is_named_as_such(folder):
    # The measurements of plain Morpho-MNIST have no intensity.
    names = ["index", "area", "length", "thickness", "slant", "width", "height"]
    write(folder, pd.DataFrame(0.0, range(TRAIN), names).to_csv(index=False))
    message = refusal(folder)
    assert "has the columns index, area, length, thickness, slant, width, height, but no intensity" in message
    assert "it is the table of another data set" in message and "again" not in message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a table"),
        (b"\xff\xfe\x00", "not a table"),
        (gzip.compress(b"index", mtime=0)[:-4], "not a table"),
        (b"\x1f\x8bjunk", "not a table"),
        (gzip.compress(bytes(2**26), mtime=0), "not a table"),
        (b'index,thickness,intensity\n"0,1,2\n', "not a table"),
    ],
)
def test_damage(folder, data, message):
    write(folder, data)
    assert message in refusal(folder, BadFile)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intensity": "bright"}, "could not convert string to float"),
        ({"intensity": np.nan}, "the process generates 64 to 255 grey levels"),
        ({"thickness": 0.1}, "the process generates only values above 0.5 px"),
        ({"index": 0}, "column index must run from 0 to 5"),
    ],
)
def test_values_that_the_process_does_not_generate(folder, change, message):
    write(folder, TABLE.assign(**change).to_csv(index=False))
    assert message in refusal(folder)


def test_a_missing_table_names_the_key(folder):
    (folder / "t10k-morpho.csv").unlink()
    assert refusal(folder).startswith(f"data.published: {folder / 't10k-morpho.csv'}: no such file")

"""A data set on disk: writing and reading, encoded parents, and errors for missing, damaged and foreign files."""

import os

import numpy as np
import pytest

from counterfactory.core.errors import BadFile, UserError
from counterfactory.core.files import read_json, read_table, write_array, write_json, write_table
from counterfactory.data.dataset import encode_parents, load_dataset, load_split, save_dataset
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]


def test_what_is_written_is_read(tmp_path):
    save_dataset(tmp_path, SQUARES)
    assert load_dataset(tmp_path) == SQUARES
    assert SQUARES.width == 5 and SQUARES.names == ("size", "shade", "kind")


def test_encoded_parents():
    parents = {"size": [1.0, 2.5, 4.0, 7.0], "shade": [40.0, 250.0, 145.0, 40.0], "kind": [0, 1, 2, 1]}
    found = encode_parents(SQUARES, parents)
    assert found.dtype == np.float32
    # Linear, from low at -1 to high at 1 and on; classes one-hot.
    np.testing.assert_allclose(found[:, 0], [-1, 0, 1, 3])
    np.testing.assert_allclose(found[:, 1], [-1, 1, 0, -1])
    assert (found[:, 2:] == np.eye(3)[[0, 1, 2, 1]]).all()


@pytest.mark.parametrize("damaged", ["{", "{}", "[]", '{"variables": [{"colour": 3}]}', "\xff"])
def test_a_damaged_description_is_refused(tmp_path, damaged):
    (tmp_path / "dataset.json").write_bytes(damaged.encode("latin-1"))
    with pytest.raises(UserError, match=r"dataset\.json: .*delete it and run again") as error:
        load_dataset(tmp_path)
    assert "\n" not in str(error.value)


def test_a_description_of_more_than_a_data_set_is_refused(tmp_path):
    save_dataset(tmp_path, SQUARES)
    write_json(tmp_path / "dataset.json", {"extra": 1, "variables": [], "edges": [], "shape": [1, 2, 2]})
    with pytest.raises(UserError, match="does not describe a data set"):
        load_dataset(tmp_path)


def test_splits(squares):
    split = load_split(squares, "valid")
    assert split.images.shape == (20, 1, 6, 6) and isinstance(split.images, np.memmap)
    assert list(split.attributes["index"]) == list(range(20))
    with pytest.raises(UserError, match="holdout: not a split; choose one of train, valid, judges, test"):
        load_split(squares, "holdout")
    write_array(squares / "valid" / "images.npy", split.images[:7].copy())
    with pytest.raises(UserError, match="7 images but 20 rows"):
        load_split(squares, "valid")
    (squares / "valid" / "images.npy").write_bytes(b"half")
    with pytest.raises(UserError, match=r"images\.npy: cannot be read"):
        load_split(squares, "valid")


def test_a_variable_that_is_not_there():
    assert SQUARES.variable("shade").high == 250
    with pytest.raises(UserError, match="colour: not a variable of squares; it has size, shade, kind"):
        SQUARES.variable("colour")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="shade"), "has no column shade, a variable of squares"),
        (lambda table: table.assign(size="large"), "column size holds .*, not numbers"),
        (lambda table: table.head(3), "20 images but 3 rows of attributes"),
    ],
)
def test_attributes_of_other_columns_or_types(squares, change, message):
    path = squares / "valid" / "attributes.parquet"
    write_table(path, change(read_table(path)))
    with pytest.raises(BadFile, match=f"{message}.*delete it and run again") as caught:
        load_split(squares, "valid")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dataset.json", "valid/attributes.parquet", "valid/images.npy"])
def test_files_of_zero_bytes_and_without_permission(squares, name):
    path = squares / name
    if os.getuid():
        path.chmod(0)
        with pytest.raises(UserError, match="permission denied") as caught:
            load_split(squares, "valid")
        assert "delete" not in str(caught.value)
        path.chmod(0o600)
    path.write_bytes(b"")
    with pytest.raises(BadFile, match=f"{path.name}: .*delete it and run again"):
        load_split(squares, "valid")


@pytest.mark.parametrize(
    "images", [np.zeros((20, 6, 6), np.uint8), np.zeros((20, 1, 6, 6)), np.zeros((20, 1, 6, 6), bool)]
)
def test_images_of_another_shape_or_type(squares, images):
    write_array(squares / "valid" / "images.npy", images)
    with pytest.raises(BadFile, match=r"images\.npy: holds .*, not uint8 \(N, C, H, W\)"):
        load_split(squares, "valid")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", [1, 2]),
        ("shape", 3),
        ("edges", [["size"]]),
        ("variables", 3),
        ("variables", [{"name": "size", "kind": "other"}]),
        ("variables", [{"name": "size", "kind": "continuous", "low": "0"}]),
        ("variables", [{"name": "size", "kind": "continuous", "low": 1.0, "high": 1.0}]),
        ("variables", [{"name": "kind", "kind": "categorical", "classes": 0}]),
        ("variables", [{"name": 3, "kind": "continuous"}]),
    ],
)
def test_descriptions_with_values_of_another_type(tmp_path, key, value):
    save_dataset(tmp_path, SQUARES)
    write_json(tmp_path / "dataset.json", read_json(tmp_path / "dataset.json") | {key: value})
    with pytest.raises(BadFile, match="does not describe a data set; delete it"):
        load_dataset(tmp_path)

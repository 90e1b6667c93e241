"""A data set on disk: what is written is read, parents as networks see them, and what is damaged is refused."""

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.core.files import write_array, write_json
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

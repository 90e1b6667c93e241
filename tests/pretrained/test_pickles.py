"""Foreign pickles: arrays are read, and nothing else is called."""

import io
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.pretrained.pickles import read_array_pickle

# A float64 array [1, 2], with its label, as Python 2 and numpy 1 wrote it: its bytes are a string.
PYTHON_2 = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03(K\x01K\x02"
    b"\x85cnumpy\ndtype\nq\x04U\x02f8K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x10\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@tb."
)


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_that_python_3_wrote_are_read(protocol):
    value = OrderedDict(kernel=np.arange(6.0), slopes=np.ones((2, 1), np.float32))
    found = read_array_pickle(io.BytesIO(pickle.dumps(value, protocol)), "arrays")
    assert list(found) == ["kernel", "slopes"]
    np.testing.assert_array_equal(found["kernel"], value["kernel"])


def test_bytes_come_in_one_encoding_only():
    given = b"\x80\x02c_codecs\nencode\nX\x02\x00\x00\x00abX\x05\x00\x00\x00rot13\x86R."
    with pytest.raises(UserError, match="it contains bytes in rot13"):
        read_array_pickle(io.BytesIO(given), "arrays")


def test_arrays_in_containers_are_read():
    value = {"kernel": np.arange(6.0).reshape(2, 3), "pairs": [(np.int64([1]), "name", 2.5, None)]}
    back = read_array_pickle(io.BytesIO(pickle.dumps(value, protocol=4)), "value.pkl")
    np.testing.assert_array_equal(back["kernel"], value["kernel"])
    assert back["pairs"] == [(np.int64([1]), "name", 2.5, None)]


def test_an_array_of_python_2_is_read():
    np.testing.assert_array_equal(read_array_pickle(io.BytesIO(PYTHON_2), "old.pkl"), [1.0, 2.0])


@pytest.mark.parametrize("hidden", [lambda x: x, lambda x: np.array([x], object), lambda x: {"a": (x,)}])
def test_nothing_else_is_called(tmp_path, hidden):
    data = pickle.dumps(hidden(Call(os.mkdir, str(tmp_path / "called"))), protocol=4)
    with pytest.raises(UserError, match=r"^bad.pkl: not a pickle of arrays \(it refers to posix.mkdir"):
        read_array_pickle(io.BytesIO(data), "bad.pkl")
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    "data", [b"", PYTHON_2[:60], b"text", PYTHON_2.replace(b"K\x02\x85c", b"K\x03\x85c")]
)
def test_damage_is_named(data):
    with pytest.raises(UserError, match=r"^bad.pkl: not a pickle of arrays"):
        read_array_pickle(io.BytesIO(data), "bad.pkl")

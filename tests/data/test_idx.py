"""The idx format: round trips, the published bytes, and one-line errors for damaged files."""

import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from counterfactory.core.errors import UserError
from counterfactory.data.idx import encode_idx, read_idx, write_idx

TYPES = [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]


@pytest.mark.parametrize("name", ["a-idx3-ubyte", "a-idx3-ubyte.gz", "a.idx3-ubyte"])
@pytest.mark.parametrize("dtype", TYPES)
def test_an_array_survives_the_round_trip(tmp_path, name, dtype):
    array = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(dtype)
    write_idx(tmp_path / name, array)
    back = read_idx(tmp_path / name)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, array)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@settings(max_examples=50, deadline=None)
@given(arrays(np.int16, array_shapes(min_dims=1, max_dims=4, min_side=0)))
def test_any_shape_survives(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("idx") / "any"
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)


def test_the_bytes_are_those_of_the_format():
    assert encode_idx(np.array([[1, 2, 3], [4, 5, 255]], np.uint8)) == (
        b"\x00\x00\x08\x02\x00\x00\x00\x02\x00\x00\x00\x03\x01\x02\x03\x04\x05\xff"
    )
    assert encode_idx(np.array([1.5], ">f4")) == encode_idx(np.array([1.5], "<f4"))
    assert encode_idx(np.array([-2], np.int32)) == b"\0\0\x0c\x01\0\0\0\x01\xff\xff\xff\xfe"


def test_elements_are_written_in_c_order_whatever_the_memory_order():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert encode_idx(np.asfortranarray(array)) == encode_idx(array)


def test_a_compressed_file_depends_on_the_array_alone(tmp_path):
    array = np.arange(1000, dtype=np.int32)
    for name in ("one.gz", "two.gz"):
        write_idx(tmp_path / name, array)
    data = (tmp_path / "one.gz").read_bytes()
    assert data == (tmp_path / "two.gz").read_bytes()
    flags, mtime, level = struct.unpack("<3xBIB", data[:9])
    assert (flags, mtime, level) == (0, 0, 2)  # no name, no time, level 9


def test_compression_is_seen_from_the_content(tmp_path):
    array = np.arange(5, dtype=np.uint8)
    (tmp_path / "plain.gz").write_bytes(encode_idx(array))
    (tmp_path / "packed").write_bytes(gzip.compress(encode_idx(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / "plain.gz"), array)
    np.testing.assert_array_equal(read_idx(tmp_path / "packed"), array)


@pytest.mark.parametrize(
    "array", [np.zeros(3, np.int64), np.zeros(3, bool), np.array(1, np.uint8), np.array(["a"])]
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, array):
    with pytest.raises(ValueError, match="cannot hold"):
        write_idx(tmp_path / "a", array)
    assert not list(tmp_path.iterdir())


GOOD = encode_idx(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an idx file"),
        (GOOD[:3], "not an idx file"),
        (b"<!DOCTYPE html>", "not an idx file"),
        (b"\0\0\x0a\x01" + GOOD[4:], "not an idx file"),
        (b"\0\0\x08\0", "not an idx file"),
        (GOOD[:10], "cut short within its header"),
        (GOOD[:-1], "cut short"),
        (GOOD + b"\0", "too long"),
        (b"\0\0\x0e\x04" + b"\xff" * 16, "cut short"),
        (PACKED[:2], "compressed data is"),
        (PACKED[:-20], "compressed data is cut short"),
        (PACKED[:15] + bytes([PACKED[15] ^ 0xFF]) + PACKED[16:], "compressed data is damaged"),
        (PACKED[:-5] + bytes([PACKED[-5] ^ 0xFF]) + PACKED[-4:], "compressed data is damaged"),
        (PACKED + b"junk", "compressed data is damaged"),
        (gzip.compress(GOOD[:-1], mtime=0), "cut short"),
    ],
)
def test_damage_is_named_in_one_line(tmp_path, data, reason):
    path = tmp_path / "damaged-idx3-ubyte.gz"
    path.write_bytes(data)
    with pytest.raises(UserError, match=reason) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "fetch it again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match="nothing: no such file"):
        read_idx(tmp_path / "nothing")
    with pytest.raises(UserError, match="cannot be read"):
        read_idx(tmp_path)


@settings(deadline=None)
@given(st.sampled_from([b"", b"\0\0\x08", b"\x1f\x8b\x08"]), st.binary(max_size=40))
def test_no_bytes_do_anything_but_raise_a_user_error(tmp_path_factory, magic, rest):
    path = tmp_path_factory.mktemp("idx") / "fuzz"
    path.write_bytes(magic + rest)
    with contextlib.suppress(UserError):
        assert encode_idx(read_idx(path)) == magic + rest

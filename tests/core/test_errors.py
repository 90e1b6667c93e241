"""Errors of reading and writing name the file and the cause; only damaged content gets the advice to delete it."""

import errno
import os

import pytest

from counterfactory.core.errors import BadFile, UserError, reading
from counterfactory.core.files import read_json, read_table, write_text, writing


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file"), UserError, "f: no such file; run the step"),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            UserError,
            "f: permission denied; change its owner",
        ),
        (MemoryError(), UserError, "f: not enough memory to read it"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), UserError, "f: not enough memory to read it"),
        (OSError(errno.EIO, "Input/output error"), UserError, r"f: cannot be read \(Input/output error\)"),
        (ImportError("no pyarrow", name="pyarrow"), UserError, "f: the package pyarrow .* install it"),
        (ValueError("bad\nmagic"), BadFile, r"f: not a table \(bad magic\); delete it and run again"),
        (OSError("thrift"), BadFile, r"f: not a table \(thrift\); delete it"),
        (OSError(errno.EINVAL, "Invalid argument"), BadFile, "f: not a table .*delete it"),
        (KeyError("x" * 500), BadFile, r"f: not a table \(.{100,130}\); delete it"),
    ],
)
def test_each_cause_has_its_own_line(error, kind, message):
    with pytest.raises(UserError, match=message) as caught, reading("f", "not a table"):
        raise error
    assert type(caught.value) is kind and "\n" not in str(caught.value)


def test_errors_of_the_user_pass_through():
    with pytest.raises(UserError, match="^mine$"), reading("f"):
        raise UserError("mine")


def test_files_of_another_kind_are_damaged(tmp_path):
    for name in ("a.parquet", "a.csv", "a.json"):
        (tmp_path / name).write_bytes(b"")
        read = read_json if name.endswith("json") else read_table
        with pytest.raises(BadFile, match=f"{name}: .*delete it and run again"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "a.txt: no space left on the device"),
        (errno.EDQUOT, "a.txt: no space left on the device"),
        (errno.EROFS, "a.txt: the file system is read-only"),
        (errno.EACCES, "a.txt: permission denied"),
    ],
)
def test_a_failed_write_names_the_cause_and_leaves_nothing(tmp_path, number, message):
    with pytest.raises(UserError, match=message), writing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number), str(temporary))
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / "results" / "a.txt", "text")


def test_other_errors_are_not_hidden(tmp_path):
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "a.txt"):
        raise ZeroDivisionError

"""Private folders: of this user and mode 0700, or not used at all."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from counterfactory.core import cache_folder as module
from counterfactory.core.cache_folder import cache_folder, check_private_file, private_folder
from counterfactory.core.errors import UserError
from counterfactory.core.files import write_text, writing
from counterfactory.core.gpu_lease import lease


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder and a folder for temporary files, without the state of other tests."""
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    cache_folder.cache_clear()
    yield tmp_path
    cache_folder.cache_clear()


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def found():
    cache_folder.cache_clear()
    folder = cache_folder("code")
    assert mode(folder) == mode(folder.parent) == 0o700 and folder.stat().st_uid == os.getuid()
    return folder


def test_it_lies_in_the_cache_of_the_user(home, monkeypatch):
    assert found() == home / "home" / ".cache" / "counterfactory" / "code"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "given"))
    assert found() == home / "given" / "counterfactory" / "code"


def test_a_relative_cache_home_is_not_used(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert found() == home / "home" / ".cache" / "counterfactory" / "code"
    assert not (home / "relative").exists()


@pytest.mark.parametrize("value", ["/", "//", "relative", None, "/dev/null"])
def test_without_a_home_it_lies_among_the_temporary_files(home, monkeypatch, value):
    if value is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # as of an unknown uid
    else:
        monkeypatch.setenv("HOME", value)
    assert found() == home / "tmp" / f"counterfactory-{os.getuid()}" / "code"


def spoil_by_mode(folder):
    folder.chmod(0o777)


def spoil_by_link(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def spoil_by_file(folder):
    (folder / "code").rmdir()
    folder.rmdir()
    folder.write_text("")


@pytest.mark.parametrize("spoil", [spoil_by_mode, spoil_by_link, spoil_by_file])
def test_what_others_can_write_is_passed_over(home, spoil):
    first = found()
    spoil(first.parent)
    second = found()
    assert second == home / "tmp" / f"counterfactory-{os.getuid()}" / "code"
    spoil(second.parent)
    third = found()
    assert third.parent.parent == home / "tmp" and third not in (first, second)
    assert cache_folder("code") == third


def test_what_belongs_to_somebody_else_is_passed_over(home, monkeypatch):
    first = found()
    given = os.lstat

    def lstat(path, **options):
        result = given(path, **options)
        if Path(path) == first.parent:
            result = os.stat_result([*result[:4], result.st_uid + 1, *result[5:]])
        return result

    monkeypatch.setattr(module.os, "lstat", lstat)
    assert found() == home / "tmp" / f"counterfactory-{os.getuid()}" / "code"


def test_a_folder_that_others_can_read_is_closed(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    assert mode(private_folder(tmp_path / "open")) == 0o700


def test_a_folder_below_one_that_all_can_write_is_refused(tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all").chmod(0o777)
    with pytest.raises(PermissionError, match="replace"):
        private_folder(tmp_path / "all" / "mine")
    (tmp_path / "all").chmod(0o1777)
    private_folder(tmp_path / "all" / "mine")


def test_files_are_checked(tmp_path):
    path = tmp_path / "code.so"
    path.write_bytes(b"")
    path.chmod(0o700)
    assert check_private_file(path) == path
    path.chmod(0o722)
    with pytest.raises(PermissionError):
        check_private_file(path)
    (tmp_path / "link.so").symlink_to(path)
    with pytest.raises(PermissionError):
        check_private_file(tmp_path / "link.so")


def test_locks_are_not_taken_where_others_can_write(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks").chmod(0o777)
    with (
        pytest.raises(UserError, match=r"locks: .*; remove it, or set TMPDIR"),
        lease(1, ["0"], tmp_path / "locks"),
    ):
        pass


def test_numba_keeps_its_code_there(tmp_path):
    code = "import numba, counterfactory.data.morphology; print(numba.config.CACHE_DIR)"
    environ = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "theirs")}
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs").chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / "counterfactory" / "numba")


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_are_readable_as_the_umask_says(tmp_path, umask, expected):
    import torch

    from counterfactory.core.checkpoint import save_model

    before = os.umask(umask)
    try:
        save_model(tmp_path, {"a": torch.zeros(2)}, {})
        write_text(tmp_path / "text", "")
        with writing(tmp_path / "secret") as temporary:
            temporary.write_text("")
            temporary.chmod(0o600)
    finally:
        os.umask(before)
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("model.safetensors", "model.json", "text", "secret"), expected
    )

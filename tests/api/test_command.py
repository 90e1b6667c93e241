"""The command `imagine`: what cannot be written or contradicts itself is refused before anything is loaded."""

import os

import pytest

import counterfactory.api
from counterfactory.api.outputs import check_picture, check_writable
from counterfactory.cli import main
from counterfactory.core.errors import UserError

ASKED = ["imagine", "missing.png", "--do", "thickness=4"]


@pytest.fixture(autouse=True)
def nothing_is_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(*arguments, **options):
        raise AssertionError("loaded")

    monkeypatch.setattr(counterfactory.api, "load", load)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()


@pytest.mark.parametrize(
    "more,words",
    [
        (["--out", "x.jpg"], "not a lossless format"),
        (["--out", "x"], "not a lossless format"),
        (["--out", "file/x.png"], "file/x.png: cannot be written"),
        (["--out", "file/a/b/x.png"], "cannot be written"),
        (["--out", "folder.png"], "is a folder"),
        (["--out", f"{'x' * 300}.png"], "cannot be written"),
        (["--grid", "thickness=1:6"], "NAME=FROM:TO:COUNT"),
        (["--grid", "thickness=1:6:1"], "choose 2 to 100"),
        (["--grid", "thickness=1:6:3"], "--do sets thickness too"),
        (["--do", "thickness=5"], "was given before"),
        (["--given", "digit=5", "--given", "digit=6"], "was given before"),
        (["--do", "digit"], "not a variable and a number"),
    ],
)
def test_refused_before_anything_is_loaded(more, words, capsys):
    assert main([*ASKED, *more]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_folders_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    for check in (check_picture, check_writable):
        with pytest.raises(UserError, match="permission denied"):
            check(tmp_path / "new" / "x.png")


def test_missing_folders_are_made(tmp_path):
    check_picture(tmp_path / "a" / "b" / "x.png")
    assert not (tmp_path / "a").exists()

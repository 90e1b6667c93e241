"""The Makefile, with an environment in which `snakemake` only prints what it is called with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNAKEMAKE = '#!/bin/sh\necho "home=$HOME cache=$XDG_CACHE_HOME"\nprintf "<%s>" "$@"\necho\n'


@pytest.fixture
def tree(tmp_path):
    """A checkout with an environment that appears installed."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "workflow" / "presets", tmp_path / "workflow" / "presets")
    shutil.copytree(ROOT / "envs", tmp_path / "envs")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "snakemake").write_text(SNAKEMAKE)
    (programs / "snakemake").chmod(0o755)
    # A link would look for its environment here.
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    (tmp_path / ".venv" / ".installed").write_text(f"{tmp_path}\n")
    (tmp_path / "mine.yaml").write_text("seeds: [0]\n")
    return tmp_path


def make(tree, *words, **variables):
    # These tests may be run by make themselves, which passes its own arguments on.
    dropped = {
        "HOME",
        "XDG_CACHE_HOME",
        "MAKELEVEL",
        "MAKEFLAGS",
        "MFLAGS",
        "MAKEOVERRIDES",
        "PRESET",
        "ARGS",
        "CORES",
    }
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"HOME": str(tree / "home")} | variables
    environment = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(["make", *words], cwd=tree, env=environment, capture_output=True, text=True)


SMOKE = "<--configfile><workflow/presets/smoke.yaml>"


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ([], "<--cores><all>"),
        (["CORES=3"], "<--cores><3>"),
        (["PRESET=smoke"], f"{SMOKE}<--cores><all>"),
        (["PRESET=smoke", "ARGS=--configfile mine.yaml"], f"{SMOKE}<mine.yaml><--cores><all>"),
        (["PRESET=smoke", "ARGS=--configfile=mine.yaml -n"], f"{SMOKE}<mine.yaml><--cores><all><-n>"),
        (
            ["PRESET=smoke", "ARGS=-n --configfiles mine.yaml workflow/presets/all.yaml results/x.csv"],
            f"{SMOKE}<mine.yaml><workflow/presets/all.yaml><--cores><all><-n><results/x.csv>",
        ),
        (["ARGS=--config seeds=[0,1] results/x.npy"], "<--cores><all><--config><seeds=[0,1]><results/x.npy>"),
    ],
)
def test_preset_and_arguments_are_merged(tree, words, called):
    done = make(tree, "run", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == called


def test_an_unknown_preset_is_one_line(tree):
    done = make(tree, "run", "PRESET=smoek")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("PRESET=smoek: no such preset; choose one of ") and "smoke" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a\n  b: *a\n", "line 2: *a is used inside the section that it names"),
        ("seeds: [" + "1" * 5000 + "]\n", "is no possible number or date"),
        ("seeds: [0\nmethods: {a\n", "not valid YAML at line 2, column 8"),
        ("seeds: [0]\nseeds: [1]\n", "'seeds' stands on line 1 and again on line 2"),
        (None, "no such file"),
    ],
    ids=["anchor", "integer", "syntax", "twice", "missing"],
)
def test_a_file_that_snakemake_cannot_read_is_one_line(tree, text, said):
    (tree / "mine.yaml").unlink() if text is None else (tree / "mine.yaml").write_text(text)
    done = make(tree, "run", "PRESET=smoke", "ARGS=--configfile mine.yaml")
    assert done.returncode == 2 and done.stdout == ""
    line, last = done.stderr.splitlines()  # the last one is of make
    assert line.startswith("counterfactory settings: mine.yaml: ") and said in line
    assert last.startswith("make: ***")


@pytest.mark.parametrize("home", [None, "", "/dev/null", "/proc/none"])
def test_without_a_home_a_temporary_one_is_used_and_removed(tree, home):
    done = make(tree, "run", HOME=home, TMPDIR=str(tree))
    assert done.returncode == 0, done.stderr
    used = Path(done.stdout.splitlines()[0].removeprefix("home=").partition(" ")[0])
    assert used.parent == tree and not used.exists()


def test_a_writable_home_or_cache_is_kept(tree):
    assert make(tree, "run").stdout.startswith(f"home={tree}/home cache=\n")
    kept = make(tree, "run", HOME="/dev/null", XDG_CACHE_HOME=str(tree / "cache")).stdout
    assert kept.startswith(f"home=/dev/null cache={tree}/cache\n")


def test_a_moved_checkout_gets_a_new_environment(tree):
    assert "venv --clear" not in make(tree, "install", "-n").stdout
    (tree / ".venv" / ".installed").write_text("/another/place\n")
    assert "venv --clear .venv" in make(tree, "install", "-n").stdout


def test_settings_of_pip_reach_uv_and_pip_user_does_not(tree):
    (tree / ".venv" / ".installed").unlink()
    shown = make(tree, "install", "-n", PIP_USER="1").stdout
    assert shown.count('eval "$(.venv/bin/python envs/uv_settings.py)"; .venv/bin/uv pip install') == 2
    (tree / "Makefile").write_text((tree / "Makefile").read_text() + "\nshow:\n\t@echo $$PIP_USER\n")
    assert make(tree, "show", PIP_USER="1").stdout == "0\n"

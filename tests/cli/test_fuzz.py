"""Every argument of every command with bad values: status 0, or 1 or 2 and one line; never a traceback."""

import argparse
import shlex

import pytest

from counterfactory.cli import MODULES, main, parser

# Nothing is fetched from the network, and no server is started.
BASES = {
    "digits": ["--source", "nowhere"],
    "weights": ["lpips", "--source", "nowhere.pth"],
    "synthesise": ["--dataset", "pendulum"],
    "train": ["scm"],
    "answer": ["copy", "do", "000000-000003"],
    "score": ["axioms", "copy"],
    "export-dime": ["copy", "--attribute", "right"],
    "summarise": ["results/pendulum/scores/axioms/seed0.parquet"],
    "bundle": ["results/pendulum", "bundled"],
}
VALUES = [
    "",
    " ",
    "no-such-name",
    "-1",
    "1e400",
    "nan",
    "0.5",
    "99999999999999999999",
    "./here",
    "nowhere.npy",
    "text.txt",
    "ä\u202eö☃",
    "{word}",
    "[",
    "a\nb",
    "x" * 5000,
]
# The defaults of the other sections are valid with these.
FEW = """
data: {train: 400, valid: 150, judges: 300, test: 100}
questions: {do: {images: 100}, null: {images: 100}}
"""
FIGURES = {"figures", "tables", "report", "export-dime", "runtime"}  # of more than a second: fewer values
EVERY = {command.name: command for module in MODULES for command in module.COMMANDS}


def base(name):
    """Returns valid or at least complete arguments of a command."""
    return BASES.get(name) or [word for word in shlex.split(EVERY[name].example)[2:]]


def arguments(name):
    """Returns the actions of the arguments of a command, but for those that end the program."""
    (commands,) = (one for one in parser()._actions if isinstance(one, argparse._SubParsersAction))
    ends = (argparse._HelpAction, argparse._VersionAction)
    return [one for one in commands.choices[name]._actions if not isinstance(one, ends)]


def variants(name):
    """Yields the words of calls with one bad argument each."""
    words = base(name)
    if "--config" in words:
        words = words[: words.index("--config")]
    yield []
    yield [*words, "one-too-many", "and-another"]
    yield [*words, "--no-such-option"]
    values = VALUES[::4] if name in FIGURES else VALUES
    position = 0
    for number, action in enumerate(arguments(name)):
        # Each argument gets a part of the values, so that all values occur with each command.
        chosen = values[number % 3 :: 3]
        if action.option_strings and action.nargs != 0:
            yield [*words, action.option_strings[-1]] if action.nargs is None else []
            for value in chosen:
                yield [*words, f"{action.option_strings[-1]}={value}"]
        elif not action.option_strings:
            for value in chosen:
                yield [*words[:position], value, *words[position + 1 :]]
            position += 1


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with one text file, one folder and a configuration of few images, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNIST_ROOT", "nowhere")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    (tmp_path / "here").mkdir()
    (tmp_path / "text.txt").write_text("no data\n")
    (tmp_path / "config.yaml").write_text(FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EVERY))
def test_bad_arguments_are_one_line(place, name, capfd):
    for words in variants(name):
        try:
            status = main([name, *words])
        except SystemExit as stop:
            status = stop.code
        said = capfd.readouterr().err
        lines = [
            line
            for line in said.splitlines()
            if line.startswith(("counterfactory: ", f"counterfactory {name}: "))
        ]
        here = f"{name} {words!r:.300}: {status} {said[-600:]}"
        assert (status, len(lines)) in ((0, 0), (1, 1), (2, 1)), here
        assert "Traceback" not in said and all(len(line) < 700 for line in lines), here

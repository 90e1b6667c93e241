"""The parser of the command line, and its help: commands by stage, and the names of methods, metrics and models."""

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, NoReturn

from .. import __version__
from ..core.names import unknown_name
from .options import Command, file_path

__all__ = ["Parser", "build_parser"]

WIDTH = 110
LONGEST = 300
STAGES = ("data", "models", "questions", "answers", "scores", "report", "own images", "settings")


class _Formatter(argparse.HelpFormatter):
    """Keeps an example on one line, so that it can be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return f"{indent}{text}" if text.startswith("example: ") else super()._fill_text(text, width, indent)


class _CommandParser(argparse.ArgumentParser):
    """A parser of the arguments of a command: a mistake is one line."""

    def error(self, message: str) -> NoReturn:
        """Prints the mistake and where the arguments are explained, and exits with status 2."""
        text = message.replace("argument ", "", 1) if message.startswith("argument ") else message
        # One line, whatever the arguments hold; the name of the option stands first.
        text = "".join(sign if sign.isprintable() else "?" for sign in text)
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
        self.exit(2, f"{self.prog}: {text}; `{self.prog} --help` explains the arguments\n")


class Parser(_CommandParser):
    """A parser that suggests the nearest command, and whose help lists the commands by stage."""

    stages: dict[str, list[Command]]

    def format_help(self) -> str:
        """Returns the overview of all commands."""
        return "\n".join(_overview(self.stages)) + "\n"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        names = [command.name for commands in self.stages.values() for command in commands]
        if value not in names:
            self.exit(2, f"counterfactory: {unknown_name(value, 'no such command', names)}\n")
        super()._check_value(action, value)


def build_parser(modules: Sequence[ModuleType]) -> Parser:
    """Returns the parser of all commands that the modules `modules` define."""
    program = Parser(prog="counterfactory")
    program.stages = {stage: [] for stage in STAGES}
    for module in modules:
        for command in module.COMMANDS:
            stage = command.stage or module.__name__.rpartition(".")[2]
            program.stages.setdefault(stage, []).append(command)
    program.add_argument("--version", action="version", version=__version__)
    commands = program.add_subparsers(
        dest="command", required=True, metavar="command", parser_class=_CommandParser
    )
    shared = _CommandParser(add_help=False)
    shared.add_argument(
        "--config",
        nargs="+",
        action="extend",
        type=file_path,
        default=None,
        metavar="YAML",
        help="configuration files; later ones override earlier ones (default: config.yaml)",
    )
    for command in [command for commands in program.stages.values() for command in commands]:
        one = commands.add_parser(
            command.name,
            description=f"{command.text[:1].upper()}{command.text[1:]}.",
            epilog=f"example: {command.example}" if command.example else None,
            parents=[shared],
            formatter_class=_Formatter,
        )
        for part in command.parts:
            part(one)
        one.set_defaults(run=command.run)
    return program


def _overview(stages: dict[str, list[Command]]) -> Iterator[str]:
    """Yields the lines of the help of the whole program."""
    yield "usage: counterfactory [-h] [--version] command ..."
    yield ""
    yield "Image counterfactuals: every method answers the same questions, and the same metrics score every answer."
    yield "`snakemake --cores all` runs all steps in order. Each step is also a command:"
    for stage, commands in stages.items():
        if commands:
            yield f"\n{stage}"
        for command in commands:
            yield from textwrap.wrap(
                command.text, WIDTH, initial_indent=f"  {command.name:<14}", subsequent_indent=" " * 16
            )
            if command.example:
                yield f"                $ {command.example}"
    yield "\nnames"
    for title, names in _names().items():
        yield from textwrap.wrap(
            ", ".join(names), WIDTH, initial_indent=f"  {title:<14}", subsequent_indent=" " * 16
        )
    yield "\n`counterfactory COMMAND --help` explains the options of a command."


def _names() -> dict[str, list[str]]:
    """Returns the names that commands and the configuration accept, from the registries."""
    from ..data.registry import DATASETS
    from ..methods.registry import METHODS
    from ..metrics.registry import METRICS
    from ..models.registry import MODELS
    from ..questions.registry import SUITES

    return {
        "data sets": list(DATASETS),
        "models": list(MODELS),
        "suites": list(SUITES),
        "methods": list(METHODS),
        "metrics": list(METRICS),
    }

"""Defines a command of the command line, and the options that several commands share."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.names import shortened
from ..questions.registry import SUITES

__all__ = [
    "ATTRIBUTES",
    "DATA",
    "DEVICE",
    "OUT",
    "SEED",
    "SETTINGS",
    "SUITE",
    "THREADS",
    "Command",
    "file_path",
    "number",
    "option",
    "path",
    "paths",
    "positional",
    "true_or_false",
    "whole_number",
]

Part = Callable[[argparse.ArgumentParser], Any]
"""A function that adds one argument to the parser of a command."""


@dataclass(frozen=True)
class Command:
    """One command of the command line.

    Arguments:
        name: Its name, such as `train`.
        run: The function that runs it, called with the parsed arguments.
        text: Its help text, one short phrase.
        parts: Its arguments and options. Every command also has `--config`.
        example: One complete example, shown by `--help`.
        stage: The stage under which `--help` lists it (data, models, questions, answers, scores, report, settings);
            empty: the name of the module that defines it.
    """

    name: str
    run: Callable[[argparse.Namespace], None]
    text: str
    parts: tuple[Part, ...]
    example: str = ""
    stage: str = ""


def positional(name: str, text: str, **more: Any) -> Part:
    """Returns a positional argument."""
    return lambda parser: parser.add_argument(name, help=text, **_one_line(more))


def option(name: str, text: str, **more: Any) -> Part:
    """Returns the option `--name`. Its default is None unless `more` contains a default."""
    return lambda parser: parser.add_argument(f"--{name}", help=text, **_one_line(more))


def _one_line(more: dict[str, Any]) -> dict[str, Any]:
    """Adds the type of arguments that have none: text without a line break, which would split error messages."""
    return more if {"type", "action"} & set(more) else {**more, "type": _line}


def _line(text: str) -> str:
    if len(text.splitlines()) > 1:
        raise argparse.ArgumentTypeError(f"is {shortened(text)}; it must not contain a line break")
    return text


def path(name: str, text: str) -> Part:
    """Returns the option `--name`, whose value is a path."""
    return option(name, text, type=file_path, metavar="PATH")


def paths(name: str, text: str) -> Part:
    """Returns the option `--name`, whose value is a list of paths, possibly empty."""
    return option(name, text, type=file_path, nargs="*", metavar="PATH")


def true_or_false(name: str, text: str) -> Part:
    """Returns the option `--name`, whose value is `true` or `false`."""
    return option(name, text, type=_truth, metavar="true|false")


def file_path(text: str) -> Path:
    """Returns the path that an argument names; an empty one would be the working folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name a file or folder")
    if text.splitlines() != [text]:
        raise argparse.ArgumentTypeError("contains a line break; rename the file")
    return Path(text)


def whole_number(least: int) -> Callable[[str], int]:
    """Returns the type of an argument that is a whole number of at least `least` and less than 2^63."""

    def convert(text: str) -> int:
        try:
            number = int(text) if len(text) < 20 else -1
        except ValueError:
            number = -1
        if not least <= number < 2**63:
            raise argparse.ArgumentTypeError(
                f"is {shortened(text)}; it must be a whole number of at least {least}"
            )
        return number

    return convert


def number(text: str) -> float:
    """Returns the finite number that an argument is."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"is {shortened(text)}; it must be a finite number")
    return value


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"is {shortened(text)}; choose from true, false")
    return text == "true"


SETTINGS = option(
    "settings",
    "the section of the configuration that this command reads, as JSON or a file of JSON, instead of --config",
    metavar="JSON",
    type=str,
)
ATTRIBUTES = option(
    "attributes",
    "the section `attributes` of the configuration, as JSON or a file of JSON, instead of --config",
    metavar="JSON",
    type=str,
)
SEED = option("seed", "training seed (default: 0)", type=whole_number(0), default=0)
THREADS = option("threads", "number of CPU threads (default: 1)", type=whole_number(1), default=1)
DEVICE = option(
    "device",
    "device of the networks (default: `device` of the configuration)",
    choices=("auto", "cpu", "cuda"),
)
SUITE = positional("suite", f"the suite of questions: {', '.join(SUITES)}")
DATA = path("data", "folder of the data set (default: <results>/<dataset>/data)")
OUT = path("out", "output file or folder (default: the path that the workflow uses)")

"""What a command is, and the options that commands share."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "ATTRIBUTES",
    "DATA",
    "DEVICE",
    "OUT",
    "SEED",
    "SETTINGS",
    "THREADS",
    "Command",
    "option",
    "path",
    "paths",
    "positional",
    "true_or_false",
]

Part = Callable[[argparse.ArgumentParser], Any]
"""Adds one option to a command's parser."""


@dataclass(frozen=True)
class Command:
    """A command.

    Arguments:
        name: The word that calls it.
        run: What it does with the words after that one.
        text: What it does, in a few words.
        parts: Its options, besides `--config`, which every command has.
    """

    name: str
    run: Callable[[argparse.Namespace], None]
    text: str
    parts: tuple[Part, ...]


def positional(name: str, text: str, **more: Any) -> Part:
    """Returns an argument known by its place."""
    return lambda parser: parser.add_argument(name, help=text, **more)


def option(name: str, text: str, **more: Any) -> Part:
    """Returns the option `--name`; what is not given is None unless `more` says otherwise."""
    return lambda parser: parser.add_argument(f"--{name}", help=text, **more)


def path(name: str, text: str) -> Part:
    """Returns the option `--name`, a path."""
    return option(name, text, type=Path, metavar="PATH")


def paths(name: str, text: str) -> Part:
    """Returns the option `--name`, any number of paths."""
    return option(name, text, type=Path, nargs="*", metavar="PATH")


def true_or_false(name: str, text: str) -> Part:
    """Returns the option `--name`, the word true or false."""
    return option(name, text, type=lambda word: {"true": True, "false": False}[word], metavar="true|false")


SETTINGS = option(
    "settings", "this step's section of the configuration, as JSON, instead of --config", metavar="JSON"
)
ATTRIBUTES = option(
    "attributes", "the section attributes of the configuration, as JSON, instead of --config", metavar="JSON"
)
SEED = option("seed", "training seed (default: 0)", type=int, default=0)
THREADS = option("threads", "CPU threads (default: 1)", type=int, default=1)
DEVICE = option("device", "where networks run", choices=("auto", "cpu", "cuda"))
DATA = path("data", "folder of the data set")
OUT = path("out", "what to write")

"""The command that writes questions."""

import argparse
from importlib import import_module

from .options import ATTRIBUTES, DATA, OUT, SETTINGS, SUITE, Command
from .resolve import path_of, section_of, suite_of

__all__ = ["COMMANDS"]


def _questions(args: argparse.Namespace) -> None:
    suite = suite_of(args)
    attributes = section_of(args, "attributes", "attributes") if suite.attributes else None
    import_module(f"counterfactory.{suite.module}").write_questions(
        args.suite,
        section_of(args, "questions"),
        path_of(args, "data", "data"),
        path_of(args, "out", f"questions/{args.suite}.parquet"),
        attributes,
    )


COMMANDS = (
    Command(
        "questions",
        _questions,
        "write the questions of a suite",
        (SUITE, SETTINGS, ATTRIBUTES, DATA, OUT),
        example="counterfactory questions do",
    ),
)
"""The commands of this module."""

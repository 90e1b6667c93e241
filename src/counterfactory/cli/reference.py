"""Writes the reference page of the command line from the commands themselves, in reStructuredText."""

import argparse
from collections.abc import Iterator

from . import parser

__all__ = ["reference"]

PAGE = """Command line
============

Every command, by stage. This page is generated from the commands. Without options a command reads ``config.yaml`` and
uses the paths of the workflow, below ``<results>/<data set>/``.
"""


def reference() -> str:
    """Returns the reference page: usage, meaning, arguments and example of every command."""
    program = parser()
    subparsers = next(
        action.choices for action in program._actions if isinstance(action, argparse._SubParsersAction)
    )
    lines = [PAGE]
    for stage, commands in program.stages.items():
        if commands:
            lines += [f"\n{stage.capitalize()}\n{'-' * len(stage)}\n"]
        for command in commands:
            lines += _command(command.name, subparsers[command.name], command.example)
    return "\n".join(lines) + "\n"


def _command(name: str, command: argparse.ArgumentParser, example: str) -> Iterator[str]:
    """Yields the lines of one command."""
    title = f"``counterfactory {name}``"
    yield f"\n{title}\n{'~' * len(title)}\n\n{_escaped(command.description or '')}\n"
    if example:
        yield f".. code-block:: sh\n\n   {example}\n"
    rows = [
        (", ".join(action.option_strings) or action.metavar or action.dest, action.help or "")
        for action in command._actions
        if not isinstance(action, argparse._HelpAction)
    ]
    if rows:
        yield ".. list-table::\n   :widths: 25 75\n"
        for words, text in rows:
            yield f"   * - ``{words}``\n     - {_escaped(text % {'default': ''})}"
        yield ""


def _escaped(text: str) -> str:
    """Returns text in which the characters with a meaning in reStructuredText are escaped."""
    return "".join(f"\\{sign}" if sign in "*`|_\\" else sign for sign in " ".join(text.split()))

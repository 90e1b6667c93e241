"""The command line: one command a step, the same that the workflow's rules call.

A command reads its settings from its section of `--config` (default `config.yaml`; several files are laid over
each other), or as JSON from `--settings`, which is how a rule passes just what the step depends on. Paths that
are not given are those of the workflow, under `<results>/<dataset>/`. Nothing is computed here: a module for each
room lists its `COMMANDS`, and a command imports what it needs when it runs.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from .. import __version__
from ..core.errors import Unfinished, UserError
from . import answers, data, models, queries, report, settings
from . import scores as scores

__all__ = ["ROOMS", "main", "parser"]

ROOMS = (data, models, answers, scores, queries, report, settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Arguments:
        arguments: The words after the program's name; by default those it was started with.

    Returns:
        The exit status: 0, 2 for a mistake the user can mend (one line on stderr), 1 for a file from
        outside that is damaged or not what it should be (one line too), 75 for a training that its time budget ended
        and that the same command goes on with, 130 when interrupted.
    """
    args = parser().parse_args(arguments)
    try:
        with _one_gpu(args):
            args.run(args)
    except UserError as error:
        print(f"counterfactory {args.command}: {error}", file=sys.stderr)
        return error.status
    except Unfinished as stopped:
        print(f"counterfactory {args.command}: {stopped}", file=sys.stderr)
        return 75
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`); what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _one_gpu(args: argparse.Namespace) -> AbstractContextManager[str | None]:
    """Lets a command that may use a GPU see one of its own, while it runs; the others see them all."""
    if getattr(args, "device", "cpu") == "cpu":
        return nullcontext()
    from ..core.gpu_lease import lease

    return lease()


def parser() -> argparse.ArgumentParser:
    """Returns what understands the words of every command."""
    program = argparse.ArgumentParser(
        prog="counterfactory",
        description="Image counterfactuals: every method asked the same questions, every answer scored alike.",
        epilog="`snakemake --cores all` runs every step in order; each step can also be typed by itself.",
    )
    program.add_argument("--version", action="version", version=__version__)
    commands = program.add_subparsers(dest="command", required=True, metavar="command")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config",
        nargs="+",
        action="extend",
        type=Path,
        default=None,
        metavar="YAML",
        help="configuration; later files are laid over earlier ones (default: config.yaml)",
    )
    for command in (command for room in ROOMS for command in room.COMMANDS):
        one = commands.add_parser(command.name, help=command.text, description=command.text, parents=[shared])
        for part in command.parts:
            part(one)
        one.set_defaults(run=command.run)
    return program

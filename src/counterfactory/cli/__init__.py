"""The command line: one command for each step, the same that the rules of the workflow run.

A command reads its settings from its section of `--config` (default `config.yaml`; several files are merged), or from
`--settings`, which a rule uses to pass only what the step depends on. Paths that are not given are those of the
workflow, below `<results>/<dataset>/`. The modules of this package list their `COMMANDS`; nothing is computed here, and
a command imports what it needs when it runs.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from ..core.errors import Unfinished, UserError
from ..core.user import name_user
from . import (
    answers,
    data,
    explorer,
    imagine,
    imports,
    inspect,
    models,
    queries,
    questions,
    report,
    scores,
    settings,
)
from .help import Parser, build_parser

__all__ = ["MODULES", "main", "parser"]

MODULES = (
    inspect,
    data,
    models,
    imports,
    questions,
    answers,
    scores,
    queries,
    report,
    explorer,
    imagine,
    settings,
)
"""The modules that define commands."""


LONGEST = 600
"""The number of characters up to which a message is printed whole."""


def parser() -> Parser:
    """Returns the parser of all commands."""
    return build_parser(MODULES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Arguments:
        arguments: The command and its arguments; by default those of the process.

    Returns:
        The exit status: 0; 1 if the operating system reports an error, or a file is damaged; 2 for a mistake of the
        user; 75 if a training has used its time and can be resumed by the same command; 130 after an interrupt. All
        but 0 and 130 print one line that names the cause. Other exceptions are bugs and keep their traceback.
    """
    args = parser().parse_args(arguments)
    name_user()
    try:
        with _one_gpu(args):
            args.run(args)
            sys.stdout.flush()
        return 0
    except UserError as error:
        return _failed(args, str(error), error.status)
    except Unfinished as stopped:
        return _failed(args, str(stopped), 75)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the output has ended (`| head`). What is still buffered must not raise the error again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        cause = _cause(error)
        if cause is None:
            raise
        return _failed(args, cause, 1)


def _failed(args: argparse.Namespace, message: str, status: int) -> int:
    for line in message.splitlines():
        # A name of thousands of characters would hide what is wrong with it.
        shown = line if len(line) <= LONGEST else f"{line[:200]} ... {line[-200:]}"
        print(f"counterfactory {args.command}: {shown}", file=sys.stderr)
    return status


def _cause(error: Exception) -> str | None:
    """Returns the cause of an error of the operating system or of a missing package; None for any other error."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "not enough memory; give the step more memory, or lower the batch or chunk size"
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which is not imported here
        return "not enough memory on the GPU; lower the batch size, or set device: cpu"
    if (
        isinstance(error, ModuleNotFoundError)
        and (error.name or "counterfactory").split(".")[0] != "counterfactory"
    ):
        return f"the package {error.name} is not installed; install counterfactory[workflow]"
    if isinstance(error, OSError) and error.errno is not None:
        files = [
            os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)
        ]
        return f"{' -> '.join(files) or 'a file'}: {error.strerror or os.strerror(error.errno)}"
    return None


def _one_gpu(args: argparse.Namespace) -> AbstractContextManager[str | None]:
    """Reserves one GPU for a command that can use one, while it runs, and hides the others from it."""
    if getattr(args, "device", "cpu") == "cpu":
        return nullcontext()
    from ..core.gpu_lease import lease

    return lease()

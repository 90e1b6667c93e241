"""The command that looks at a folder of images and proposes its configuration."""

import argparse
import shlex
import sys

from .options import OUT, THREADS, Command, file_path, path, positional

__all__ = ["COMMANDS"]

PRESET = "workflow/presets/smoke.yaml"
"""The toy sizes of a first run. The user's file comes after it, so that its keys take precedence."""


def _inspect(args: argparse.Namespace) -> None:
    from ..core.files import write_text
    from ..data.inspection import inspect, to_yaml

    proposal = inspect(args.folder, args.table, args.threads)
    text = to_yaml(proposal)
    if args.out is None:
        print(text, end="")
        return
    write_text(args.out, text)
    for line in [*proposal.summary, *(f"odd: {line}" for line in proposal.odd)]:
        print(line, file=sys.stderr)
    own = shlex.quote(str(args.out))
    print(f"{args.out}: written", file=sys.stderr)
    print(f"next, at toy sizes: snakemake --cores all --configfile {PRESET} {own}", file=sys.stderr)
    print(f"then, in full: snakemake --cores all --configfile {own}", file=sys.stderr)


COMMANDS = (
    Command(
        "inspect",
        _inspect,
        "look at a folder of images and its table, say what is odd, and propose the configuration",
        (
            positional("folder", "the folder of the images", type=file_path),
            path("table", "the table of annotations (default: the only one in or beside the folder)"),
            OUT,
            THREADS,
        ),
        example="counterfactory inspect photographs --out mine.yaml",
        stage="data",
    ),
)

"""Commands that make the data."""

import argparse
from importlib import import_module

from ..core.errors import UserError
from ..data.registry import DATASETS
from .options import OUT, SETTINGS, THREADS, Command, option, path, true_or_false
from .resolve import path_of, section_of, settings_of

__all__ = ["COMMANDS"]


def _digits(args: argparse.Namespace) -> None:
    from ..data.sources import fetch_digits

    fetch_digits(args.source or settings_of(args).data.digits, path_of(args, "out", "data/digits"))


def _synthesise(args: argparse.Namespace) -> None:
    dataset = args.dataset or settings_of(args).dataset
    if dataset not in DATASETS:
        raise UserError(f"{dataset}: no such data set; choose from {', '.join(DATASETS)}")
    confounded = args.confounded if args.confounded is not None else settings_of(args).judges.confounded
    digits, out = path_of(args, "digits", "data/digits"), path_of(args, "out", "data")
    settings = section_of(args, "data")
    import_module(f"counterfactory.data.{dataset}").synthesise(
        settings, confounded, digits, out, args.threads
    )


COMMANDS = (
    Command("digits", _digits, "fetch MNIST", (option("source", "where from; see data.digits"), OUT)),
    Command(
        "synthesise",
        _synthesise,
        "make the images, attributes and splits of the data set",
        (
            option("dataset", "which; see dataset", metavar="NAME"),
            SETTINGS,
            true_or_false("confounded", "whether the judges' split is as confounded as the others"),
            path("digits", "folder of MNIST's digits"),
            OUT,
            THREADS,
        ),
    ),
)

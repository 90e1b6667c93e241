"""Commands that mark answers."""

import argparse
from pathlib import Path

from .given import device_of, path_of, section_of
from .options import DATA, DEVICE, OUT, SEED, SETTINGS, THREADS, Command, path, paths, positional

__all__ = ["COMMANDS"]


def _mark(args: argparse.Namespace) -> None:
    from ..metrics import mark

    settings = section_of(args, "marks")
    suites = args.questions or sorted(path_of(args, "questions", "questions").glob("*.parquet"))
    mark(
        args.metric,
        args.methods,
        args.seed,
        settings,
        data=path_of(args, "data", "data"),
        questions={path.stem: path for path in suites},
        answers=path_of(args, "answers", "answers"),
        out=path_of(args, "out", f"marks/{args.metric}/seed{args.seed}.parquet"),
        models=path_of(args, "models", "models"),
        reference=path_of(args, "reference", f"marks/reference/{args.metric}.safetensors"),
        device=device_of(args),
        threads=args.threads,
    )


def _refer(args: argparse.Namespace) -> None:
    from ..metrics import refer

    refer(
        args.metric,
        section_of(args, "marks"),
        data=path_of(args, "data", "data"),
        models=path_of(args, "models", "models"),
        questions=path_of(args, "questions", "questions/flip.parquet"),
        out=path_of(args, "out", f"marks/reference/{args.metric}.safetensors"),
        device=device_of(args),
        threads=args.threads,
    )


def _summarise(args: argparse.Namespace) -> None:
    from ..metrics.summary import summarise

    summarise(args.marks, section_of(args, "marks.bootstrap"), path_of(args, "out", "marks/marks.csv"))


COMMANDS = (
    Command(
        "mark",
        _mark,
        "mark all answers of some methods by one metric",
        (
            positional("metric", "the metric"),
            positional("methods", "the methods", nargs="+"),
            SETTINGS,
            SEED,
            DATA,
            paths("questions", "the suites' tables of questions"),
            path("answers", "folder of all answers, those of the method truth included"),
            path("models", "folder of the models: judges, classifier, oracle, identity, pretrained weights"),
            path("reference", "what the metric's own step `refer` wrote, where it has one"),
            OUT,
            DEVICE,
            THREADS,
        ),
    ),
    Command(
        "refer",
        _refer,
        "compute once what a metric holds all methods against",
        (
            positional("metric", "the metric"),
            SETTINGS,
            DATA,
            path("models", "folder of the models"),
            path("questions", "the table of questions that the metric marks"),
            OUT,
            DEVICE,
            THREADS,
        ),
    ),
    Command(
        "summarise",
        _summarise,
        "gather marks into one tidy table, with intervals",
        (
            positional("marks", "tables of marks, one a metric and seed", nargs="+", type=Path),
            SETTINGS,
            OUT,
        ),
    ),
)

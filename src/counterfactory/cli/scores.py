"""Commands that score answers."""

import argparse
from pathlib import Path

from .options import DATA, DEVICE, OUT, SEED, SETTINGS, THREADS, Command, path, paths, positional
from .resolve import device_of, path_of, section_of

__all__ = ["COMMANDS"]


def _score(args: argparse.Namespace) -> None:
    from ..metrics.run import score

    settings = section_of(args, "scores")
    suites = args.questions or sorted(path_of(args, "questions", "questions").glob("*.parquet"))
    score(
        args.metric,
        args.methods,
        args.seed,
        settings,
        data=path_of(args, "data", "data"),
        questions={path.stem: path for path in suites},
        answers=path_of(args, "answers", "answers"),
        out=path_of(args, "out", f"scores/{args.metric}/seed{args.seed}.parquet"),
        models=path_of(args, "models", "models"),
        reference=path_of(args, "reference", f"scores/reference/{args.metric}.safetensors"),
        device=device_of(args),
        threads=args.threads,
    )


def _refer(args: argparse.Namespace) -> None:
    from ..metrics.run import compute_reference

    compute_reference(
        args.metric,
        section_of(args, "scores"),
        data=path_of(args, "data", "data"),
        models=path_of(args, "models", "models"),
        questions=path_of(args, "questions", "questions/flip.parquet"),
        out=path_of(args, "out", f"scores/reference/{args.metric}.safetensors"),
        device=device_of(args),
        threads=args.threads,
    )


def _summarise(args: argparse.Namespace) -> None:
    from ..metrics.summary import summarise

    summarise(args.scores, section_of(args, "scores.bootstrap"), path_of(args, "out", "scores/scores.csv"))


COMMANDS = (
    Command(
        "score",
        _score,
        "score all answers of some methods by one metric",
        (
            positional("metric", "the metric"),
            positional("methods", "the methods", nargs="+"),
            SETTINGS,
            SEED,
            DATA,
            paths("questions", "the suites' tables of questions"),
            path("answers", "folder of all answers, those of the method truth included"),
            path("models", "folder of the models: judges, classifier, oracle, identity, pretrained weights"),
            path("reference", "what the metric's own step `compute_reference` wrote, where it has one"),
            OUT,
            DEVICE,
            THREADS,
        ),
    ),
    Command(
        "reference",
        _refer,
        "compute once what a metric holds all methods against",
        (
            positional("metric", "the metric"),
            SETTINGS,
            DATA,
            path("models", "folder of the models"),
            path("questions", "the table of questions that the metric scores"),
            OUT,
            DEVICE,
            THREADS,
        ),
    ),
    Command(
        "summarise",
        _summarise,
        "gather scores into one tidy table, with intervals",
        (
            positional("scores", "tables of scores, one a metric and seed", nargs="+", type=Path),
            SETTINGS,
            OUT,
        ),
    ),
)

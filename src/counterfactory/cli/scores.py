"""Commands that score answers."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..metrics.registry import METRICS
from .options import DATA, DEVICE, OUT, SEED, SETTINGS, THREADS, Command, file_path, path, paths, positional
from .resolve import device_of, files_of, path_of, section_of

if TYPE_CHECKING:
    from ..metrics.resources import Resources

__all__ = ["COMMANDS"]


def _score(args: argparse.Namespace) -> None:
    from ..metrics.run import score

    reference = args.reference
    if reference is None and args.metric in METRICS and METRICS[args.metric].reference:
        reference = path_of(args, "reference", f"scores/reference/{args.metric}.safetensors")
    score(
        args.metric,
        args.methods,
        _questions(args),
        path_of(args, "answers", "answers"),
        _resources(args, args.seed, reference),
        path_of(args, "out", f"scores/{args.metric}/seed{args.seed}.parquet"),
    )


def _reference(args: argparse.Namespace) -> None:
    from ..metrics.run import compute_reference

    out = path_of(args, "out", f"scores/reference/{args.metric}.safetensors")
    compute_reference(args.metric, _questions(args), _resources(args), out)


def _summarise(args: argparse.Namespace) -> None:
    from ..metrics.pooled import pool
    from ..metrics.summary import summarise

    settings = section_of(args, "scores.bootstrap")
    summarise(args.scores, settings, path_of(args, "out", "scores/scores.csv"))
    if args.pooled is not None:
        pool(args.scores, settings, args.pooled)


def _questions(args: argparse.Namespace) -> dict[str, Path]:
    """Returns the table of questions of each suite."""
    return {path.stem: path for path in files_of(args, "questions", "questions/*.parquet")}


def _resources(args: argparse.Namespace, seed: int = 0, reference: Path | None = None) -> "Resources":
    from ..metrics.resources import Resources

    return Resources(
        section_of(args, "scores"),
        data=path_of(args, "data", "data"),
        models=path_of(args, "models", "models"),
        seed=seed,
        reference=reference,
        device=device_of(args),
        threads=args.threads,
    )


_WITH_REFERENCE = [name for name, metric in METRICS.items() if metric.reference]
_QUESTIONS = paths(
    "questions", "tables of questions, one per suite (default: all in <results>/<dataset>/questions)"
)
_MODELS = path("models", "folder of all models (default: <results>/<dataset>/models)")

COMMANDS = (
    Command(
        "score",
        _score,
        "score the answers of some methods by one metric",
        (
            positional(
                "metric", "the metric, such as effectiveness; see scores.metrics of the configuration"
            ),
            positional("methods", "the methods whose answers are scored", nargs="+"),
            SETTINGS,
            SEED,
            DATA,
            _QUESTIONS,
            path("answers", "folder of all answers (default: <results>/<dataset>/answers)"),
            _MODELS,
            path("reference", "file that `counterfactory reference` wrote, for a metric that requires it"),
            OUT,
            DEVICE,
            THREADS,
        ),
        example="counterfactory score axioms copy vae --seed 0 --config config.yaml",
        stage="scores",
    ),
    Command(
        "reference",
        _reference,
        "compute the reference statistics of a metric, shared by all methods",
        (
            positional("metric", f"the metric: {', '.join(_WITH_REFERENCE)}"),
            SETTINGS,
            DATA,
            _MODELS,
            _QUESTIONS,
            OUT,
            DEVICE,
            THREADS,
        ),
        example="counterfactory reference fid --config config.yaml",
        stage="scores",
    ),
    Command(
        "summarise",
        _summarise,
        "summarize scores in one tidy table, with bootstrap intervals",
        (
            positional(
                "scores", "tables of scores, one per metric and training seed", nargs="+", type=file_path
            ),
            SETTINGS,
            OUT,
            path("pooled", "table of scores pooled over the training seeds, if there are several"),
        ),
        example="counterfactory summarise results/morphomnist/scores/*/seed*.parquet --config config.yaml",
        stage="scores",
    ),
)
"""The commands of this module."""

"""Commands that ask generators counterfactual queries, and score what they answer."""

import argparse
from pathlib import Path
from typing import Any

from .options import DATA, DEVICE, OUT, SEED, SETTINGS, THREADS, Command, path, paths, positional
from .resolve import device_of, files_of, path_of, section_of

__all__ = ["COMMANDS"]


def _query(args: argparse.Namespace) -> None:
    settings = section_of(args, "queries")
    from ..esm.answer import answer_query

    answer_query(
        args.name,
        settings,
        out=path_of(args, "out", f"queries/seed{args.seed}"),
        seed=args.seed,
        **_where(args),
    )


def _score_query(args: argparse.Namespace) -> None:
    settings = section_of(args, "scores")
    from ..metrics.queries import score_query
    from ..metrics.resources import Resources

    score_query(
        args.name,
        path_of(args, "answers", f"queries/seed{args.seed}"),
        Resources(settings, **_where(args)),
        path_of(args, "out", f"queries/seed{args.seed}/scores/{args.name}.parquet"),
    )


def _draw(args: argparse.Namespace) -> None:
    settings = section_of(args, "queries")
    from ..esm.answer import draw_images

    draw_images(
        args.generator,
        settings,
        out=path_of(args, "out", f"queries/seed{args.seed}/structure"),
        seed=args.seed,
        **_where(args),
    )


def _structure(args: argparse.Namespace) -> None:
    from ..esm.structure import measure_structure

    drawn: list[Path] = files_of(args, "drawn", f"queries/seed{args.seed}/structure/*.npy")
    measure_structure(
        {path.stem: path for path in drawn},
        out=path_of(args, "out", f"queries/seed{args.seed}/structure/shown.parquet"),
        **_where(args),
    )


def _where(args: argparse.Namespace) -> dict[str, Any]:
    """Returns what every command here is told: where data and models are, and where networks run."""
    from ..core.device import choose_device

    return {
        "data": path_of(args, "data", "data"),
        "models": path_of(args, "models", "models"),
        "device": choose_device(device_of(args)),
        "threads": args.threads,
    }


_NAME = positional(
    "name",
    "the query, of queries.by_name: {given: what is known of the actual image, premise: what is otherwise, by: observe "
    "(it is seen to be so; its causes may differ) or do (it is made so), generator: dcgan or gan, actual: test (images "
    "of the test split that agree with the evidence) or drawn}",
)
_MODELS = path("models", "folder of the trained models")

COMMANDS = (
    Command(
        "query",
        _query,
        "ask a generator: given this evidence, what would we have seen, had it been otherwise?",
        (_NAME, SETTINGS, SEED, DATA, _MODELS, OUT, DEVICE, THREADS),
    ),
    Command(
        "score-query",
        _score_query,
        "score the answers to a query along the stickiness",
        (
            _NAME,
            SETTINGS,
            SEED,
            DATA,
            _MODELS,
            path("answers", "folder of the answers"),
            OUT,
            DEVICE,
            THREADS,
        ),
    ),
    Command(
        "draw",
        _draw,
        "draw images from a generator, to be measured",
        (positional("generator", "dcgan or gan"), SETTINGS, SEED, DATA, _MODELS, OUT, DEVICE, THREADS),
    ),
    Command(
        "structure",
        _structure,
        "measure drawn images beside real ones: does the generator know the causal structure?",
        (SEED, DATA, _MODELS, paths("drawn", "images of each generator"), OUT, DEVICE, THREADS),
    ),
)

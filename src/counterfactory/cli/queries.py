"""Commands that answer counterfactual queries with generators, and score the answers."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import DATA, DEVICE, OUT, SEED, SETTINGS, THREADS, Command, path, paths, positional
from .resolve import device_of, files_of, path_of, section_of

if TYPE_CHECKING:
    from ..core.run import Run

__all__ = ["COMMANDS"]


def _query(args: argparse.Namespace) -> None:
    settings = section_of(args, "queries")
    from ..esm.answer import answer_query

    answer_query(settings, _run(args, args.name, f"queries/seed{args.seed}"), args.threads)


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

    draw_images(settings, _run(args, args.generator, f"queries/seed{args.seed}/structure"), args.threads)


def _structure(args: argparse.Namespace) -> None:
    from ..esm.structure import measure_structure

    drawn: list[Path] = files_of(args, "drawn", f"queries/seed{args.seed}/structure/*.npy")
    measure_structure(
        {path.stem: path for path in drawn},
        out=path_of(args, "out", f"queries/seed{args.seed}/structure/shown.parquet"),
        **_where(args),
    )


def _run(args: argparse.Namespace, name: str, out: str) -> "Run":
    """Returns the folders, the seed and the device of a command."""
    from ..core.run import Run

    where = _where(args)
    return Run(name, where["data"], where["models"], path_of(args, "out", out), args.seed, where["device"])


def _where(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the folders of data and models, the device of the networks and the number of threads."""
    from ..core.device import choose_device

    return {
        "data": path_of(args, "data", "data"),
        "models": path_of(args, "models", "models"),
        "device": choose_device(device_of(args)),
        "threads": args.threads,
    }


_NAME = positional("name", "name of a query in the section `queries.by_name` of the configuration")
_MODELS = path("models", "folder of the trained models (default: <results>/<dataset>/models)")

COMMANDS = (
    Command(
        "query",
        _query,
        "answer a counterfactual query with a generator",
        (_NAME, SETTINGS, SEED, DATA, _MODELS, OUT, DEVICE, THREADS),
        example="counterfactory query thicker_seen --seed 0",
        stage="answers",
    ),
    Command(
        "score-query",
        _score_query,
        "score the answers to a query, per stickiness",
        (
            _NAME,
            SETTINGS,
            SEED,
            DATA,
            _MODELS,
            path("answers", "folder of the answers (default: <results>/<dataset>/queries/seed<seed>)"),
            OUT,
            DEVICE,
            THREADS,
        ),
        example="counterfactory score-query thicker_seen --seed 0",
        stage="scores",
    ),
    Command(
        "draw",
        _draw,
        "draw images from a generator, for the command structure",
        (positional("generator", "dcgan or gan"), SETTINGS, SEED, DATA, _MODELS, OUT, DEVICE, THREADS),
        example="counterfactory draw dcgan --seed 0",
        stage="answers",
    ),
    Command(
        "structure",
        _structure,
        "measure the causal structure of drawn images and of real ones",
        (
            SEED,
            DATA,
            _MODELS,
            paths("drawn", "files of drawn images, one per generator (default: all of this seed)"),
            OUT,
            DEVICE,
            THREADS,
        ),
        example="counterfactory structure --seed 0",
        stage="scores",
    ),
)

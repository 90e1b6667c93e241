"""Commands that write the explorer, and that fetch the runtime with which it evaluates networks in a browser."""

import argparse

from .options import DATA, OUT, SEED, SETTINGS, Command, option, path, paths, whole_number
from .resolve import files_of, path_of, section_of, settings_of

__all__ = ["COMMANDS"]

RUNTIME = "models/onnxruntime_web.json"


def _explorer(args: argparse.Namespace) -> None:
    from ..report.explorer.content import Models
    from ..report.explorer.page import Stored, write_explorer

    runtime = path_of(args, "runtime", RUNTIME)
    models = Models(
        data=path_of(args, "data", "data"),
        models=path_of(args, "models", "models"),
        methods=args.methods or settings_of(args).methods,
        seed=args.seed,
        settings=section_of(args, "answers"),
    )
    stored = Stored(
        questions=path_of(args, "questions", "questions"),
        answers=path_of(args, "answers", "answers"),
        rows=tuple(files_of(args, "rows", "scores/*/seed*.parquet")),
        seeds=tuple(args.seeds or (settings_of(args).seeds if args.settings is None else [args.seed])),
        queries=tuple(files_of(args, "queries", "queries/seed*/*.json")),
    )
    out = path_of(args, "out", "explorer.html")
    write_explorer(models, stored, runtime if runtime.exists() else None, out)


def _runtime(args: argparse.Namespace) -> None:
    from ..report.explorer.runtime import fetch_runtime

    fetch_runtime(path_of(args, "out", RUNTIME))


COMMANDS = (
    Command(
        "runtime",
        _runtime,
        "fetch onnxruntime-web, with which the explorer evaluates networks in a browser",
        (OUT,),
        example="counterfactory runtime",
        stage="report",
    ),
    Command(
        "explorer",
        _explorer,
        "write a page that answers questions in the browser and lists every answer of a run",
        (
            SETTINGS,
            DATA,
            path("models", "folder of the trained models"),
            option(
                "methods",
                "methods of the run (default: those of the configuration)",
                nargs="+",
                metavar="NAME",
            ),
            path("questions", "folder of questions"),
            path("answers", "folder of answers"),
            paths("rows", "scores of single questions, one table per metric and seed"),
            option(
                "seeds",
                "training seeds whose answers are listed (default: those of the configuration)",
                type=whole_number(0),
                nargs="+",
                metavar="SEED",
            ),
            paths("queries", "descriptions of queries, with their answers beside them"),
            path("runtime", "the packed runtime; a missing file: answers at fixed values take its place"),
            SEED,
            OUT,
        ),
        example="counterfactory explorer --config config.yaml",
        stage="report",
    ),
)

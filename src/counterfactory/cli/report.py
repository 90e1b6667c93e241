"""Commands that write the report."""

import argparse
import json
from pathlib import Path

from .options import DATA, OUT, SETTINGS, Command, path, paths
from .resolve import files_of, path_of, section_of, settings_of

__all__ = ["COMMANDS"]


def _tables(args: argparse.Namespace) -> None:
    from ..report.tables import write_tables

    write_tables(
        path_of(args, "scores", "scores/scores.csv"),
        data=path_of(args, "data", "data"),
        judges=files_of(args, "judges", "models/judges/*/model.json"),
        parents=files_of(args, "scm", "models/scm/*/model.json"),
        costs=_costs(args),
        models=files_of(args, "models", "models/*/seed*/model.json"),
        out=path_of(args, "out", "tables"),
        level=section_of(args, "scores.bootstrap").level,
        queries=_queries(args),
        structure=_structure(args),
        identity=files_of(args, "identity", "models/identity/model.json"),
    )


def _figures(args: argparse.Namespace) -> None:
    from ..report.figures import write_figures

    write_figures(
        path_of(args, "scores", "scores/scores.csv"),
        rows=files_of(args, "rows", "scores/*/*.parquet"),
        questions=path_of(args, "questions", "questions"),
        answers=path_of(args, "answers", "answers"),
        data=path_of(args, "data", "data"),
        judges=files_of(args, "judges", "models/judges/*/model.json"),
        logs=files_of(args, "logs", "models/*/*/log.csv"),
        costs=_costs(args),
        out=path_of(args, "out", "figures"),
        queries=_queries(args),
        structure=_structure(args),
    )


def _report(args: argparse.Namespace) -> None:
    from ..config import load_settings
    from ..report.html import write_report

    settings = settings_of(args) if args.settings is None else load_settings(json.loads(args.settings))
    write_report(
        tables=path_of(args, "tables", "tables"),
        figures=path_of(args, "figures", "figures"),
        config=settings.model_dump(mode="json"),
        benchmarks=path_of(args, "benchmarks", "benchmarks"),
        out=path_of(args, "out", "report.html"),
    )


def _costs(args: argparse.Namespace) -> list[Path]:
    """Returns the costs of all chunks in the folders given; one word a chunk would not fit a command line."""
    folders = files_of(args, "costs", "answers/*/*/*")
    return sorted(path for folder in folders for path in folder.glob("*.cost.json"))


def _queries(args: argparse.Namespace) -> list[Path]:
    return files_of(args, "queries", "queries/*/scores/*.parquet")


def _structure(args: argparse.Namespace) -> list[Path]:
    return files_of(args, "structure", "queries/*/structure/shown.parquet")


_MARKS = path("scores", "the tidy table of scores")
_JUDGES = paths("judges", "the judges' model.json")
_QUERIES = (
    paths("queries", "scores of queries along the stickiness"),
    paths("structure", "what images drawn from generators show"),
)
_COSTS = paths("costs", "folders of answers, for what they cost")

COMMANDS = (
    Command(
        "tables",
        _tables,
        "write the tables",
        (
            SETTINGS,
            _MARKS,
            DATA,
            _JUDGES,
            paths("scm", "the model.json of the mechanisms of the parents"),
            paths("models", "the model.json of the image models"),
            paths("identity", "the model.json of the identity network, if it was trained"),
            _COSTS,
            *_QUERIES,
            OUT,
        ),
    ),
    Command(
        "figures",
        _figures,
        "write the figures",
        (
            _MARKS,
            paths("rows", "tables of scores, one a method, seed and metric"),
            path("questions", "folder of questions"),
            path("answers", "folder of answers"),
            DATA,
            _JUDGES,
            paths("logs", "the log.csv of every training"),
            _COSTS,
            *_QUERIES,
            OUT,
        ),
    ),
    Command(
        "report",
        _report,
        "write the report, one page that needs nothing else",
        (
            SETTINGS,
            path("tables", "folder of tables"),
            path("figures", "folder of figures"),
            path("benchmarks", "folder of what each step took"),
            OUT,
        ),
    ),
)

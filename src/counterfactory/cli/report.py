"""Commands that write tables, figures and the page."""

import argparse
from pathlib import Path

from .options import DATA, OUT, SETTINGS, Command, option, path, paths
from .resolve import files_of, json_of, path_of, section_of, settings_of

__all__ = ["COMMANDS"]


def _tables(args: argparse.Namespace) -> None:
    from ..report.results import Results
    from ..report.tables import write_tables

    results = Results(
        scores=path_of(args, "scores", "scores/scores.csv"),
        pooled=files_of(args, "pooled", "scores/pooled.csv"),
        data=path_of(args, "data", "data"),
        judges=files_of(args, "judges", "models/judges/*/model.json"),
        scm=files_of(args, "scm", "models/scm/*/model.json"),
        models=files_of(args, "models", "models/*/seed*/model.json"),
        identity=files_of(args, "identity", "models/identity/model.json"),
        costs=_costs(args),
        rows=files_of(args, "rows", "scores/*/*.parquet"),
        queries=_queries(args),
        structure=_structure(args),
    )
    out = path_of(args, "out", "tables")
    write_tables(results, out, args.names or (), level=section_of(args, "scores.bootstrap").level)


def _figures(args: argparse.Namespace) -> None:
    from ..report.figures import write_figures
    from ..report.results import Results

    results = Results(
        scores=path_of(args, "scores", "scores/scores.csv"),
        pooled=files_of(args, "pooled", "scores/pooled.csv"),
        data=path_of(args, "data", "data"),
        judges=files_of(args, "judges", "models/judges/*/model.json"),
        logs=files_of(args, "logs", "models/*/*/log.csv"),
        costs=_costs(args),
        rows=files_of(args, "rows", "scores/*/*.parquet"),
        questions=path_of(args, "questions", "questions"),
        answers=path_of(args, "answers", "answers"),
        queries=_queries(args),
        structure=_structure(args),
    )
    write_figures(results, path_of(args, "out", "figures"), args.names or ())


def _report(args: argparse.Namespace) -> None:
    from ..config import load_settings
    from ..data.registry import entry_of
    from ..report.html import write_report

    settings = (
        settings_of(args) if args.settings is None else load_settings(json_of(args.settings, "settings"))
    )
    write_report(
        graph=entry_of(settings.dataset, settings.data),
        front=args.front,
        tables=path_of(args, "tables", "tables"),
        figures=path_of(args, "figures", "figures"),
        config=settings.model_dump(mode="json"),
        benchmarks=path_of(args, "benchmarks", "benchmarks"),
        out=path_of(args, "out", "report.html"),
        data=path_of(args, "data", "data"),
    )


def _costs(args: argparse.Namespace) -> list[Path]:
    """Returns the files of costs in the folders of the option; a list of all files would exceed a command line."""
    folders = files_of(args, "costs", "answers/*/*/*")
    return sorted(path for folder in folders for path in folder.glob("*.cost.json"))


def _queries(args: argparse.Namespace) -> list[Path]:
    return files_of(args, "queries", "queries/*/scores/*.parquet")


def _structure(args: argparse.Namespace) -> list[Path]:
    return files_of(args, "structure", "queries/*/structure/shown.parquet")


_SCORES = path("scores", "the table of all scores, scores.csv")
_POOLED = paths("pooled", "table of scores pooled over several training seeds, if there are several")
_JUDGES = paths("judges", "model.json of each judge")
_QUERIES = (
    paths("queries", "scores of queries"),
    paths("structure", "variables and attributes of images drawn from generators"),
)
_COSTS = paths("costs", "folders of answers, which contain the files of costs")


def _names(kind: str):
    """Returns the option `--names`."""
    return option(
        "names",
        f"{kind} that must exist afterwards; those without content state the reason (default: those with content)",
        nargs="*",
        metavar="NAME",
    )


COMMANDS = (
    Command(
        "tables",
        _tables,
        "write all tables as CSV, Markdown and LaTeX",
        (
            SETTINGS,
            _SCORES,
            _POOLED,
            DATA,
            _JUDGES,
            paths("scm", "model.json of the SCM, one per seed"),
            paths("models", "model.json of the image models"),
            paths("identity", "model.json of the identity network, if it was trained"),
            paths("rows", "scores of single questions, to find methods that cannot be told apart"),
            _COSTS,
            *_QUERIES,
            _names("tables"),
            OUT,
        ),
        example="counterfactory tables --config config.yaml",
    ),
    Command(
        "figures",
        _figures,
        "write all figures as PNG and SVG",
        (
            _SCORES,
            _POOLED,
            paths("rows", "scores of single questions, one table per metric and seed"),
            path("questions", "folder of questions"),
            path("answers", "folder of answers"),
            DATA,
            _JUDGES,
            paths("logs", "log.csv of every training"),
            _COSTS,
            *_QUERIES,
            _names("figures"),
            OUT,
        ),
        example="counterfactory figures --config config.yaml",
    ),
    Command(
        "report",
        _report,
        "write the report as one self-contained HTML page",
        (
            SETTINGS,
            path("tables", "folder of tables"),
            path("figures", "folder of figures"),
            path("benchmarks", "folder of Snakemake's benchmark files"),
            DATA,
            path("front", "a second copy of the page in another folder"),
            OUT,
        ),
        example="counterfactory report --config config.yaml",
    ),
)

"""Commands that answer questions, and that export answers."""

import argparse

from ..core.names import unknown_name
from ..methods.registry import METHODS
from .options import DATA, DEVICE, OUT, SEED, SETTINGS, SUITE, THREADS, Command, option, path, positional
from .resolve import device_of, path_of, section_of, suite_of

__all__ = ["COMMANDS"]


def _answer(args: argparse.Namespace) -> None:
    if args.method not in METHODS:
        raise unknown_name(args.method, "no such method", METHODS)
    suite_of(args)
    from ..methods.run import Job, answer

    job = Job(
        method=args.method,
        suite=args.suite,
        chunk=args.chunk,
        data=path_of(args, "data", "data"),
        models=path_of(args, "models", "models"),
        questions=path_of(args, "questions", f"questions/{args.suite}.parquet"),
        out=path_of(args, "out", f"answers/{args.method}/seed{args.seed}/{args.suite}"),
        seed=args.seed,
        device=_answering_device(args),
        threads=args.threads,
    )
    answer(section_of(args, "answers"), job)


def _answering_device(args: argparse.Namespace) -> str:
    """Returns cpu or cuda. Without networks torch is not imported, which looking for a GPU requires."""
    if not METHODS[args.method].models:
        return "cpu"
    from ..core.device import choose_device

    return choose_device(device_of(args))


def _export_dime(args: argparse.Namespace) -> None:
    from ..config.explainers import EXPLAINERS
    from ..report.export_dime import Sources, export_dime

    sources = Sources(
        data=path_of(args, "data", "data"),
        models=path_of(args, "models", "models"),
        questions=path_of(args, "questions", "questions/flip.parquet"),
        answers=path_of(args, "answers", f"answers/{args.method}/seed{args.seed}"),
    )
    folders = export_dime(
        args.method,
        args.attribute,
        args.seed,
        sources,
        out=path_of(args, "out", f"export/dime/{args.attribute}/seed{args.seed}"),
        experiment=args.exp,
        settings=section_of(args, f"answers.{args.method}") if args.method in EXPLAINERS else None,
    )
    for folder in folders:
        print(folder)


_MODELS = path("models", "folder of the trained models (default: <results>/<dataset>/models)")
_QUESTIONS = path("questions", "table of questions (default: <results>/<dataset>/questions/<suite>.parquet)")

COMMANDS = (
    Command(
        "answer",
        _answer,
        "answer a chunk of a suite's questions with one method",
        (
            positional("method", f"the method: {', '.join(METHODS)}"),
            SUITE,
            positional(
                "chunk", "the range of questions, start-stop, such as 000000-000500 (stop is excluded)"
            ),
            SETTINGS,
            SEED,
            DATA,
            _MODELS,
            _QUESTIONS,
            OUT,
            DEVICE,
            THREADS,
        ),
        example="counterfactory answer hvae do 000000-002000 --seed 0",
        stage="answers",
    ),
    Command(
        "export-dime",
        _export_dime,
        "export answers of the suite flip in the folder layout of DiME's published code",
        (
            positional("method", "the method of the answers, or floor or ceiling"),
            option("attribute", "the flipped attribute", required=True, metavar="NAME"),
            option(
                "exp",
                "name of the experiment (default: the method); repeats have the suffix -0, -1, ...",
                metavar="NAME",
            ),
            SETTINGS,
            SEED,
            DATA,
            _MODELS,
            _QUESTIONS,
            path(
                "answers",
                "folder of the method's answers (default: <results>/<dataset>/answers/<method>/seed<seed>)",
            ),
            OUT,
        ),
        example="counterfactory export-dime dime --attribute thick",
        stage="report",
    ),
)

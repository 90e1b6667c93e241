"""Commands that write questions and answer them."""

import argparse
from importlib import import_module

from ..core.names import unknown_name
from ..methods.registry import METHODS
from ..questions.registry import SUITES
from .options import ATTRIBUTES, DATA, DEVICE, OUT, SEED, SETTINGS, THREADS, Command, option, path, positional
from .resolve import device_of, path_of, section_of

__all__ = ["COMMANDS"]


def _ask(args: argparse.Namespace) -> None:
    suite = SUITES.get(args.suite)
    if suite is None:
        raise unknown_name(args.suite, "no such suite", SUITES)
    attributes = section_of(args, "attributes", "attributes") if suite.attributes else None
    import_module(f"counterfactory.{suite.module}").write_questions(
        args.suite,
        section_of(args, "questions"),
        path_of(args, "data", "data"),
        path_of(args, "out", f"questions/{args.suite}.parquet"),
        attributes,
    )


def _answer(args: argparse.Namespace) -> None:
    if args.method not in METHODS:
        raise unknown_name(args.method, "no such method", METHODS)
    if args.suite not in SUITES:
        raise unknown_name(args.suite, "no such suite", SUITES)
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


_SUITE = positional("suite", f"the suite of questions: {', '.join(SUITES)}")
_MODELS = path("models", "folder of the trained models (default: <results>/<dataset>/models)")
_QUESTIONS = path("questions", "table of questions (default: <results>/<dataset>/questions/<suite>.parquet)")

COMMANDS = (
    Command(
        "ask",
        _ask,
        "write the questions of a suite",
        (_SUITE, SETTINGS, ATTRIBUTES, DATA, OUT),
        example="counterfactory ask do",
        stage="questions",
    ),
    Command(
        "answer",
        _answer,
        "answer a chunk of a suite's questions with one method",
        (
            positional("method", f"the method: {', '.join(METHODS)}"),
            _SUITE,
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

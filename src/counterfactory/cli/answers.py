"""Commands that write questions and answer them."""

import argparse
from importlib import import_module

from ..core.errors import UserError
from ..questions.registry import SUITES
from .options import ATTRIBUTES, DATA, DEVICE, OUT, SEED, SETTINGS, THREADS, Command, option, path, positional
from .resolve import device_of, path_of, section_of

__all__ = ["COMMANDS"]


def _ask(args: argparse.Namespace) -> None:
    suite = SUITES.get(args.suite)
    if suite is None:
        raise UserError(f"{args.suite}: no such suite; choose from {', '.join(SUITES)}")
    attributes = section_of(args, "attributes", "attributes") if suite.attributes else None
    import_module(f"counterfactory.{suite.module}").write_questions(
        args.suite,
        section_of(args, "questions"),
        path_of(args, "data", "data"),
        path_of(args, "out", f"questions/{args.suite}.parquet"),
        attributes,
    )


def _answer(args: argparse.Namespace) -> None:
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
    """Returns cpu or cuda: to look for a GPU means importing torch, of no use to a method without networks."""
    from ..methods.registry import METHODS

    if args.method in METHODS and not METHODS[args.method].models:
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


_SUITE = positional("suite", "do, null, reverse, flip or sweep")

COMMANDS = (
    Command("ask", _ask, "write one suite's questions", (_SUITE, SETTINGS, ATTRIBUTES, DATA, OUT)),
    Command(
        "answer",
        _answer,
        "answer a chunk of one suite's questions by one method",
        (
            positional("method", "the method"),
            _SUITE,
            positional("chunk", "the questions, such as 000000-000500 (the last one excluded)"),
            SETTINGS,
            SEED,
            DATA,
            path("models", "folder of the trained models"),
            path("questions", "the suite's table of questions"),
            OUT,
            DEVICE,
            THREADS,
        ),
    ),
    Command(
        "export-dime",
        _export_dime,
        "write answers to the suite flip in the folders of DiME's published code",
        (
            positional("method", "the method, or floor or ceiling, whose answers these are"),
            option("attribute", "the attribute that was turned over", required=True, metavar="NAME"),
            option(
                "exp",
                "the experiment's name; -0, -1, ... follow for repeats (default: the method)",
                metavar="NAME",
            ),
            SETTINGS,
            SEED,
            DATA,
            path("models", "folder of the trained models"),
            path("questions", "the suite's table of questions"),
            path("answers", "folder of the method's answers, with a folder for each suite"),
            OUT,
        ),
    ),
)

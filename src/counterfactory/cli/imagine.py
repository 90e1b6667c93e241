"""Commands that answer a question about one's own image, and that bundle trained models."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from ..methods.registry import METHODS
from .options import SEED, Command, file_path, number, option, path, positional, whole_number
from .resolve import settings_of

if TYPE_CHECKING:
    from ..api import World

__all__ = ["COMMANDS"]

DIALS = ("latent_temperature", "residual_temperature", "stickiness")


def _imagine(args: argparse.Namespace) -> None:
    from ..api import load
    from ..api.answer import Imagined, sheet
    from ..api.images import read_image
    from ..api.outputs import check_picture, save_picture

    for name in ("do", "given", "flip", "grid", "method"):
        given = getattr(args, name) or ()
        if not all(text.isprintable() for text in ([given] if isinstance(given, str) else given)):
            raise UserError(f"--{name}: holds characters that cannot be printed; leave them out")
    if args.grid and args.flip:
        raise UserError("--grid: a sweep sets a variable; leave --flip out")
    do, given = _values(args.do, "--do"), _values(args.given, "--given")
    sweep = _grid(args.grid) if args.grid else None
    if sweep is None and args.do is None and args.flip is None:
        raise UserError(
            "--do: nothing is asked; give --do NAME=VALUE, --flip NAME or --grid NAME=FROM:TO:COUNT"
        )
    if sweep is not None and sweep[0] in do:
        raise UserError(f"--grid {args.grid}: --do sets {sweep[0]} too; leave one of them out")
    if args.out is not None:
        check_picture(args.out)
    folder = _results(args)
    world = load(folder, args.train_seed, args.device)
    dials = {name: getattr(args, name) for name in DIALS if getattr(args, name) is not None}
    common: dict[str, Any] = {"method": args.method, "samples": args.samples, "seed": args.seed, **dials}
    common |= {"given": given, "flip": _flip(args.flip), "invert": args.invert}
    source = args.image
    if sweep is not None:
        read_image(source, world.dataset.shape[0])  # one message for a file that cannot be read
        name, values = sweep
        answers = _asked(world, [source] * len(values), do | {name: values}, common)
        rows = [[one.images[sample] for one in answers] for sample in range(args.samples)]
        picture = sheet([[answers[0].before, *row] for row in rows])
    else:
        answers = [_asked(world, source, do if args.do is not None else None, common)]
        picture = answers[0].image if args.samples == 1 else answers[0].sheet()
    _print_notes(answers, folder)
    shown: list[Imagined] = answers
    for one in shown:
        print(one)
    if args.out is not None:
        save_picture(picture, args.out)
        print(args.out)


def _asked(world: "World", source: Any, do: Any, common: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are among the notes
        return world.imagine(source, do, **common)


def _print_notes(answers: Sequence[Any], folder: Path) -> None:
    from ..api.layout import SHIPPED

    if folder.parent == SHIPPED:
        print(
            "counterfactory imagine: there are no results; the models of the package answer", file=sys.stderr
        )
    for line in dict.fromkeys(line for one in answers for line in one.notes):
        print(f"counterfactory imagine: {line}", file=sys.stderr)


def _values(given: Sequence[str] | None, name: str) -> dict[str, Any]:
    """Returns the values of options such as `--do thickness=4`."""
    found = {}
    for text in given or ():
        variable, equals, value = text.partition("=")
        if variable in found:
            raise UserError(f"{name} {text}: {variable} was given before; leave one of them out")
        try:
            found[variable] = float(value)
        except ValueError:
            raise UserError(f"{name} {text}: not a variable and a number; write {name} thickness=4") from None
        if not equals:
            raise UserError(f"{name} {text}: not a variable and a number; write {name} thickness=4")
    return found


def _flip(text: str | None) -> str | dict[str, int] | None:
    if text is None or "=" not in text:
        return text
    variable, _, value = text.partition("=")
    if not value.isdecimal():
        raise UserError(f"--flip {text}: {value or 'nothing'} is no class; write --flip digit=7")
    return {variable: int(value)}


def _grid(text: str) -> tuple[str, list[float]]:
    """Returns the variable and the evenly spaced values of `NAME=FROM:TO:COUNT`."""
    name, _, rest = text.partition("=")
    try:
        low, high, count = rest.split(":")
        first, last, number = float(low), float(high), int(count)
    except ValueError:
        raise UserError(f"--grid {text}: not NAME=FROM:TO:COUNT; write --grid thickness=1:6:6") from None
    if not 2 <= number <= 100:
        raise UserError(f"--grid {text}: {number} values; choose 2 to 100")
    return name, [first + (last - first) * step / (number - 1) for step in range(number)]


def _results(args: argparse.Namespace) -> Path:
    """Returns the folder of `--results`, or that of the configuration."""
    if args.results is not None:
        return args.results
    from ..api.layout import SHIPPED

    settings = settings_of(args)
    folder = Path(settings.results, settings.dataset)
    if folder.is_dir():
        return folder
    shipped = SHIPPED / settings.dataset
    if not shipped.is_dir():
        raise UserError(
            f"{folder}: no such folder; give the results of a data set, or a bundle, with --results"
        )
    return shipped


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError("is empty or has characters that cannot be printed")
    return text.strip()


def _bundle(args: argparse.Namespace) -> None:
    from ..api.bundle import write_bundle

    print(write_bundle(args.source, args.target, args.methods or (), args.seed, args.weights_license or ""))


COMMANDS = (
    Command(
        "imagine",
        _imagine,
        "answer a question about one's own image with trained models",
        (
            positional("image", "the image: PNG or another format; any size, grey or RGB"),
            option("do", "set a variable; may be repeated", action="append", metavar="NAME=VALUE"),
            option(
                "given",
                "a known parent of the image; may be repeated; the others are measured or judged",
                action="append",
                metavar="NAME=VALUE",
            ),
            option("flip", "flip an attribute, or require a class, such as digit=7", metavar="NAME[=CLASS]"),
            option(
                "grid",
                "sweep of a variable: a picture with one column per value",
                metavar="NAME=FROM:TO:COUNT",
            ),
            option(
                "method",
                f"the method (default: the first trained one): {', '.join(METHODS)}",
                metavar="NAME",
            ),
            option("samples", "number of answers (default: 1)", type=whole_number(1), default=1),
            option("invert", "exchange black and white first", action="store_true"),
            option("latent-temperature", "instead of that of the run", type=number),
            option("residual-temperature", "instead of that of the run", type=number),
            option("stickiness", "instead of that of the run", type=number),
            option("seed", "seed of the noise (default: 0)", type=whole_number(0), default=0),
            option("train-seed", "training seed of the models (default: 0)", type=whole_number(0), default=0),
            path(
                "results",
                "results folder of a data set, or a bundle (default: <results>/<dataset>, else that of the package)",
            ),
            option(
                "device",
                "device of the networks (default: cpu)",
                choices=("auto", "cpu", "cuda"),
                default="cpu",
            ),
            path("out", "picture to write: the answer; before and all samples; or the sweep"),
        ),
        example="counterfactory imagine mine.png --do thickness=4 --given digit=2 --out after.png",
        stage="own images",
    ),
    Command(
        "bundle",
        _bundle,
        "write a folder with trained models that `imagine` and `counterfactory.load` take, with a model card",
        (
            positional("source", "the results folder of a data set", type=file_path),
            positional("target", "the folder to write, which must not exist", type=file_path),
            option(
                "methods",
                "methods to include (default: all that require no weights of others)",
                nargs="+",
                metavar="NAME",
            ),
            option(
                "weights-license",
                "license of imported weights, for the model card (default: unknown)",
                type=_one_line,
                metavar="TEXT",
            ),
            SEED,
        ),
        example="counterfactory bundle results/morphomnist morphomnist-bundle",
        stage="own images",
    ),
)

"""The command line: one command a step, the same that the workflow's rules call.

A command reads its settings from its section of `--config` (default `config.yaml`; several files are laid over
each other), or as JSON from `--settings`, which is how a rule passes just what the step depends on. Paths that
are not given are those of the workflow, under `<results>/<dataset>/`. Nothing is computed here.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import UserError

if TYPE_CHECKING:
    from .config import Settings

__all__ = ["main"]

Run = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Arguments:
        arguments: The words after the program's name; by default those it was started with.

    Returns:
        The exit status: 0, 2 for a mistake the user can mend (one line on stderr), 130 when interrupted.
    """
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
    except UserError as error:
        print(f"counterfactory {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`); what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


# --- what commands share


def _settings(args: argparse.Namespace) -> "Settings":
    from .config import load_settings, read_config

    if not hasattr(args, "whole"):
        args.whole = load_settings(read_config(args.config or [Path("config.yaml")]))
    return args.whole


def _section(args: argparse.Namespace, path: str) -> Any:
    """Returns the settings of one section, from --settings if given, else from --config."""
    from .config import load_section

    if args.settings is None:
        section: Any = _settings(args)
        for key in path.split("."):
            section = getattr(section, key)
        return section
    try:
        given = json.loads(args.settings)
    except json.JSONDecodeError as error:
        raise UserError(f"--settings: not valid JSON ({error})") from None
    if not isinstance(given, dict):
        raise UserError('--settings: must hold keys and values, such as {"seed": 0}')
    return load_section(path, given)


def _path(args: argparse.Namespace, name: str, default: str) -> Path:
    """Returns the path given as option `name`, or the workflow's own, under the results of the data set."""
    given = getattr(args, name)
    if given is not None:
        return given
    settings = _settings(args)
    return Path(settings.results, settings.dataset, default)


def _device(args: argparse.Namespace) -> str:
    from .training.loop import choose_device

    return choose_device(args.device or _settings(args).device)


# --- data


def _digits(args: argparse.Namespace) -> None:
    from .data.sources import fetch_digits

    fetch_digits(args.source or _settings(args).data.digits, _path(args, "out", "data/digits"))


def _synthesise(args: argparse.Namespace) -> None:
    from .data.morphomnist import synthesise

    confounded = args.confounded if args.confounded is not None else _settings(args).judges.confounded
    digits, out = _path(args, "digits", "data/digits"), _path(args, "out", "data")
    synthesise(_section(args, "data"), confounded, digits, out, args.threads)


# --- models


def _fit_parents(args: argparse.Namespace) -> None:
    from .scm.parents import fit_parents

    out = _path(args, "out", f"models/parents/seed{args.seed}")
    fit_parents(_section(args, "parents"), _path(args, "data", "data"), out, args.seed)


def _train_judge(args: argparse.Namespace) -> None:
    from .metrics.judges import train_judge

    out = _path(args, "out", f"models/judges/{args.variable}")
    device = args.device or _settings(args).device
    train_judge(_section(args, "judges"), args.variable, _path(args, "data", "data"), out, device)


def _train(args: argparse.Namespace) -> None:
    from .config import ModelsSettings

    if args.model not in ModelsSettings.model_fields:
        raise UserError(
            f"{args.model}: no such image model; choose from {', '.join(ModelsSettings.model_fields)}"
        )
    settings = _section(args, f"models.{args.model}")
    out = _path(args, "out", f"models/{args.model}/seed{args.seed}")
    device = args.device or _settings(args).device
    # Only now, because it takes seconds: a mistake in the settings is told at once.
    from .training.image_mechanism import train_image_mechanism

    train_image_mechanism(args.model, settings, _path(args, "data", "data"), out, args.seed, device)


def _weights(args: argparse.Namespace) -> None:
    from .metrics.lpips_weights import fetch_lpips

    net = args.net or _settings(args).marks.lpips.net
    source = args.source or _settings(args).marks.lpips.weights
    fetch_lpips(net, source, _path(args, "out", f"models/lpips/{net}"))


# --- questions and answers


def _ask(args: argparse.Namespace) -> None:
    from .questions import ask
    from .sweep import ask_sweep

    settings, data = _section(args, "questions"), _path(args, "data", "data")
    out = _path(args, "out", f"questions/{args.suite}.parquet")
    ask_sweep(settings, data, out) if args.suite == "sweep" else ask(args.suite, settings, data, out)


def _answer(args: argparse.Namespace) -> None:
    from .answers import answer
    from .methods.registry import METHODS

    answer(
        args.method,
        args.suite,
        args.chunk,
        args.seed,
        _section(args, "answers"),
        data=_path(args, "data", "data"),
        models=_path(args, "models", "models"),
        questions=_path(args, "questions", f"questions/{args.suite}.parquet"),
        out=_path(args, "out", f"answers/{args.method}/seed{args.seed}/{args.suite}"),
        # Looking for a GPU means importing torch, which a method without networks has no use for.
        device=_device(args) if args.method not in METHODS or METHODS[args.method].models else "cpu",
        threads=args.threads,
    )


# --- marks


def _mark(args: argparse.Namespace) -> None:
    from .metrics import mark

    settings = _section(args, "marks")
    suites = args.questions or sorted(_path(args, "questions", "questions").glob("*.parquet"))
    mark(
        args.metric,
        args.method,
        args.seed,
        settings,
        data=_path(args, "data", "data"),
        questions={path.stem: path for path in suites},
        answers=_path(args, "answers", f"answers/{args.method}/seed{args.seed}"),
        out=_path(args, "out", f"marks/{args.method}/seed{args.seed}/{args.metric}.parquet"),
        truth=_path(args, "truth", "answers/truth/seed0"),
        judges=_path(args, "judges", "models/judges"),
        weights=args.weights or _workflow_weights(args, settings),
        device=args.device or _settings(args).device,
        threads=args.threads,
    )


def _workflow_weights(args: argparse.Namespace, settings: Any) -> Path | None:
    """Returns the workflow's own weights, where the metric needs any."""
    from .metrics.registry import METRICS

    needed = args.metric in METRICS and METRICS[args.metric].weights
    return _path(args, "weights", f"models/lpips/{settings.lpips.net}") if needed else None


def _summarise(args: argparse.Namespace) -> None:
    from .metrics.summary import summarise

    summarise(args.marks, _section(args, "marks.bootstrap"), _path(args, "out", "marks/marks.csv"))


# --- report


def _tables(args: argparse.Namespace) -> None:
    from .report.tables import write_tables

    write_tables(
        _path(args, "marks", "marks/marks.csv"),
        data=_path(args, "data", "data"),
        judges=_files(args, "judges", "models/judges/*/model.json"),
        parents=_files(args, "parents", "models/parents/*/model.json"),
        costs=_costs(args),
        models=_files(args, "models", "models/*vae/*/model.json"),
        out=_path(args, "out", "tables"),
        level=_section(args, "marks.bootstrap").level,
    )


def _figures(args: argparse.Namespace) -> None:
    from .report.figures import write_figures

    write_figures(
        _path(args, "marks", "marks/marks.csv"),
        rows=_files(args, "rows", "marks/*/*/*.parquet"),
        questions=_path(args, "questions", "questions"),
        answers=_path(args, "answers", "answers"),
        data=_path(args, "data", "data"),
        judges=_files(args, "judges", "models/judges/*/model.json"),
        logs=_files(args, "logs", "models/*/*/log.csv"),
        costs=_costs(args),
        out=_path(args, "out", "figures"),
    )


def _report(args: argparse.Namespace) -> None:
    from .config import load_settings
    from .report.html import write_report

    settings = _settings(args) if args.settings is None else load_settings(json.loads(args.settings))
    write_report(
        tables=_path(args, "tables", "tables"),
        figures=_path(args, "figures", "figures"),
        config=settings.model_dump(mode="json"),
        benchmarks=_path(args, "benchmarks", "benchmarks"),
        out=_path(args, "out", "report.html"),
    )


def _files(args: argparse.Namespace, name: str, pattern: str) -> list[Path]:
    """Returns the files given as option `name`, or those of the workflow that match `pattern`."""
    given = getattr(args, name)
    if given is not None:
        return given
    settings = _settings(args)
    return sorted(Path(settings.results, settings.dataset).glob(pattern))


def _costs(args: argparse.Namespace) -> list[Path]:
    """Returns the costs of all chunks in the folders given; one word a chunk would not fit a command line."""
    folders = _files(args, "costs", "answers/*/*/*")
    return sorted(path for folder in folders for path in folder.glob("*.cost.json"))


# --- the configuration itself


def _show_settings(args: argparse.Namespace) -> None:
    import yaml

    if args.commented:
        from .config_file import commented_yaml

        print(commented_yaml(_settings(args)), end="")
        return
    shown: Any = _settings(args).model_dump(mode="json")
    for key in args.key.split(".") if args.key else []:
        try:
            shown = shown[key]
        except (KeyError, TypeError):
            raise UserError(f"{args.key}: no such key") from None
    print(yaml.safe_dump(shown, sort_keys=False).strip() if isinstance(shown, dict | list) else shown)


def _schema(args: argparse.Namespace) -> None:
    from .config import schema
    from .files import write_text

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    write_text(args.out, text) if args.out else print(text, end="")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="counterfactory",
        description="Image counterfactuals: every method asked the same questions, every answer marked alike.",
        epilog="`snakemake --cores all` runs every step in order; each step can also be typed by itself.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config",
        nargs="+",
        action="extend",
        type=Path,
        default=None,
        metavar="YAML",
        help="configuration; later files are laid over earlier ones (default: config.yaml)",
    )

    def command(name: str, run: Run, text: str, *parts: Callable[[argparse.ArgumentParser], Any]) -> None:
        one = commands.add_parser(name, help=text, description=text, parents=[shared])
        for part in parts:
            part(one)
        one.set_defaults(run=run)

    def positional(name: str, text: str) -> Callable[[argparse.ArgumentParser], Any]:
        return lambda one: one.add_argument(name, help=text)

    def option(name: str, text: str, **more: Any) -> Callable[[argparse.ArgumentParser], Any]:
        return lambda one: one.add_argument(f"--{name}", help=text, **more)

    def path(name: str, text: str) -> Callable[[argparse.ArgumentParser], Any]:
        return option(name, text, type=Path, metavar="PATH")

    def paths(name: str, text: str) -> Callable[[argparse.ArgumentParser], Any]:
        return option(name, text, type=Path, nargs="*", metavar="PATH")

    settings = option(
        "settings", "this step's section of the configuration, as JSON, instead of --config", metavar="JSON"
    )
    seed = option("seed", "training seed (default: 0)", type=int, default=0)
    threads = option("threads", "CPU threads (default: 1)", type=int, default=1)
    device = option("device", "where networks run", choices=("auto", "cpu", "cuda"))
    data = path("data", "folder of the data set")
    out = path("out", "what to write")
    commented = option("commented", "as a file to edit, every key explained", action="store_true")
    boolean = {"type": lambda text: {"true": True, "false": False}[text], "metavar": "true|false"}

    command("digits", _digits, "fetch MNIST", option("source", "where from; see data.digits"), out)
    command(
        "synthesise",
        _synthesise,
        "make the images, attributes and splits of Morpho-MNIST",
        settings,
        option("confounded", "whether the judges' split is as confounded as the others", **boolean),
        path("digits", "folder of MNIST's digits"),
        out,
        threads,
    )
    command("fit-parents", _fit_parents, "fit the mechanisms of the parents", settings, seed, data, out)
    command(
        "train-judge",
        _train_judge,
        "train the predictor of one variable",
        positional("variable", "the variable to predict"),
        settings,
        data,
        out,
        device,
    )
    command(
        "train",
        _train,
        "train an image model",
        positional("model", "vae or hvae"),
        settings,
        seed,
        data,
        out,
        device,
    )
    command(
        "weights",
        _weights,
        "fetch the weights of LPIPS",
        option("net", "its trunk; see marks.lpips.net"),
        option("source", "where from; see marks.lpips.weights"),
        out,
    )
    command(
        "ask",
        _ask,
        "write one suite's questions",
        positional("suite", "do, null, reverse or sweep"),
        settings,
        data,
        out,
    )
    command(
        "answer",
        _answer,
        "answer a chunk of one suite's questions by one method",
        positional("method", "the method"),
        positional("suite", "do, null, reverse or sweep"),
        positional("chunk", "the questions, such as 000000-000500 (the last one excluded)"),
        settings,
        seed,
        data,
        path("models", "folder of the trained models"),
        path("questions", "the suite's table of questions"),
        out,
        device,
        threads,
    )
    command(
        "mark",
        _mark,
        "mark all answers of one method by one metric",
        positional("metric", "the metric"),
        positional("method", "the method"),
        settings,
        seed,
        data,
        paths("questions", "the suites' tables of questions"),
        path("answers", "folder of the method's answers, with a folder for each suite"),
        path("truth", "folder of the answers of the method truth, likewise"),
        path("judges", "folder of the judges"),
        path("weights", "folder of the pretrained weights"),
        out,
        device,
        threads,
    )
    command(
        "summarise",
        _summarise,
        "gather marks into one tidy table, with intervals",
        lambda one: one.add_argument(
            "marks", nargs="+", type=Path, help="tables of marks, one a method, seed and metric"
        ),
        settings,
        out,
    )
    costs = paths("costs", "folders of answers, for what they cost")
    judges = paths("judges", "the judges' model.json")
    command(
        "tables",
        _tables,
        "write the tables",
        settings,
        path("marks", "the tidy table of marks"),
        data,
        judges,
        paths("parents", "the model.json of the mechanisms of the parents"),
        paths("models", "the model.json of the image models"),
        costs,
        out,
    )
    command(
        "figures",
        _figures,
        "write the figures",
        path("marks", "the tidy table of marks"),
        paths("rows", "tables of marks, one a method, seed and metric"),
        path("questions", "folder of questions"),
        path("answers", "folder of answers"),
        data,
        judges,
        paths("logs", "the log.csv of every training"),
        costs,
        out,
    )
    command(
        "report",
        _report,
        "write the report, one page that needs nothing else",
        settings,
        path("tables", "folder of tables"),
        path("figures", "folder of figures"),
        path("benchmarks", "folder of what each step took"),
        out,
    )
    command("settings", _show_settings, "print the configuration, defaults filled in", _option_key, commented)
    command("schema", _schema, "print the JSON schema of the configuration", out)
    return parser


def _option_key(one: argparse.ArgumentParser) -> None:
    """Adds the optional word that picks one key, such as `data.train`."""
    one.add_argument("key", nargs="?", help="only this key, such as data.train")

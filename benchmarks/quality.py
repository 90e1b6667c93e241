"""Measures quality against minutes of training, for each trained method and several recipes of training.

    python benchmarks/quality.py --methods vae hvae --minutes 0.5 1 2 4 --csv quality.csv \\
        --recipe ours published=workflow/presets/paper.yaml --batch-size published=32
    python benchmarks/quality.py --methods --csv quality.csv --figure quality.png

Requires a finished run, whose data, SCM, classifier, judges, oracle and questions are used. A recipe is a preset over
the configuration, of which only the section of the trained model is used: all recipes have the same data, questions
and seconds. Each number of minutes is a separate training, because the schedules depend on the number of steps.

Minutes are CPU minutes of this process. Other work on the machine slows a CPU minute too, through shared caches and
cores, so that a comparison requires a quiet machine. The minutes contain the whole training: loading the data, all
steps, one validation at the end, and the corrections that are fitted to the train split. A short training measures the
seconds of a step and of the rest, and determines the number of steps; every further training of the same recipe
measures both again. The minutes that were used are printed, written and drawn. Minutes that leave no time for a step
are left out.

Methods that answer interventions are scored as in `finished.py`: errors of the judges and the distance to the true
counterfactual, suite `do`, protocol `marginal`. DiME, FastDiME and DiME-X are scored as in `explanations.py`, against
the minutes of their denoiser; the classifier is that of the run.

Short trainings of all methods come first. The CSV has one row per score. Trainings whose scores it contains are not
repeated, so that a killed study resumes.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import explanations
import numpy as np
import pandas as pd
import torch
from finished import Finished, Selection, open_run, print_row
from quality_figure import EXPLAINED, REFERENCE, draw_file, picture_of
from training_cost import Cost, cost_of, metered, steps_for

from counterfactory.config import load_settings, read_config
from counterfactory.config.training import TrainingSettings
from counterfactory.core.run import Run
from counterfactory.methods import Answer, load_method
from counterfactory.methods.registry import METHODS
from counterfactory.models.registry import MODELS
from counterfactory.report.vocabulary import CEILING, FLOOR

TRAINED = ("vae", "hvae", "causaldiffae", "gan", "dime", "fastdime", "dime_x")
"""The methods whose model can be trained; the model is the first one that the method uses."""

PROBE = 60
"""The steps of the training that measures how long a step takes."""

KEYS = ["recipe", "method", "minutes", "seed"]
COLUMNS = [*KEYS, "batch_size", "steps", "cpu_minutes", "images", "question", "score", "value"]

Row = tuple[str, str, float]
"""A question, a score and its value, such as `do(digit)`, `digit`, 0.97."""


def main() -> None:
    """Trains what the CSV lacks, prints one row per training and question, and draws the CSV."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    run = open_run(arguments.config)
    sections = sections_of(arguments, run)
    table = read_rows(arguments.csv)
    chosen = run.select("do", arguments.images, run.dataset.names)
    if arguments.methods and not (table["recipe"] == REFERENCE).any():
        for name, rows in reference_rows(run, chosen).items():
            write_rows(arguments.csv, described(arguments, REFERENCE, name), rows)
    header, costs = "", dict[tuple[str, str], Cost]()
    for minutes in sorted(arguments.minutes):
        for (recipe, model), section in sections.items():
            methods = [name for name in arguments.methods if METHODS[name].models[0] == model]
            missing = missing_of(table, recipe, methods, minutes, arguments.seed)
            if not missing:
                continue
            if (recipe, model) not in costs:
                with trained(run, model, with_steps(section, PROBE), arguments.seed) as (_, cost):
                    costs[recipe, model] = cost
                told = f"{cost.step:.3g} CPU seconds a step, {cost.rest:.3g} for the rest"
                print(f"{recipe}, {model}: {told}", file=sys.stderr)
            steps = steps_for(minutes, costs[recipe, model])
            if not steps:
                print(
                    f"{recipe}, {model}: {minutes:g} minutes are less than the rest takes; left out",
                    file=sys.stderr,
                )
                continue
            with trained(run, model, with_steps(section, steps), arguments.seed) as (models, cost):
                if steps >= PROBE:
                    costs[recipe, model] = cost
                for name in missing:
                    rows = answered(arguments, run, chosen, models, name)
                    about = described(
                        arguments, recipe, name, minutes, section.training.batch_size, steps, cost.total / 60
                    )
                    write_rows(arguments.csv, about, rows)
                    header = print_rows(header, about, rows)
    if arguments.figure:
        draw_file(picture_of(read_rows(arguments.csv), run.dataset, TRAINED), arguments.figure)


def parse() -> argparse.Namespace:
    """Returns the arguments; `recipe` is a dictionary of files (empty: the configuration), `batch_size` of sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument(
        "--methods", nargs="*", choices=TRAINED, default=["vae", "hvae"], help="no method: draw only"
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.5, 1.0, 2.0, 4.0])
    parser.add_argument(
        "--recipe", nargs="+", metavar="NAME[=FILE]", default=["ours"], help="without file: the configuration"
    )
    parser.add_argument(
        "--batch-size", nargs="+", metavar="NAME=N", default=[], help="another batch size of a recipe"
    )
    parser.add_argument("--images", type=int, default=10_000, help="images with questions (default: all)")
    parser.add_argument("--explained", type=int, default=40, help="images that are explained")
    parser.add_argument("--seed", type=int, default=0, help="training seed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path, default=Path("quality.csv"))
    parser.add_argument("--figure", type=Path, help="draw the CSV into this file, .png or .svg")
    arguments = parser.parse_args()
    arguments.recipe = dict(text.partition("=")[::2] for text in arguments.recipe)
    sizes = dict(text.partition("=")[::2] for text in arguments.batch_size)
    if not all(name in arguments.recipe and size.isdigit() and int(size) for name, size in sizes.items()):
        parser.error("--batch-size: write NAME=N, with the name of a recipe and a number of images")
    if REFERENCE in arguments.recipe:
        parser.error(f"--recipe {REFERENCE}: this name is that of floor and ceiling; choose another one")
    if min(arguments.minutes) <= 0:
        parser.error("--minutes: must be positive")
    if arguments.figure and arguments.figure.suffix not in (".png", ".svg"):
        parser.error(f"--figure {arguments.figure}: end the name with .png or .svg")
    arguments.batch_size = {name: int(size) for name, size in sizes.items()}
    return arguments


def sections_of(arguments: argparse.Namespace, run: Finished) -> dict[tuple[str, str], Any]:
    """Returns the settings of each training, by recipe and model; exits if a recipe has none for a model."""
    found = {}
    for model in dict.fromkeys(METHODS[name].models[0] for name in arguments.methods):
        for recipe, file in arguments.recipe.items():
            section = getattr(run.settings.models, model)
            if file:
                preset = load_settings(read_config([*arguments.config, file]))
                own = getattr(preset.models, model)
                if with_steps(own, 1, threads=1) == with_steps(section, 1, threads=1):
                    raise SystemExit(
                        f"--recipe {recipe}: {file} does not change models.{model}; leave it out"
                    )
                section = own
            size = arguments.batch_size.get(recipe)
            changed = {"threads": arguments.threads} | ({"batch_size": size} if size else {})
            found[recipe, model] = with_steps(section, section.training.steps, **changed)
    return found


def with_steps(section: Any, steps: int, **changed: Any) -> Any:
    """Returns a model's settings with another number of steps and one validation, at the end.

    Arguments:
        section: The settings. If it has a second phase of training, its share of the steps stays the same.
        steps: The steps of `training`.
        changed: Other values of its trainings.
    """
    update = {}
    for name, value in section:
        if isinstance(value, TrainingSettings):
            count = max(1, round(steps * value.steps / section.training.steps))
            update[name] = value.model_copy(update={"steps": count, "valid_every": count, **changed})
    return section.model_copy(update=update)


@contextmanager
def trained(run: Finished, model: str, section: Any, seed: int) -> Iterator[tuple[Path, Cost]]:
    """Trains a model on the CPU; the context is a folder of it and all other models, and the cost of the training."""
    module, function = MODELS[model].train.split(":")
    train: Callable[[Any, Run], None] = getattr(import_module(f"counterfactory.{module}"), function)
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        for other in (run.results / "models").resolve().iterdir():
            if other.name != model:
                (models / other.name).symlink_to(other)
        out = models / model / f"seed{seed}"
        began = time.process_time()
        with metered() as phases:
            train(section, Run(model, run.results / "data", models, out, seed, "cpu"))
        yield models, cost_of(time.process_time() - began, phases)


def answered(
    arguments: argparse.Namespace, run: Finished, chosen: Selection, models: Path, name: str
) -> list[Row]:
    """Returns the scores of the answers of a method that uses the models of a folder."""
    method = load_method(
        name, arguments.seed, run.results / "data", models, run.settings.answers, "cpu", arguments.threads
    )
    if METHODS[name].suites == ("flip",):
        return explained_rows(run, method, arguments.explained)
    return do_rows(run, chosen, run.answer(method, chosen, name, run.settings.answers.batch_size))


def do_rows(run: Finished, chosen: Selection, images: np.ndarray) -> list[Row]:
    """Returns the scores of answers to all interventions, without distances to unknown counterfactuals."""
    return [
        (f"do({name})", score, value)
        for name in chosen.questions["intervention"].unique()
        for score, value in run.scores(chosen, images, name).items()
        if not np.isnan(value)
    ]


def reference_rows(run: Finished, chosen: Selection) -> dict[str, list[Row]]:
    """Returns the scores of the factual images, and those of the true counterfactuals where all are determined."""
    complete = pd.Series(chosen.known).groupby(chosen.questions["intervention"].to_numpy()).all()
    factual = run.test.images[chosen.questions["index"].to_numpy()]
    true = do_rows(run, chosen, chosen.truth)
    return {
        FLOOR: do_rows(run, chosen, factual),
        CEILING: [row for row in true if complete[row[0].removeprefix("do(").removesuffix(")")]],
    }


def explained_rows(run: Finished, method: Answer, count: int) -> list[Row]:
    """Returns the scores of a method's explanations of the first images: binary attributes, if there are any."""
    flip = run.settings.questions.flip
    names = [name for name in flip.attributes if name not in run.dataset.names] or flip.attributes
    batch = explanations.flip_questions(
        run.dataset, run.test, names, min(count, len(run.test.images)), run.settings.questions.seed
    )
    evaluation = explanations.evaluation_of(run.dataset, run.results / "data", run.results / "models")
    images, _, *more = method(batch)
    rows = []
    for name in names:
        values = explanations.scores(evaluation, batch, images, more[0], name)
        found = dict(zip(explanations.COLUMNS, values, strict=False))
        rows += [(f"flip({name})", score, float(found[score])) for score in EXPLAINED]
    return rows


def described(
    arguments: argparse.Namespace,
    recipe: str,
    method: str,
    minutes: float = 0.0,
    batch_size: int = 0,
    steps: int = 0,
    cpu_minutes: float = 0.0,
) -> list[Any]:
    """Returns the first columns of the rows of one method and training; see :data:`COLUMNS`."""
    images = arguments.explained if METHODS[method].suites == ("flip",) else arguments.images
    return [recipe, method, minutes, arguments.seed, batch_size, steps, round(cpu_minutes, 3), images]


def read_rows(path: Path) -> pd.DataFrame:
    """Returns the rows of a CSV file; none if it does not exist."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path, keep_default_na=False, na_values={"value": [""]})


def write_rows(path: Path, about: list[Any], rows: list[Row]) -> None:
    """Appends the rows of one training to a CSV file at once, so that a killed study leaves no half of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame([[*about, *row] for row in rows], columns=COLUMNS)
    with path.open("a") as file:
        file.write(table.to_csv(index=False, header=not path.stat().st_size, float_format="%.6g"))


def missing_of(table: pd.DataFrame, recipe: str, methods: list[str], minutes: float, seed: int) -> list[str]:
    """Returns the methods that have no rows of a training."""
    done = set(map(tuple, table[KEYS].to_numpy().tolist()))
    return [name for name in methods if (recipe, name, minutes, seed) not in done]


def by_question(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Returns the scores of each question by name, in order of appearance."""
    found: dict[str, dict[str, float]] = {}
    for question, score, value in rows:
        found.setdefault(question, {})[score] = value
    return found


def print_rows(header: str, about: list[Any], rows: list[Row]) -> str:
    """Prints the scores of one training, one row per question, and returns the header of the table.

    Arguments:
        header: The header of the table so far; another one begins a new table.
        about: The first columns.
        rows: The scores.
    """
    recipe, method, minutes, _, _, steps, cpu_minutes, _ = about
    names = list(dict.fromkeys(score for _, score, _ in rows))
    if " ".join(names) != header:
        print()
        print_row(["recipe", "method", "minutes", "steps", "CPU minutes", "question", *names], head=True)
    for question, values in by_question(rows).items():
        cells = [values.get(score, float("nan")) for score in names]
        print_row([recipe, method, f"{minutes:g}", steps, f"{cpu_minutes:.2f}", question, *cells])
    return " ".join(names)


if __name__ == "__main__":
    main()

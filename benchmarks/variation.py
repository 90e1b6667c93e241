"""Measures how far scores move with the training seed, the arithmetic and the number of threads of a training.

    python benchmarks/variation.py --methods vae hvae --seeds 0 1 2 --precision float32 bfloat16 --threads 1 2

Requires a finished run, whose data, SCM, judges and questions are used. The first seed, precision and number of threads
are the reference; each other value of one of them is one more training, with the others as in the reference. So the
rows of the other seeds show the variation that a change of arithmetic or threads has to be compared with.

The scores are those of `finished.py`: errors of the judges and the distance to the true counterfactual, suite `do`,
protocol `marginal`. One row per training and intervention is printed.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from finished import open_run, print_row
from quality import by_question, do_rows, trained, with_steps

from counterfactory.methods import load_method
from counterfactory.methods.registry import METHODS


@dataclass(frozen=True)
class Variant:
    """One training: its seed, its arithmetic and its number of threads."""

    seed: int
    precision: str
    threads: int


def main() -> None:
    """Prints one row per training and intervention."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--methods", nargs="+", choices=["vae", "hvae"], default=["vae", "hvae"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], default=["bfloat16"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--steps", type=int, help="steps of each training (default: those of the configuration)"
    )
    parser.add_argument("--images", type=int, default=10_000, help="images with questions (default: all)")
    arguments = parser.parse_args()
    run = open_run(arguments.config)
    chosen = run.select("do", arguments.images, run.dataset.names)
    columns = [*run.dataset.names, "L1 to truth"]
    print_row(["method", "seed", "precision", "threads", "CPU minutes", "do", *columns], head=True)
    for name in arguments.methods:
        model = METHODS[name].models[0]
        section = getattr(run.settings.models, model)
        for variant in variants(arguments.seeds, arguments.precision, arguments.threads):
            torch.set_num_threads(variant.threads)
            steps = arguments.steps or section.training.steps
            own = with_steps(section, steps, threads=variant.threads, precision=variant.precision)
            with trained(run, model, own, variant.seed) as (models, cost):
                # Answers use the SCM of the first seed and one thread, so that only the training of the image
                # mechanism differs.
                torch.set_num_threads(1)
                first = models / model / f"seed{arguments.seeds[0]}"
                if not first.exists():
                    first.symlink_to(f"seed{variant.seed}")
                answers = run.settings.answers
                method = load_method(
                    name, arguments.seeds[0], run.results / "data", models, answers, "cpu", 1
                )
                rows = do_rows(run, chosen, run.answer(method, chosen, name, answers.batch_size))
            for question, values in by_question(rows).items():
                cells = [values.get(score, float("nan")) for score in (*run.dataset.names, "l1")]
                about = [name, variant.seed, variant.precision, variant.threads, f"{cost.total / 60:.2f}"]
                print_row([*about, question, *cells])


def variants(seeds: list[int], precisions: list[str], threads: list[int]) -> list[Variant]:
    """Returns the reference, made of the first values, and one variant for each other value."""
    first = Variant(seeds[0], precisions[0], threads[0])
    others = [replace(first, seed=seed) for seed in seeds[1:]]
    others += [replace(first, precision=precision) for precision in precisions[1:]]
    return [first, *others, *(replace(first, threads=count) for count in threads[1:])]


if __name__ == "__main__":
    main()

"""Varies two settings: the guidance of CausalDiffAE, and the stickiness of the abducted noises.

    python benchmarks/dials.py --images 50 --out results/dials

Requires a finished run; its data, judges and questions about the first images are used. For each guidance weight w, it
prints the scores of the judges after each intervention and the distance to the true counterfactual in grey levels. For
each stickiness s, the probability that an abducted noise is kept, it prints the mean distance of the answer to an empty
intervention from the factual image: at s = 1 (Pearl) this is the error of the abduction, at s = 0 the distance to
another individual with the same parents. Both are drawn as the figures `dial_guidance` and `dial_stickiness`.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from finished import Finished, Selection, open_run, print_row, with_answers

from counterfactory.methods import Answer, load_method
from counterfactory.metrics.axioms import l1_distance
from counterfactory.report.style import (
    AnyFigure,
    Panel,
    Picture,
    add_axes,
    add_legend,
    method_colours,
    save_picture,
)
from counterfactory.report.vocabulary import method_title

Load = Callable[..., Answer]
"""`load(method, own, **shared)` loads a method with other values of its section, and of keys that all share."""


def main() -> None:
    """Prints one row per value of each setting, and draws both figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--models", type=Path, help="folder of trained models (default: the run's)")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--guidance", type=float, nargs="*", default=[0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--stickiness", type=float, nargs="*", default=[0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
    parser.add_argument(
        "--methods", nargs="+", default=["vae", "hvae", "causaldiffae"], help="methods of the stickiness"
    )
    parser.add_argument("--steps", type=int, help="steps of inversion and of decoding (default: the run's)")
    parser.add_argument("--seed", type=int, default=0, help="training seed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/dials"))
    arguments = parser.parse_args()
    run = open_run(arguments.config)
    models = arguments.models or run.results / "models"
    steps = {"steps": arguments.steps} if arguments.steps else {}

    def load(method: str, own: dict | None = None, **shared: float) -> Answer:
        settings = with_answers(run.settings, "causaldiffae", steps | (own or {}), **shared)
        return load_method(
            method, arguments.seed, run.results / "data", models, settings, threads=arguments.threads
        )

    if arguments.guidance:
        save_picture(vary_guidance(run, load, arguments.images, arguments.guidance), arguments.out)
    if arguments.stickiness:
        print()
        picture = vary_stickiness(run, load, arguments.images, arguments.stickiness, arguments.methods)
        save_picture(picture, arguments.out)


def vary_guidance(run: Finished, load: Load, images: int, weights: list[float]) -> Picture:
    """Prints the scores of CausalDiffAE for each guidance weight and intervention, and returns their figure."""
    names = run.dataset.names
    chosen = run.select("do", images, names)
    print_row(["guidance", "do", *names, "L1 to truth"], head=True)
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for weight in weights:
        answers = run.answer(load("causaldiffae", {"guidance": weight}), chosen, f"guidance {weight:g}")
        for name in names:
            scores = list(run.scores(chosen, answers, name).values())
            found[name].append(scores)
            print_row([f"{weight:g}", name, *scores])
    panels = []
    for k, variable in enumerate(run.dataset.variables):
        name = variable.name
        unit = "accuracy" if variable.kind == "categorical" else f"error ({variable.unit})"
        curves = {"predicted": np.array(found[name])[:, k]}
        drawn = partial(draw, f"do({name})", (unit, "guidance w"), weights, curves)
        alt = f"Score of the judge of {name} under do({name}), against the guidance."
        panels.append(Panel(name, alt, drawn))
    distances = {f"do({name})": np.array(found[name])[:, -1] for name in names}
    distances = {name: curve for name, curve in distances.items() if np.isfinite(curve).any()}
    drawn = partial(draw, "L1 to truth", ("grey levels", "guidance w"), weights, distances)
    panels.append(Panel("truth", "Distance to the true counterfactual, against the guidance.", drawn))
    caption = (
        "Guidance scales the change that the codes cause: 1 is the trained model, 0 is no change. Variables that act "
        "as exposure have their full effect at any guidance."
    )
    return Picture("dial_guidance", "Strength of interventions", caption, tuple(panels))


def vary_stickiness(
    run: Finished, load: Load, images: int, values: list[float], methods: list[str]
) -> Picture:
    """Prints the distance of each method from the factual image for each stickiness, and returns their figure."""
    chosen = run.select("null", images)
    once = (chosen.questions["cycles"] == chosen.questions["cycles"].min()).to_numpy()
    chosen = Selection(chosen.questions[once], chosen.truth[once], chosen.known[once])
    factual = run.test.images[chosen.questions["index"].to_numpy()]
    print_row(["stickiness", *methods], head=True)
    curves: dict[str, list[float]] = {name: [] for name in methods}
    for kept in values:
        for name in methods:
            label = f"{name}, stickiness {kept:g}"
            answers = run.answer(load(name, stickiness=kept), chosen, label, min(images, 64))
            curves[name].append(float(l1_distance(answers, factual).mean()))
        print_row([f"{kept:g}", *(curves[name][-1] for name in methods)])
    shown = {method_title(name): np.array(curve) for name, curve in curves.items()}
    drawn = partial(draw, "Empty intervention", ("L1 (grey levels)", "stickiness s"), values, shown)
    alt = "Mean distance from the factual image under an empty intervention, against the stickiness."
    caption = "At 1 every abducted noise is kept (the same individual); at 0 all are redrawn (another one)."
    panels = (Panel("null", alt, drawn),)
    return Picture("dial_stickiness", "Distance from the factual image", caption, panels, 1)


def draw(
    title: str, labels: tuple[str, str], values: list[float], curves: dict[str, np.ndarray], figure: AnyFigure
) -> None:
    """Draws one curve per name against the values of a setting; `labels` are those of the axes y and x."""
    axes = add_axes(figure, title)
    colours = method_colours(list(curves))
    for name, curve in curves.items():
        axes.plot(values, curve, marker="o", ms=3, color=colours[name], label=name)
    axes.set(ylabel=labels[0], xlabel=labels[1], ylim=(0, 1.05 * axes.get_ylim()[1]))
    if len(curves) > 1:
        add_legend(axes, 2)


if __name__ == "__main__":
    main()

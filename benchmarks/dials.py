"""Two dials: how strongly CausalDiffAE intervenes (guidance), and how much of an individual is kept (stickiness).

    python benchmarks/dials.py --images 50 --out results/dials

Needs a finished run; its data, judges and questions are used, about the first images. Of guidance w it prints what the
judges see after each intervention and the distance to the rendered true counterfactual, in grey levels. Of stickiness
s, the probability with which each abducted noise is kept, it prints the expected distance from the factual image when
nothing is done: at s = 1 (Pearl) what abduction gets wrong, at s = 0 how far away another individual of the same
parents is. Both are also drawn, as `dial_guidance` and `dial_stickiness`.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from finished import open_run, print_row, with_answers
from matplotlib.figure import FigureBase

from counterfactory.methods import Answer, load_method
from counterfactory.metrics.axioms import l1_distance
from counterfactory.report.style import Panel, Picture, add_axes, add_legend, method_colours, save_picture
from counterfactory.report.vocabulary import method_title

Curves = dict[str, np.ndarray]


def main() -> None:
    """Prints a row a setting of each dial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--models", type=Path, help="folder of trained models (default: the run's)")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--guidance", type=float, nargs="*", default=[0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--stickiness", type=float, nargs="*", default=[0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
    parser.add_argument("--methods", nargs="+", default=["vae", "hvae", "causaldiffae"], help="of stickiness")
    parser.add_argument("--steps", type=int, help="steps each way of the diffusion (default: the run's)")
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

    names = run.dataset.names
    if arguments.guidance:
        asked = run.ask("do", arguments.images, names)
        print_row(["guidance", "do", *names, "L1 to truth"], head=True)
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for weight in arguments.guidance:
        images = run.answer(load("causaldiffae", {"guidance": weight}), asked, f"guidance {weight:g}")
        for name in names:
            scores = list(run.scores(asked, images, name).values())
            found[name].append(scores)
            print_row([f"{weight:g}", name, *scores])
    if arguments.guidance:
        panels = []
        for k, variable in enumerate(run.dataset.variables):
            share = variable.kind == "categorical"
            unit = "share right" if share else f"error ({variable.unit})"
            seen = {"shown": np.array(found[variable.name])[:, k]}
            alt = f"What the judge of {variable.name} sees under do({variable.name}), against the guidance."
            title = f"do({variable.name})"
            panels.append(
                Panel(variable.name, alt, partial(draw, title, unit, "guidance w", arguments.guidance, seen))
            )
        distances = {f"do({name})": np.array(found[name])[:, -1] for name in names}
        distances = {name: curve for name, curve in distances.items() if np.isfinite(curve).any()}
        alt = "Distance to the true counterfactual, against the guidance."
        drawn = partial(draw, "L1 to truth", "grey levels", "guidance w", arguments.guidance, distances)
        panels.append(Panel("truth", alt, drawn))
        caption = (
            "More guidance exaggerates what the codes change; at 1 it is as trained, at 0 they change nothing. "
            "Variables that act as exposure act at any guidance."
        )
        save_picture(
            Picture("dial_guidance", "Strength of interventions", caption, tuple(panels)), arguments.out
        )

    if arguments.stickiness:
        asked = run.ask("null", arguments.images)
        once = (asked.questions["cycles"] == asked.questions["cycles"].min()).to_numpy()
        asked = type(asked)(asked.questions[once], asked.truth[once], asked.known[once])
        factual = run.test.images[asked.questions["index"].to_numpy()]
        print()
        print_row(["stickiness", *arguments.methods], head=True)
    curves: dict[str, list[float]] = {name: [] for name in arguments.methods}
    for kept in arguments.stickiness:
        for name in arguments.methods:
            label = f"{name}, stickiness {kept:g}"
            images = run.answer(load(name, stickiness=kept), asked, label, min(arguments.images, 64))
            curves[name].append(float(l1_distance(images, factual).mean()))
        print_row([f"{kept:g}", *(curves[name][-1] for name in arguments.methods)])
    if arguments.stickiness:
        shown = {method_title(name): np.array(curve) for name, curve in curves.items()}
        drawn = partial(
            draw, "Nothing is done", "L1 (grey levels)", "stickiness s", arguments.stickiness, shown
        )
        alt = "Expected distance from the factual image when nothing is done, against the stickiness."
        caption = "1 keeps every abducted noise: this very individual; 0 redraws all: another one."
        picture = Picture("dial_stickiness", "How much is kept", caption, (Panel("null", alt, drawn),), 1)
        save_picture(picture, arguments.out)


def draw(title: str, unit: str, dial: str, settings: list[float], curves: Curves, figure: FigureBase) -> None:
    """Draws curves against the settings of a dial."""
    axes = add_axes(figure, title, legend=len(curves) > 1)
    colours = method_colours(list(curves))
    for name, curve in curves.items():
        axes.plot(settings, curve, marker="o", ms=3, color=colours[name], label=name)
    axes.set(xlabel=dial, ylabel=unit, ylim=(0, None))
    if len(curves) > 1:
        add_legend(axes)


if __name__ == "__main__":
    main()

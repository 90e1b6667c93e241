"""Measures how many labels CausalDiffAE requires: trains it with several shares of labelled images.

    python benchmarks/labels.py --shares 0.01 0.1 1 --steps 1000 --out results/labels

Requires a finished run; its data, judges and questions about the first images are used. Images without labels train the
denoiser only, without conditions. Prints the scores of the judges after each intervention and the distance to the true
counterfactual in grey levels, and draws both as the figure `limited_labels`. Trained models are kept in the output
folder and are not trained again, so that a killed study resumes and a larger one extends it.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from finished import open_run, print_row
from matplotlib.ticker import NullFormatter

from counterfactory.core.run import Run
from counterfactory.data.dataset import load_split
from counterfactory.methods import load_method
from counterfactory.models.causaldiffae.train import train_causaldiffae
from counterfactory.report.style import (
    AnyFigure,
    Panel,
    Picture,
    add_axes,
    add_legend,
    method_colours,
    plain_number,
    save_picture,
)


def main() -> None:
    """Prints one row per share and intervention, and draws the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3, 1.0])
    parser.add_argument("--steps", type=int, help="steps of each training (default: the run's)")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="training seed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/labels"))
    arguments = parser.parse_args()
    run = open_run(arguments.config)
    configured = run.settings.models.causaldiffae
    steps = arguments.steps or configured.training.steps
    count = len(load_split(run.results / "data", "train").images)
    names = run.dataset.names
    chosen = run.select("do", arguments.images, names)

    print_row(["share", "labels", "do", *names, "L1 to truth"], head=True)
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for share in arguments.shares:
        models = arguments.out / "models" / f"{steps}_steps_{share:g}_labelled"
        out = models / "causaldiffae" / f"seed{arguments.seed}"
        if not (out / "model.json").exists():
            update = {"labelled": share, "steps": steps, "valid_every": steps}
            settings = configured.model_copy(
                update={"training": configured.training.model_copy(update=update)}
            )
            data, device = run.results / "data", run.settings.device
            train_causaldiffae(settings, Run("causaldiffae", data, models, out, arguments.seed, device))
        method = load_method(
            "causaldiffae",
            arguments.seed,
            run.results / "data",
            models,
            run.settings.answers,
            threads=arguments.threads,
        )
        images = run.answer(method, chosen, f"labels {share:g}")
        for name in names:
            scores = list(run.scores(chosen, images, name).values())
            found[name].append(scores)
            print_row([f"{share:g}", round(share * count), name, *scores])

    panels = []
    for k, variable in enumerate(run.dataset.variables):
        unit = "accuracy" if variable.kind == "categorical" else f"error ({variable.unit})"
        curves = {f"do({name})": np.array(found[name])[:, k] for name in names}
        alt = f"Score of the judge of {variable.name} after each intervention, against the share of labels."
        panels.append(Panel(variable.name, alt, partial(draw, variable.name, unit, arguments.shares, curves)))
    distances = {f"do({name})": np.array(found[name])[:, -1] for name in names}
    distances = {name: curve for name, curve in distances.items() if np.isfinite(curve).any()}
    alt = "Distance to the true counterfactual, against the share of labels."
    panels.append(
        Panel("truth", alt, partial(draw, "L1 to truth", "grey levels", arguments.shares, distances))
    )
    caption = f"One training of {steps} steps per share of labelled images."
    save_picture(Picture("limited_labels", "Limited labels", caption, tuple(panels)), arguments.out)


def draw(
    title: str, unit: str, shares: list[float], curves: dict[str, np.ndarray], figure: AnyFigure
) -> None:
    """Draws curves against the share of labels, on a logarithmic scale."""
    axes = add_axes(figure, title)
    colours = method_colours(list(curves))
    for name, curve in curves.items():
        axes.plot(shares, curve, marker="o", ms=3, color=colours[name], label=name)
    axes.set(
        xscale="log", xlabel="share of images with labels", ylabel=unit, ylim=(0, 1.05 * axes.get_ylim()[1])
    )
    axes.set_xticks(shares, [plain_number(share) for share in shares])
    axes.xaxis.set_minor_formatter(NullFormatter())
    add_legend(axes, 2)


if __name__ == "__main__":
    main()

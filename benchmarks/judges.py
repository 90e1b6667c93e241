"""Measures the judges in the published setting: on nearly all training digits, with confounded parents.

    python benchmarks/judges.py --out results/judges

In a run, judges are trained on a split of their own, in which the parents are independent. The published predictors are
trained on the 60,000 digits that also train the models, and the predictor of thickness has the intensity as an input.
Their errors are the reference. Here 59,000 digits train, one twentieth of which selects the weights, with the training
of the preset `paper`, and the 10,000 test digits are measured at the end. Prints one row per judge. Data are kept, as
are judges with the same settings, and a killed training resumes. To train several judges at once, start one process per
judge (`--judges thickness`) after the first process has written the data.
"""

import argparse
from pathlib import Path

from finished import print_row

from counterfactory.config import JudgesSettings, load_settings, merge, read_config
from counterfactory.core.files import read_json
from counterfactory.core.run import Run
from counterfactory.data.morphomnist import synthesise
from counterfactory.data.sources import fetch_digits
from counterfactory.models.judges.train import train_judge
from counterfactory.questions.registry import SUITES
from counterfactory.report.published import read_published

PUBLISHED_FORM = {
    "judges": {"confounded": True, "context": True, "held_out": 0.05},
    "questions": {suite: {"images": 1} for suite in SUITES},  # none are written
}


def main() -> None:
    """Prints one row per judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", type=Path, nargs="+", default=[Path("config.yaml"), Path("workflow/presets/paper.yaml")]
    )
    published = {
        value.metric: value
        for study in read_published()[1]
        for value in study.values
        if value.suite == "judges" and study.dataset.name.startswith("Morpho-MNIST")
    }
    parser.add_argument("--judges", nargs="+", default=list(published), choices=list(published))
    parser.add_argument("--steps", type=int, help="steps of each training (default: the configuration's)")
    parser.add_argument("--images", type=int, default=59000, help="training digits (default: 59000)")
    parser.add_argument("--test", type=int, default=10000, help="test digits (default: 10000)")
    parser.add_argument("--threads", type=int, default=2, help="threads that render the data")
    parser.add_argument("--out", type=Path, default=Path("results/judges"))
    arguments = parser.parse_args()
    sizes = {"train": 500, "valid": 500, "judges": arguments.images, "test": arguments.test}
    settings = load_settings(merge(read_config(arguments.config), PUBLISHED_FORM | {"data": sizes}))
    training = settings.judges.training
    if arguments.steps:
        training = training.model_copy(update={"steps": arguments.steps})
    judges = settings.judges.model_copy(update={"training": training})

    data = arguments.out / "data"
    if not (data / "dataset.json").exists():
        fetch_digits(settings.data.digits, data / "digits")
        synthesise(settings.data, judges.confounded, data / "digits", data, arguments.threads)
    print_row(["judge", "unit", "images", "steps", "held out", "test", "published", "minutes"], head=True)
    for name in arguments.judges:
        out = arguments.out / f"{training.steps}_steps" / name
        if not is_trained(out, judges):
            train_judge(judges, Run(f"judges/{name}", data, arguments.out, out, device=settings.device))
        found = read_json(out / "model.json")
        errors = [next(iter(found["errors"][split].values())) for split in ("valid", "test")]
        minutes = found["training"]["seconds"] / 60
        figures = [f"{figure:.4f}" for figure in (*errors, published[name].value)]
        print_row(
            [name, published[name].unit, found["images"]["train"], training.steps, *figures, f"{minutes:.0f}"]
        )


def is_trained(out: Path, judges: JudgesSettings) -> bool:
    """Returns whether the folder contains a judge that was trained and measured with these settings."""
    if not (out / "model.json").exists():
        return False
    found = read_json(out / "model.json")
    own = (judges.training.model_dump(mode="json"), judges.shift, judges.width)
    return "errors" in found and (found["settings"], found["shift"], found["network"]["width"]) == own


if __name__ == "__main__":
    main()

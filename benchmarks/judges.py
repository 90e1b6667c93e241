"""How far the judges get in the published form: on nearly all training digits, as confounded as the test digits.

    python benchmarks/judges.py --out results/judges

In a run, judges have a split of their own, in which no parent tells another. The published predictors are trained on
the 60,000 digits that train the models, and that of thickness is told the intensity: their errors are the figures to
compare with. So here 59,000 digits train (of them a twentieth selects the weights), with the training of the preset
`paper`, and the 10,000 test digits are measured in the end. Prints a row a judge. Data are kept, judges as long as
their settings are the same, and a killed training goes on; to train several at once, name one judge a process
(`--judges thickness`) once the first has made the data.
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
from counterfactory.report.published import read_published

FORM = {
    "data": {"train": 500, "valid": 500, "judges": 59000, "test": 10000},
    "judges": {"confounded": True, "context": True, "held_out": 0.05},
}


def main() -> None:
    """Prints a row a judge."""
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
    parser.add_argument("--threads", type=int, default=2, help="for the data")
    parser.add_argument("--out", type=Path, default=Path("results/judges"))
    arguments = parser.parse_args()
    settings = load_settings(merge(read_config(arguments.config), FORM))
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
        if not kept(out, judges):
            train_judge(judges, Run(f"judges/{name}", data, arguments.out, out, device=settings.device))
        found = read_json(out / "model.json")
        errors = [next(iter(found["errors"][split].values())) for split in ("valid", "test")]
        minutes = found["training"]["seconds"] / 60
        figures = [f"{figure:.4f}" for figure in (*errors, published[name].value)]
        print_row(
            [name, published[name].unit, found["images"]["train"], training.steps, *figures, f"{minutes:.0f}"]
        )


def kept(out: Path, judges: JudgesSettings) -> bool:
    """Returns whether a judge was trained and measured with these settings."""
    if not (out / "model.json").exists():
        return False
    found = read_json(out / "model.json")
    mine = (judges.training.model_dump(mode="json"), judges.shift, judges.width)
    return "errors" in found and (found["settings"], found["shift"], found["network"]["width"]) == mine


if __name__ == "__main__":
    main()

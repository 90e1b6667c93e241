"""Quality against minutes of training: the HVAE (or VAE) of the configuration, trained for more and more steps.

    python benchmarks/quality.py --steps 1000 2000 4000 8000

Needs a finished run: its data, parents' mechanisms, judges and questions are used. Each length is a training of
its own, since the schedules stretch with it. Minutes are CPU minutes of this process, so other work on the machine
disturbs them little. Scores are those of the tables: by the judges, over the questions of the suite `do`, protocol
`marginal`; L1 is the distance to the rendered true counterfactual, in grey levels.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from counterfactory.answers.store import gather
from counterfactory.config import load_settings, read_config
from counterfactory.core.files import read_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import load_dataset, load_split
from counterfactory.methods import load_method
from counterfactory.methods.batches import answer_questions
from counterfactory.models.image.train import train_image_mechanism
from counterfactory.models.judges.model import load_judge


def main() -> None:
    """Prints a row a length of training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--model", choices=["vae", "hvae"], default="hvae")
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 2000, 4000, 8000])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    settings = load_settings(read_config(arguments.config))
    results = Path(settings.results) / settings.dataset
    dataset, test = load_dataset(results / "data"), load_split(results / "data", "test")
    questions = read_table(results / "questions" / "do.parquet")
    keep = ((questions.protocol == "marginal") & (questions.intervention != "random")).to_numpy()
    truth, answered = gather(results / "answers" / "truth" / "seed0", "do", questions)
    asked = questions[keep].reset_index(drop=True).assign(question=np.arange(keep.sum()))
    truth, answered = truth[keep], answered["answered"].to_numpy()[keep]
    judges = {name: load_judge(results / "models" / "judges" / name) for name in dataset.names}
    true = {name: asked[f"true_{name}"].to_numpy() for name in dataset.names}

    columns = ["do", *dataset.names, "L1 to truth"]
    print("| steps | CPU minutes | " + " | ".join(columns) + " |\n|" + " --: |" * (len(columns) + 2))
    for steps in arguments.steps:
        with tempfile.TemporaryDirectory() as folder:
            models = Path(folder)
            (models / "scm").symlink_to((results / "models" / "scm").resolve())
            chosen = getattr(settings.models, arguments.model)
            training = chosen.training.model_copy(update={"steps": steps, "valid_every": steps})
            began = time.process_time()
            out = models / arguments.model / f"seed{arguments.seed}"
            train_image_mechanism(
                chosen.model_copy(update={"training": training}),
                Run(arguments.model, results / "data", models, out, arguments.seed, settings.device),
            )
            minutes = (time.process_time() - began) / 60
            respond = load_method(arguments.model, arguments.seed, results / "data", models, settings.answers)
            images, _, _ = answer_questions(
                respond, asked, dataset, test, settings.answers.batch_size, "answers"
            )
        for intervention in asked.intervention.unique():
            rows = (asked.intervention == intervention).to_numpy()
            cells = []
            for variable in dataset.variables:
                predicted = judges[variable.name](images[rows], {k: v[rows] for k, v in true.items()})
                target = true[variable.name][rows]
                error = predicted == target if variable.kind == "categorical" else np.abs(predicted - target)
                cells.append(f"{np.mean(error):.3f}")
            known = rows & answered
            distance = (
                np.abs(images[known].astype(float) - truth[known]).mean() if known.any() else float("nan")
            )
            cells.append(f"{distance:.2f}" if known.any() else "")
            print(f"| {steps} | {minutes:.1f} | {intervention} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

"""Measures quality against training time: trains the HVAE (or VAE) of the configuration for several numbers of steps.

    python benchmarks/quality.py --steps 1000 2000 4000 8000

Requires a finished run, whose data, SCM, judges and questions are used. Each number of steps is a separate training,
because the schedules depend on it. Minutes are CPU minutes of this process, so that they hardly depend on the load of
the machine. The scores are those of the judges for the questions of the suite `do`, protocol `marginal`; L1 is the
distance to the true counterfactual in grey levels.
"""

import argparse
import tempfile
import time
from pathlib import Path

from finished import open_run, print_row

from counterfactory.core.run import Run
from counterfactory.methods import load_method
from counterfactory.models.image.train import train_image_mechanism


def main() -> None:
    """Prints one row per number of steps and intervention."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--model", choices=["vae", "hvae"], default="hvae")
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 2000, 4000, 8000])
    parser.add_argument("--images", type=int, default=10_000, help="images with questions (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="training seed")
    arguments = parser.parse_args()
    run = open_run(arguments.config)
    data, names = run.results / "data", run.dataset.names
    chosen = run.select("do", arguments.images, names)
    configured = getattr(run.settings.models, arguments.model)

    print_row(["steps", "CPU minutes", "do", *names, "L1 to truth"], head=True)
    for steps in arguments.steps:
        training = configured.training.model_copy(update={"steps": steps, "valid_every": steps})
        settings = configured.model_copy(update={"training": training})
        with tempfile.TemporaryDirectory() as folder:
            models = Path(folder)
            (models / "scm").symlink_to((run.results / "models" / "scm").resolve())
            out = models / arguments.model / f"seed{arguments.seed}"
            began = time.process_time()
            train_image_mechanism(
                settings, Run(arguments.model, data, models, out, arguments.seed, run.settings.device)
            )
            minutes = (time.process_time() - began) / 60
            method = load_method(arguments.model, arguments.seed, data, models, run.settings.answers)
            images = run.answer(method, chosen, f"{steps} steps", run.settings.answers.batch_size)
        for name in chosen.questions["intervention"].unique():
            print_row([steps, f"{minutes:.1f}", name, *run.scores(chosen, images, name).values()])


if __name__ == "__main__":
    main()

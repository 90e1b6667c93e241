"""Compares the composition of CausalDiffAE with abduction by inversion and, as published, by noise.

    python benchmarks/abduction.py --images 50

Requires a finished run with a trained `causaldiffae`. The questions are those of the suite `null` (empty interventions,
repeated as often as `questions.null.cycles` says) about its first images. L1 is the mean absolute difference between
the factual image and the answer, in grey levels. CPU seconds are those of this process, so that they hardly depend on
the load of the machine. GFLOP counts convolutions and matrix products (`torch.utils.flop_counter`).
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from finished import Finished, open_run, print_row, with_answers
from torch.utils.flop_counter import FlopCounterMode

from counterfactory.methods import load_method
from counterfactory.metrics.axioms import l1_distance
from counterfactory.models.causaldiffae.model import load_causaldiffae

VARIANTS: dict[str, dict[str, Any]] = {
    "inversion": {"abduction": "invert", "corrections": 0},
    "inversion, 1 correction": {"abduction": "invert", "corrections": 1},
    "inversion, 3 corrections": {"abduction": "invert", "corrections": 3},
    "noise (published)": {"abduction": "noise"},
}


def main() -> None:
    """Prints one row per variant of the abduction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--models", type=Path, help="folder of trained models (default: the run's)")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="training seed")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    run = open_run(arguments.config)
    models = arguments.models or run.results / "models"
    chosen = run.select("null", arguments.images)
    factual = run.test.images[chosen.questions["index"].to_numpy()]
    cycles = sorted(chosen.questions["cycles"].unique())
    gigaflop = flop_of_a_call(run, models, arguments.seed) / 1e9

    print(f"{arguments.images} images, {gigaflop:.3f} GFLOP per call of the denoiser\n")
    heads = [f"L1 after {times} cycle{'s' if times > 1 else ''}" for times in cycles]
    print_row(["abduction", *heads, "calls per answer", "GFLOP", "CPU s"], head=True)
    for variant, own in VARIANTS.items():
        settings = with_answers(run.settings, "causaldiffae", own)
        method = load_method(
            "causaldiffae", arguments.seed, run.results / "data", models, settings, threads=arguments.threads
        )
        began = time.process_time()
        # Questions are ordered by cycles, then by images, so that the questions of a batch have equally many steps.
        images = run.answer(method, chosen, variant, min(arguments.images, 64))
        seconds = (time.process_time() - began) / chosen.questions["cycles"].sum()
        distance = l1_distance(images, factual)
        found = [float(distance[(chosen.questions["cycles"] == times).to_numpy()].mean()) for times in cycles]
        calls = method.network_calls or 0
        print_row([variant, *found, calls, f"{(calls - 1) * gigaflop:.1f}", float(seconds)])


def flop_of_a_call(run: Finished, models: Path, seed: int) -> float:
    """Returns the number of floating-point operations of one call of the denoiser for one image."""
    model, _ = load_causaldiffae(models / "causaldiffae" / f"seed{seed}", run.dataset, precision="float32")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        condition = model.condition(model.layer(model.encoder(torch.zeros(1, *run.dataset.shape))[0]))
        before = counter.get_total_flops()
        model.denoiser(torch.zeros(1, *run.dataset.shape), torch.zeros(1, dtype=torch.long), condition)
    return float(np.subtract(counter.get_total_flops(), before))


if __name__ == "__main__":
    main()

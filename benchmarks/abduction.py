"""CausalDiffAE's composition with inverted diffusion and, as published, with noise: what abduction is worth.

    python benchmarks/abduction.py --images 50

Needs a finished run with a trained `causaldiffae`. Asks its questions that ask to do nothing, once and ten times over,
about the first images. L1 is between the factual image and the answer, in grey levels. CPU seconds are those of this
process, so other work on the machine disturbs them little; GFLOP is of convolutions and products, counted by PyTorch.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from finished import Finished, open_run, print_row, with_answers
from torch.utils.flop_counter import FlopCounterMode

from counterfactory.methods import load_method
from counterfactory.metrics.axioms import l1_distance
from counterfactory.models.causaldiffae.model import load_causaldiffae

WAYS = {
    "inversion": {"abduction": "invert", "corrections": 0},
    "inversion, 1 correction": {"abduction": "invert", "corrections": 1},
    "inversion, 3 corrections": {"abduction": "invert", "corrections": 3},
    "noise (published)": {"abduction": "noise"},
}


def main() -> None:
    """Prints a row a way of abduction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--models", type=Path, help="folder of trained models (default: the run's)")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="training seed")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    run = open_run(arguments.config)
    models = arguments.models or run.results / "models"
    asked = run.ask("null", arguments.images)
    factual = run.test.images[asked.questions["index"].to_numpy()]
    cycles = sorted(asked.questions["cycles"].unique())
    gigaflop = flop_of_a_call(run, models, arguments.seed) / 1e9

    print(f"{arguments.images} images, {gigaflop:.3f} GFLOP a call of the denoiser\n")
    heads = [f"L1 after {times} cycle{'s' if times > 1 else ''}" for times in cycles]
    print_row(["abduction", *heads, "calls an answer", "GFLOP", "CPU s"], head=True)
    for way, own in WAYS.items():
        settings = with_answers(run.settings, "causaldiffae", own)
        respond = load_method(
            "causaldiffae", arguments.seed, run.results / "data", models, settings, threads=arguments.threads
        )
        began = time.process_time()
        # Questions run through cycles, then images: no batch waits for longer walks than its own.
        images = run.answer(respond, asked, way, min(arguments.images, 64))
        seconds = (time.process_time() - began) / asked.questions["cycles"].sum()
        distance = l1_distance(images, factual)
        found = [float(distance[(asked.questions["cycles"] == times).to_numpy()].mean()) for times in cycles]
        calls = respond.network_calls
        print_row([way, *found, calls, f"{(calls - 1) * gigaflop:.1f}", float(seconds)])


def flop_of_a_call(run: Finished, models: Path, seed: int) -> float:
    """Returns the floating-point operations of one call of the denoiser on one image."""
    model, _ = load_causaldiffae(models / "causaldiffae" / f"seed{seed}", run.dataset, precision="float32")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        told = model.condition(model.layer(model.encoder(torch.zeros(1, *run.dataset.shape))[0]))
        before = counter.get_total_flops()
        model.denoiser(torch.zeros(1, *run.dataset.shape), torch.zeros(1, dtype=torch.long), told)
    return float(np.subtract(counter.get_total_flops(), before))


if __name__ == "__main__":
    main()

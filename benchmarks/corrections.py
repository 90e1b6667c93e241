"""Measures what the corrections of answers change in a trained image mechanism.

    python benchmarks/corrections.py --results results/morphomnist --model hvae

The corrections are transport, grey levels, calibration, and that of the bias of abducted latents (*debias*). They are
fitted to the train split, and the sharpness again, without a new training. With *one deviation* the noises of white
level and peak have the same standard deviation at all parents. With *shrunk by a* the covariances of the transport are
shrunk by at least a, instead of by the constant of the transport. Images of the valid split are asked to take, one
variable at a time, the value of another image. The judges of the run measure the answers: mean absolute error, or
accuracy of a class. L1 is the distance to the true counterfactual image, and *back* the distance between the
image and the answer to the inverse intervention on the answer, after one or more such cycles, both in grey levels.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from counterfactory.core.noise import normal
from counterfactory.data.dataset import encode_parents, load_dataset, load_split
from counterfactory.data.worlds import world
from counterfactory.methods.dscm import Pearl, counterfactual_image
from counterfactory.models.image.calibration import Calibration
from counterfactory.models.image.corrections import fit_corrections
from counterfactory.models.image.levels import Levels, fit_levels
from counterfactory.models.image.model import load_image_mechanism
from counterfactory.models.image.transport import LEAST_SHRINKAGE, Transport
from counterfactory.models.judges.model import load_judge
from counterfactory.nets.pixels import to_bytes, to_pixels
from counterfactory.scm.fit import load_scm

ONE = "one deviation"


def main() -> None:
    """Prints one line for each variant and intervention."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="results of a run, with data and models")
    parser.add_argument(
        "--model", choices=("vae", "hvae"), default="hvae", help="image mechanism (default: hvae)"
    )
    parser.add_argument("--seed", type=int, default=0, help="training seed (default: 0)")
    parser.add_argument("--images", type=int, default=500, help="images of the valid split (default: 500)")
    parser.add_argument(
        "--train", type=int, default=20_000, help="images of the train split (default: 20,000)"
    )
    parser.add_argument(
        "--temperature", type=float, default=0.1, help="answers.latent_temperature (default: 0.1)"
    )
    parser.add_argument(
        "--shrinkages",
        type=float,
        nargs="*",
        default=[0.0],
        help="least shrinkages of the transport that are compared, in [0, 1] (default: 0)",
    )
    parser.add_argument(
        "--debias", type=float, default=0.5, help="share of the bias of the latents, in [0, 1] (default: 0.5)"
    )
    parser.add_argument("--cycles", type=int, default=1, help="cycles there and back (default: 1)")
    args = parser.parse_args()

    data, models = args.results / "data", args.results / "models"
    dataset, train, valid = load_dataset(data), load_split(data, "train"), load_split(data, "valid")
    mechanism = load_image_mechanism(models / args.model / f"seed{args.seed}", dataset)
    scm = load_scm(models / "scm" / f"seed{args.seed}", dataset)
    judges = {name: load_judge(models / "judges" / name) for name in dataset.names}

    images = torch.from_numpy(np.array(train.images[: args.train]))
    parents = torch.from_numpy(encode_parents(dataset, train.attributes.iloc[: args.train]))
    exposed = mechanism.head.columns
    transport, fitted, shrunk = None, dict[str, nn.Module](), dict[str, float]()
    variants: list[tuple[str, ...]] = [(), ("debias",)]
    try:
        transport = Transport(dataset, mechanism.noise_shapes)
    except ValueError as refused:
        print(f"no {refused}")
    else:
        fitted["transport"] = transport
        shrunk = {f"shrunk by {least:g}": least for least in args.shrinkages}
        variants += [*(("transport", name) for name in shrunk), ("transport",)]
    if exposed:
        fitted |= {"levels": Levels(dataset, exposed), "calibration": Calibration(dataset, exposed)}
        variants += [("levels", ONE), ("levels",), ("levels", "calibration"), (*fitted, ONE)]
        variants += [*((*fitted, name) for name in shrunk), tuple(fitted)]
    if fitted:
        variants.append((*fitted, "debias"))

    before = {name: valid.attributes[name].to_numpy(np.float64)[: args.images] for name in dataset.names}
    encoded = torch.from_numpy(encode_parents(dataset, before))
    factual = torch.from_numpy(np.array(valid.images[: args.images]))
    seeds = np.arange(args.images)
    sizes = [int(np.prod(shape)) for shape in mechanism.noise_shapes]

    def answers(x: torch.Tensor, own: torch.Tensor, other: torch.Tensor, step: int) -> torch.Tensor:
        """Returns the counterfactual images (B, C, H, W) of uint8 images, uint8."""
        flat = torch.from_numpy(normal(seeds, (sum(sizes),), "latents", step)).split(sizes, 1)
        noise = [part.unflatten(1, shape) for part, shape in zip(flat, mechanism.noise_shapes, strict=True)]
        pearl = Pearl(latent_temperature=args.temperature)
        return to_bytes(counterfactual_image(mechanism, to_pixels(x), own, other, noise, pearl))

    order, missing = np.random.default_rng(0).permutation(args.images), np.full(args.images, np.nan)
    actions = {
        name: {other: before[name][order] if other == name else missing for other in dataset.names}
        for name in dataset.names
    }
    simulated, rows = world(dataset.name), valid.attributes.iloc[: args.images]
    truth = {name: (factual.numpy(), np.zeros(args.images, bool)) for name in dataset.names}
    if simulated is not None:
        for name, do in actions.items():
            true = simulated.counterfactual_parents(rows, do)
            truth[name] = simulated.render_counterfactual(data, rows, true)
    print("corrections: intervention: error of each variable, L1 to the truth, L1 there and back")
    for variant in variants:
        mechanism.transport = transport if "transport" in variant else None
        if transport is not None:
            transport.least = next((shrunk[name] for name in variant if name in shrunk), LEAST_SHRINKAGE)
        mechanism.grey_levels = fitted["levels"] if "levels" in variant else None
        mechanism.calibration = fitted["calibration"] if "calibration" in variant else None
        mechanism.debias = args.debias if "debias" in variant else 0.0
        fit_levels(mechanism, images, parents)
        levels = mechanism.grey_levels
        if ONE in variant and isinstance(levels, Levels):
            levels.deviation_range.zero_()
        fit_corrections(mechanism, dataset, images, parents, args.seed)
        for name in dataset.names:
            after = scm.counterfactual_table(before, actions[name], seeds, 1.0, 0)
            encoded_after = torch.from_numpy(encode_parents(dataset, after))
            found = answers(factual, encoded, encoded_after, 0)
            back = factual
            for cycle in range(args.cycles):
                there = answers(back, encoded, encoded_after, 2 * cycle) if cycle else found
                back = answers(there, encoded_after, encoded, 2 * cycle + 1)
            row = []
            for variable in dataset.variables:
                measured, wanted = judges[variable.name](found.numpy(), after), after[variable.name]
                exact = variable.kind == "categorical"
                error = np.mean(measured == wanted) if exact else np.mean(np.abs(measured - wanted))
                row.append(f"{variable.name} {error:.3f}")
            images_after, known = truth[name]
            # Setting a class leaves the true image undetermined, except where the image has that class.
            if known.mean() > 0.5:
                row.append(
                    f"L1 {np.abs(found.numpy()[known] - images_after[known].astype(float)).mean():.2f}"
                )
            row.append(f"back {(back.float() - factual.float()).abs().mean():.2f}")
            print(f"{' + '.join(variant) or 'none'}: do({name}): {', '.join(row)}", flush=True)


if __name__ == "__main__":
    main()

"""Measures what transport between classes and the correction of grey levels change in a trained image mechanism.

    python benchmarks/corrections.py --results results/morphomnist --model hvae

The corrections are fitted to the train split, and the sharpness again, without a new training. Images of the valid
split are asked to take, one variable at a time, the value of another image. The judges of the run measure the answers:
mean absolute error, or accuracy of a class.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch

from counterfactory.core.noise import normal
from counterfactory.data.dataset import encode_parents, load_dataset, load_split
from counterfactory.methods.dscm import counterfactual_image
from counterfactory.models.image.levels import Levels, fit_levels
from counterfactory.models.image.model import load_image_mechanism
from counterfactory.models.image.sharpness import fit_sharpness
from counterfactory.models.image.transport import Transport, fit_transport
from counterfactory.models.judges.model import load_judge
from counterfactory.nets.pixels import to_bytes, to_pixels
from counterfactory.scm.fit import load_scm


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
    args = parser.parse_args()

    data, models = args.results / "data", args.results / "models"
    dataset, train, valid = load_dataset(data), load_split(data, "train"), load_split(data, "valid")
    mechanism = load_image_mechanism(models / args.model / f"seed{args.seed}", dataset)
    scm = load_scm(models / "scm" / f"seed{args.seed}", dataset)
    judges = {name: load_judge(models / "judges" / name) for name in dataset.names}

    images = torch.from_numpy(np.array(train.images[: args.train]))
    parents = torch.from_numpy(encode_parents(dataset, train.attributes.iloc[: args.train]))
    transport = mechanism.transport = Transport(dataset, mechanism.noise_shapes)
    fit_transport(mechanism, images, parents, args.seed)
    levels = mechanism.grey_levels = (
        Levels(dataset, mechanism.head.columns) if mechanism.head.columns else None
    )
    sharpness = {False: mechanism.head.sharpness.clone()} if mechanism.head.sharpen else {}
    fit_levels(mechanism, images, parents)
    fit_sharpness(mechanism, images, parents, args.seed)
    if mechanism.head.sharpen:
        sharpness[True] = mechanism.head.sharpness.clone()

    before = {name: valid.attributes[name].to_numpy(np.float64)[: args.images] for name in dataset.names}
    x, seeds = to_pixels(torch.from_numpy(np.array(valid.images[: args.images]))), np.arange(args.images)
    sizes = [int(np.prod(shape)) for shape in mechanism.noise_shapes]
    flat = torch.from_numpy(normal(seeds, (sum(sizes),), "latents", 0))
    noise = [
        part.unflatten(1, shape)
        for part, shape in zip(flat.split(sizes, 1), mechanism.noise_shapes, strict=True)
    ]
    order = np.random.default_rng(0).permutation(args.images)
    print("levels transport  intervention: error of each variable")
    for leveled, moved in product((False, True), repeat=2):
        mechanism.grey_levels, mechanism.transport = levels if leveled else None, transport if moved else None
        if mechanism.head.sharpen:
            mechanism.head.sharpness.copy_(sharpness[leveled])
        for name in dataset.names:
            missing = np.full(args.images, np.nan)
            do = {other: before[name][order] if other == name else missing for other in dataset.names}
            after = scm.counterfactual_table(before, do, seeds, 1.0, 0)
            encoded = torch.from_numpy(encode_parents(dataset, before))
            encoded_after = torch.from_numpy(encode_parents(dataset, after))
            answers = to_bytes(counterfactual_image(mechanism, x, encoded, encoded_after, noise)).numpy()
            found = []
            for variable in dataset.variables:
                measured, wanted = judges[variable.name](answers, after), after[variable.name]
                exact = variable.kind == "categorical"
                error = np.mean(measured == wanted) if exact else np.mean(np.abs(measured - wanted))
                found.append(f"{variable.name} {error:.3f}")
            print(f"{leveled!s:6} {moved!s:9}  do({name}): {', '.join(found)}", flush=True)


if __name__ == "__main__":
    main()

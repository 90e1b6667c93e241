"""Measures how much the latents of an image mechanism say about the parents, and whether answers follow interventions.

    python benchmarks/leakage.py --results results/faces/celeba --model hvae

*Probe* is what a linear model that was fitted to the train split reads from the posterior means on the test split: the
accuracy of a categorical parent, beside the share of its most frequent class (*chance*), or the share of the variance
of a continuous one, whose chance is 0. Then the class is set to the next one, or the value to that of the next image,
for two temperatures of the residual. *Followed* is the share of answers that a judge assigns to the requested class;
*error* is the mean absolute difference between the judged and the requested value. L1 is the distance to the image in
grey levels.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from counterfactory.data.dataset import Split, encode_parents, load_dataset, load_split
from counterfactory.methods.dscm import Pearl, counterfactual_image
from counterfactory.models.image.model import load_image_mechanism
from counterfactory.models.judges.model import load_judge
from counterfactory.nets.pixels import to_bytes, to_pixels

BATCH = 100


def main() -> None:
    """Prints one line for each parent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="results of a run, with data and models")
    parser.add_argument("--model", default="hvae", help="image mechanism of that run (default: hvae)")
    parser.add_argument(
        "--folder", type=Path, help="folder of another trained mechanism, in place of --model"
    )
    parser.add_argument("--seed", type=int, default=0, help="training seed (default: 0)")
    parser.add_argument(
        "--images", type=int, default=200, help="images of the test split whose class is set (default: 200)"
    )
    parser.add_argument("--train", type=int, default=2_500, help="images of the train split (default: 2,500)")
    args = parser.parse_args()

    data, models = args.results / "data", args.results / "models"
    dataset, train, test = load_dataset(data), load_split(data, "train"), load_split(data, "test")
    mechanism = load_image_mechanism(args.folder or models / args.model / f"seed{args.seed}", dataset)

    def encoded(rows: dict[str, np.ndarray]) -> Tensor:
        return torch.from_numpy(encode_parents(dataset, rows))

    def parts(images: np.ndarray, *rows: Tensor) -> list[tuple[Tensor, ...]]:
        pixels = to_pixels(torch.from_numpy(np.array(images)))
        return list(zip(pixels.split(BATCH), *(row.split(BATCH) for row in rows), strict=True))

    def at_mean(x: Tensor) -> list[Tensor]:
        return [torch.zeros(len(x), *shape) for shape in mechanism.noise_shapes]

    def means(images: np.ndarray, rows: dict[str, np.ndarray]) -> np.ndarray:
        found = []
        for x, own in parts(images, encoded(rows)):
            with torch.no_grad():
                found.append(
                    torch.cat([latent.z.flatten(1) for latent in mechanism.abduct(x, own, at_mean(x))], 1)
                )
        return torch.cat(found).numpy()

    def rows_of(split: Split, count: int) -> dict[str, np.ndarray]:
        return {name: split.attributes[name].to_numpy(np.float64)[:count] for name in dataset.names}

    fitted, probed, asked = rows_of(train, args.train), rows_of(test, 500), rows_of(test, args.images)
    source, target = means(train.images[: args.train], fitted), means(test.images[:500], probed)
    scale = source.std(0) + 1e-3
    for variable in dataset.variables:
        name, classes = variable.name, variable.classes
        model = LogisticRegression(C=1e-3, max_iter=300) if classes else Ridge(alpha=1e3)
        probe = model.fit(source / scale, fitted[name])
        chance = np.bincount(probed[name].astype(int)).max() / len(probed[name]) if classes else 0.0
        words = [f"{name}: probe {probe.score(target / scale, probed[name]):.3f}, chance {chance:.3f}"]
        judge = load_judge(models / "judges" / name)
        after = {**asked, name: (asked[name] + 1) % classes if classes else np.roll(asked[name], 1)}
        for residual in (1.0, 0.1):
            answers, pearl = [], Pearl(latent_temperature=0.0, residual_temperature=residual)
            for x, own, other in parts(test.images[: args.images], encoded(asked), encoded(after)):
                answers.append(
                    to_bytes(counterfactual_image(mechanism, x, own, other, at_mean(x), pearl)).numpy()
                )
            images = np.concatenate(answers)
            judged = judge(images, after)
            follows = (judged == after[name]).mean() if classes else np.abs(judged - after[name]).mean()
            distance = np.abs(images.astype(float) - test.images[: args.images]).mean()
            words.append(
                f"residual {residual}: {'followed' if classes else 'error'} {follows:.3f}, L1 {distance:.2f}"
            )
        print("; ".join(words), flush=True)


if __name__ == "__main__":
    main()

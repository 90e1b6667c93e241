"""DiME, FastDiME and DiME-X side by side: network calls, CPU seconds an answer, and the scores of explanations.

    python benchmarks/explanations.py --images 20

Needs a finished run: its data, its classifier, denoiser, oracle and identity network are used. All methods answer the
same questions about the first images of the suite `flip`, or, with --split valid, the same kind of questions about
images that no score is ever taken from. CPU seconds are those of this process, so other work on the machine disturbs
them little. Scores are over the flipped answers, as in the tables: FVA and FS (same identity), MNAC (attributes that the
oracle sees change), CD, the Frechet distance in the oracle's features (of few images: compare it between rows only),
and L1. `oracle` is the share of flips that the oracle, too, takes for one.
"""

import argparse
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from counterfactory.config import load_settings, read_config
from counterfactory.core.files import read_json
from counterfactory.core.noise import derive_seed, generator
from counterfactory.data.attributes import attribute_labels
from counterfactory.data.dataset import Dataset, Split, load_dataset, load_split
from counterfactory.methods import Batch, load_method
from counterfactory.metrics.correlation import correlation_difference, correlations
from counterfactory.metrics.frechet import frechet_distance
from counterfactory.metrics.identity import similarity
from counterfactory.metrics.mnac import attributes_of
from counterfactory.models.classifier.model import AttributeClassifier, load_classifier
from counterfactory.models.identity.model import load_identity

COLUMNS = ["flips", "FVA", "FS", "MNAC", "CD", "Frechet", "L1", "oracle", "calls", "CPU s"]


def main() -> None:
    """Prints a row a method and attribute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--methods", nargs="+", default=["dime", "fastdime", "dime_x"])
    parser.add_argument("--models", type=Path, help="folder of trained models (default: the run's)")
    parser.add_argument("--data", type=Path, help="folder of the data set (default: the run's)")
    parser.add_argument("--split", choices=["test", "valid"], default="test")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="training seed")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    settings = load_settings(read_config(arguments.config))
    results = Path(settings.results) / settings.dataset
    data, models = arguments.data or results / "data", arguments.models or results / "models"
    dataset, split = load_dataset(data), load_split(data, arguments.split)
    flip = settings.questions.flip
    names = [*flip.attributes, *(["digit"] if flip.digit else [])]
    batch = ask(dataset, split, names, arguments.images, settings.questions.seed)
    judges = SimpleNamespace(
        oracle=load_classifier(models / "oracle"),
        identity=load_identity(models / "identity", "cpu"),
        threshold=read_json(models / "identity" / "model.json")["threshold"],
    )
    labels = attribute_labels(dataset, load_split(data, "train"), attributes_of(judges.oracle))
    judges.train = correlations(labels.to_numpy(np.float64))

    print(f"{len(batch)} questions about {arguments.images} {arguments.split} images\n")
    print("| method | flip | " + " | ".join(COLUMNS) + " |\n| --- | --- |" + " --: |" * len(COLUMNS))
    for method in arguments.methods:
        respond = load_method(
            method, arguments.seed, data, models, settings.answers, "cpu", arguments.threads
        )
        began = time.process_time()
        images, _, columns = respond(batch)
        seconds = (time.process_time() - began) / len(batch)
        for name in names:
            rows = batch.attribute == name
            cells = " | ".join(f"{value:.3g}" for value in scores(batch, images, columns, rows, name, judges))
            print(f"| {method} | {name} | {cells} | {seconds:.3f} |", flush=True)


def ask(dataset: Dataset, split: Split, names: list[str], images: int, seed: int) -> Batch:
    """Returns questions about the first images, in the seeded order of the suites, and all attributes."""
    rows = np.repeat(generator(seed, "images").permutation(len(split.images))[:images], len(names))
    attribute = np.array(names * images)
    label = np.zeros(len(rows), dtype=np.int64)
    target = np.zeros(len(rows), dtype=np.int64)
    for variable in dataset.variables:
        if variable.classes:
            asked = attribute == variable.name
            label[asked] = split.attributes[variable.name].to_numpy()[rows[asked]]
            steps = generator(seed, "targets").integers(1, variable.classes, len(rows))
            target[asked] = (label + steps)[asked] % variable.classes
    empty = {name: np.full(len(rows), np.nan) for name in dataset.names}
    return Batch(
        images=np.ascontiguousarray(split.images[rows]),
        parents=empty,
        do=empty,
        seeds=np.array(
            [derive_seed(seed, "flip", name, int(row)) for name, row in zip(attribute, rows, strict=True)]
        ),
        rows=rows,
        slots=np.arange(len(rows)),
        size=len(rows),
        step=0,
        attribute=attribute,
        label=label,
        target=target,
    )


def scores(
    batch: Batch,
    images: np.ndarray,
    columns: dict[str, np.ndarray],
    rows: np.ndarray,
    name: str,
    judges: SimpleNamespace,
) -> list[float]:
    """Returns the scores of the answers about one attribute, in the order of the columns but the last."""
    oracle: AttributeClassifier = judges.oracle
    flipped = rows & columns["reached"]
    calls = float(np.mean(columns["network_calls"][rows]))
    if not flipped.any():
        return [0.0, *[np.nan] * 7, calls]
    one, other = batch.images[flipped], images[flipped]
    before, after = oracle.predict(one), oracle.predict(other)
    changes = np.stack([after[key] - before[key] for key in oracle.names], 1)
    cosines = similarity(judges.identity(one), judges.identity(other))
    query = oracle.names.index(name) if name in oracle.names else None
    agrees = after[name] == batch.target[flipped] if query is None else changes[:, query] != 0
    return [
        columns["reached"][rows].mean(),
        (cosines > judges.threshold).mean(),
        cosines.mean(),
        np.abs(changes).sum(1).mean(),
        np.nan if query is None else correlation_difference(changes, judges.train[:, query], query),
        frechet_distance(oracle.embed(one), oracle.embed(other)),
        np.abs(other.astype(np.float64) - one).mean() / 255.0,
        agrees.mean(),
        calls,
    ]


if __name__ == "__main__":
    main()

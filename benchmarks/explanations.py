"""Compares DiME, FastDiME and DiME-X: network calls, CPU seconds per answer, and the scores of explanations.

    python benchmarks/explanations.py --images 20

Requires a finished run, whose data, classifier, denoiser, oracle and identity network are used. All methods answer the
same questions of the suite `flip` about the first images, or, with `--split valid`, questions of the same kind about
images that no table of the run contains. CPU seconds are those of this process, so that they hardly depend on the load
of the machine.

Scores are computed over the flipped answers, as in the tables: FVA and FS (identity), MNAC (attributes that change
according to the oracle), CD, the Frechet distance of the oracle's features (biased for few images: only rows of one run
are comparable), and L1. COUT is that of all answers. `oracle` is the share of flips that the oracle predicts too,
`sound` the share of all questions whose answer flips the classifier and the oracle and has the identity of the image.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from counterfactory.config import load_settings, read_config
from counterfactory.core.noise import derive_seed, generator
from counterfactory.data.attributes import attribute_labels
from counterfactory.data.dataset import Dataset, Split, load_dataset, load_split
from counterfactory.methods import Batch, Columns, load_method
from counterfactory.metrics.correlation import correlation_difference, correlations
from counterfactory.metrics.cout import cout
from counterfactory.metrics.frechet import frechet_distance
from counterfactory.metrics.identity import similarity
from counterfactory.metrics.mnac import attributes_of
from counterfactory.models.classifier.model import AttributeClassifier, load_classifier
from counterfactory.models.identity.model import Identity, load_identity

COLUMNS = ["flips", "FVA", "FS", "MNAC", "CD", "COUT", "Frechet", "L1", "oracle", "sound", "calls", "CPU s"]


@dataclass(frozen=True)
class Evaluation:
    """What scores answers.

    Arguments:
        classifier: The classifier that is explained.
        oracle: The oracle.
        identity: The identity network.
        correlations: The correlations of the attributes in the train split, with shape (A, A).
    """

    classifier: AttributeClassifier
    oracle: AttributeClassifier
    identity: Identity
    correlations: np.ndarray


def main() -> None:
    """Prints one row per method and attribute."""
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
    names = flip.attributes
    batch = flip_questions(dataset, split, names, arguments.images, settings.questions.seed)
    evaluation = evaluation_of(dataset, data, models, arguments.seed)

    print(f"{len(batch)} questions about {arguments.images} {arguments.split} images\n")
    print("| method | flip | " + " | ".join(COLUMNS) + " |\n| --- | --- |" + " --: |" * len(COLUMNS))
    for name in arguments.methods:
        method = load_method(name, arguments.seed, data, models, settings.answers, "cpu", arguments.threads)
        began = time.process_time()
        images, _, *more = method(batch)
        seconds = (time.process_time() - began) / len(batch)
        for attribute in names:
            values = scores(evaluation, batch, images, more[0], attribute)
            cells = " | ".join(f"{value:.3g}" for value in values)
            print(f"| {name} | {attribute} | {cells} | {seconds:.3f} |", flush=True)


def evaluation_of(dataset: Dataset, data: Path, models: Path, seed: int = 0) -> Evaluation:
    """Returns what scores answers, from the folders of the data set and of the models of a run."""
    oracle = load_classifier(models / "oracle")
    labels = attribute_labels(dataset, load_split(data, "train"), attributes_of(oracle))
    known = correlations(labels.to_numpy(np.float64))
    classifier = load_classifier(models / "classifier" / f"seed{seed}")
    return Evaluation(classifier, oracle, load_identity(models / "identity", "cpu"), known)


def flip_questions(dataset: Dataset, split: Split, names: list[str], images: int, seed: int) -> Batch:
    """Returns questions about the first images, in the seeded order of the suites, one per image and attribute."""
    rows = np.repeat(generator(seed, "images").permutation(len(split.images))[:images], len(names))
    attribute = np.array(names * images)
    label = np.zeros(len(rows), dtype=np.int64)
    target = np.zeros(len(rows), dtype=np.int64)
    for variable in dataset.variables:
        if variable.classes:
            own = attribute == variable.name
            label[own] = split.attributes[variable.name].to_numpy()[rows[own]]
            steps = generator(seed, "targets").integers(1, variable.classes, len(rows))
            target[own] = (label + steps)[own] % variable.classes
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
    evaluation: Evaluation, batch: Batch, images: np.ndarray, columns: Columns, name: str
) -> list[float]:
    """Returns the scores of the answers about one attribute, in the order of `COLUMNS` without the CPU seconds."""
    assert batch.attribute is not None and batch.target is not None
    oracle = evaluation.oracle
    rows = batch.attribute == name
    flipped = rows & columns["reached"]
    calls = float(np.mean(columns["network_calls"][rows]))
    factual = evaluation.classifier.predict(batch.images[rows])[name]
    goal = batch.target[rows] if name not in oracle.names else 1 - factual
    transition = cout(
        batch.images[rows], images[rows], evaluation.classifier, batch.attribute[rows], factual, goal
    )
    if not flipped.any():
        return [0.0, *[np.nan] * 4, transition.mean(), *[np.nan] * 3, 0.0, calls]
    one, other = batch.images[flipped], images[flipped]
    before, after = oracle.predict(one), oracle.predict(other)
    changes = np.stack([after[key] - before[key] for key in oracle.names], 1)
    cosines = similarity(evaluation.identity(one), evaluation.identity(other))
    query = oracle.names.index(name) if name in oracle.names else None
    agrees = after[name] == batch.target[flipped] if query is None else changes[:, query] != 0
    cd = np.nan
    if query is not None:
        cd = correlation_difference(changes, evaluation.correlations[:, query], query)
    same = cosines > evaluation.identity.threshold
    return [
        columns["reached"][rows].mean(),
        same.mean(),
        cosines.mean(),
        np.abs(changes).sum(1).mean(),
        cd,
        transition.mean(),
        frechet_distance(oracle.embed(one), oracle.embed(other)) if flipped.sum() > 1 else np.nan,
        np.abs(other.astype(np.float64) - one).mean() / 255.0,
        agrees.mean(),
        (same & agrees).sum() / rows.sum(),
        calls,
    ]


if __name__ == "__main__":
    main()

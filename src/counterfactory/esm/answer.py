"""The steps of the queries: what a generator answers, and images of it to be measured.

`answer_query` writes, for one query of the configuration, `<name>.npy` (images), `<name>.parquet` (a row an image, see
:func:`.queries.ask`; and `index`, the row of the test image that the actual noise was found for, -1 where it was
drawn) and `<name>.json` (the query as it was asked). `draw_images` writes images drawn from a generator as they come,
with what they were told, for :mod:`.structure`.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import write_array, write_json, write_table
from ..core.noise import derive_seed
from ..data.dataset import Dataset, Split, load_dataset, load_split
from ..models.classifier.model import AttributeClassifier, load_classifier
from ..models.gan.model import load_gan
from ..scm.fit import load_scm
from ..scm.noise_kernels import streams
from .queries import Query, ask, draw_actual
from .worlds import CausalWorld, ObservedWorld

__all__ = ["answer_query", "check_facts", "draw_images", "load_world"]

COLUMNS = (
    "index", "actual", "stickiness", "sample", "reached", "log_likelihood", "kept", "log_evidence", "calls"
)  # fmt: skip
WHERE = {"test": "the test images", "drawn": "10,000 draws"}


def answer_query(
    name: str,
    settings: Any,
    data: Path | str,
    models: Path | str,
    out: Path | str,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Answers one query and writes its three files.

    Arguments:
        name: The query's name in the section `queries`.
        settings: The section `queries`.
        data: The data set's folder.
        models: The folder of the trained models.
        out: The folder to write into.
        seed: The training seed of the networks.
        device: Where they run: `cpu` or `cuda`.
        threads: CPU threads.

    A query that cannot be answered, because its generator's training failed or its evidence is never seen, has files
    without a row, and the reason in its JSON, as `unanswered`.

    Raises:
        UserError: If there is no such query, it asks what its generator or the classifier does not know, or a trained
            model is missing.
    """
    import torch

    torch.set_num_threads(threads)
    asked = _named(name, settings.by_name)
    dataset, test = load_dataset(data), load_split(data, "test")
    world, failures = load_world(asked.generator, dataset, data, models, seed, device, settings)
    query = Query(asked.given, asked.premise, asked.by)
    own = derive_seed(settings.seed, "queries", name)
    unanswered = f"models.{asked.generator}: its training failed ({', '.join(failures)})" if failures else ""
    table, images = pd.DataFrame(columns=COLUMNS, dtype=np.float64), np.zeros((0, *dataset.shape), np.uint8)
    try:
        check_facts(query, world.classifier)
        if not failures:
            rows, noise = _actual(world, asked, test, settings.images, own)
            if len(rows):
                table, images = ask(
                    world, query, noise, settings.stickiness, settings.samples, own,
                    settings.kernel, settings.sampler, settings.particles, settings.sweeps,
                )  # fmt: skip
                table.insert(0, "index", rows[table["actual"]])
            else:
                unanswered = f"{_words(asked.given)} is never seen in {WHERE[asked.actual]}"
    except UserError as error:
        raise UserError(f"queries.by_name.{name}: {error}") from None
    out = Path(out)
    write_array(out / f"{name}.npy", images)
    write_table(out / f"{name}.parquet", table)
    told = {"name": name, "given": dict(asked.given), "premise": dict(asked.premise), "by": asked.by}
    told |= {"generator": asked.generator, "actual": asked.actual, "unanswered": unanswered}
    write_json(out / f"{name}.json", told)


def draw_images(
    generator: str,
    settings: Any,
    data: Path | str,
    models: Path | str,
    out: Path | str,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Writes images drawn from a generator: `<generator>.npy`, and `.parquet` with what it was told.

    Arguments:
        generator: `dcgan`, which is told nothing, or `gan`, whose parents follow from the mechanisms.
        settings: The section `queries`: `structure` images are drawn.
        data: The data set's folder.
        models: The folder of the trained models.
        out: The folder to write into.
        seed: The training seed of the networks.
        device: Where they run: `cpu` or `cuda`.
        threads: CPU threads.

    Raises:
        UserError: If a trained model is missing.
    """
    import torch

    torch.set_num_threads(threads)
    dataset = load_dataset(data)
    # Of a failed training too: how it failed can be seen here.
    world, _ = load_world(generator, dataset, data, models, seed, device, settings)
    count = settings.structure
    seeds = [derive_seed(settings.seed, "structure", number) for number in range(count)]
    everything = np.arange(world.dimension)
    noise = np.stack([world.prior(rng, everything) for rng in streams(seeds, "prior")])
    told = pd.DataFrame({"number": np.arange(count)})
    if isinstance(world, CausalWorld):
        parents = world.parents(torch.from_numpy(noise.astype(np.float32)))
        told = told.assign(**{f"told_{name}": value for name, value in parents.items()})
    write_array(Path(out) / f"{generator}.npy", world.images(noise))
    write_table(Path(out) / f"{generator}.parquet", told)


def load_world(
    generator: str,
    dataset: Dataset,
    data: Path | str,
    models: Path | str,
    seed: int,
    device: str,
    settings: Any,
) -> tuple[ObservedWorld | CausalWorld, list[str]]:
    """Returns a generator with all that its world needs, and the signs that its training failed.

    Raises:
        UserError: If a trained model is missing.
    """
    models = Path(models)
    classifier = load_classifier(models / "classifier" / f"seed{seed}", device)
    network, failures = load_gan(models / generator / f"seed{seed}", dataset, device)
    if generator == "dcgan":
        steps = settings.inversion_steps
        return ObservedWorld(network, classifier, device, steps, seed, settings.sharpness), failures
    scm = load_scm(models / "scm" / f"seed{seed}", dataset)
    train = load_split(data, "train").attributes
    return CausalWorld(scm, network, classifier, dataset, train, device, settings.sharpness), failures


def check_facts(query: Query, classifier: AttributeClassifier) -> None:
    """Refuses facts that the classifier cannot read.

    Raises:
        UserError: If a name is unknown, or a value is not 0 or 1, or no class.
    """
    category = classifier.categorical
    sizes = {name: 2 for name in classifier.names} | ({category.name: category.classes} if category else {})
    seen = {**query.given, **(query.premise if query.by == "observe" else {})}
    for name, value in seen.items():
        if name not in sizes:
            raise UserError(f"{name}: the classifier does not know it; did you mean {_near(name, sizes)!r}?")
        if value not in range(sizes[name]):
            raise UserError(f"{name}: {value} is none of its values; choose one of 0 to {sizes[name] - 1}")
        if name in classifier.constant:
            raise UserError(f"{name}: the classifier {classifier.constant[name]}")


def _named(name: str, queries: Mapping[str, Any]) -> Any:
    known = {key: query for key, query in queries.items() if query is not None}
    if name not in known:
        near = f"; the nearest is {_near(name, known)}" if known else ""
        raise UserError(f"queries.by_name.{name}: no such query{near}")
    return known[name]


def _actual(
    world: ObservedWorld | CausalWorld, asked: Any, test: Split, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of test images (-1: drawn) and the noises (M, D) of up to `count` actual worlds."""
    if asked.actual == "drawn":
        noise, found = draw_actual(world, asked.given, count, seed)
        return np.full(int(found.sum()), -1), noise[found]
    rows = _agreeing(world.classifier, test.images, asked.given)[:count]
    if not len(rows):
        return rows, np.zeros((0, world.dimension))
    seeds = [derive_seed(seed, "abduction", int(row)) for row in rows]
    return rows, world.abduct(test.images[rows], test.attributes.iloc[rows], seeds)


def _words(facts: Mapping[str, int]) -> str:
    """Returns facts in one line: `digit 3, thick 0`."""
    return ", ".join(f"{name} {value}" for name, value in facts.items()) or "anything"


def _agreeing(classifier: AttributeClassifier, images: np.ndarray, given: Mapping[str, int]) -> np.ndarray:
    """Returns the rows of images of which the classifier says the evidence, ascending."""
    said = classifier.predict(images)
    agree = np.ones(len(images), dtype=bool)
    for name, value in given.items():
        agree &= said[name] == value
    return np.flatnonzero(agree)


def _near(name: str, known: Mapping[str, Any]) -> str:
    return get_close_matches(name, list(known), n=1, cutoff=0.0)[0]

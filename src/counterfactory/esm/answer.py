r"""Answers the queries with trained generators, and draws images from them.

:func:`answer_query` writes, for one query of the configuration, `<name>.npy` (images), `<name>.parquet` (one row per
image, see :func:`counterfactory.esm.queries.ask`, and `index`, the row of the test image whose noise was found, -1 if
the noise was drawn) and `<name>.json` (the query). :func:`draw_images` writes images drawn from a generator, together
with their conditions, for :mod:`counterfactory.esm.structure`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import write_array, write_json, write_table
from ..core.names import unknown_name
from ..core.noise import derive_seed
from ..core.run import Run
from ..data.dataset import Dataset, Split, load_dataset, load_split
from ..models.classifier.model import AttributeClassifier, load_classifier
from ..models.gan.model import load_gan
from ..scm.fit import load_scm
from ..scm.noise_kernels import streams
from .queries import Query, ask, draw_actual
from .worlds import CausalWorld, ObservedWorld

if TYPE_CHECKING:
    from ..config.queries import QueriesSettings

__all__ = ["answer_query", "check_facts", "draw_images", "load_world"]

COLUMNS = (
    "index", "actual", "stickiness", "sample", "reached", "log_likelihood", "kept", "log_evidence", "calls"
)  # fmt: skip
WHERE = {"test": "the test images", "drawn": "10,000 draws"}


def answer_query(settings: "QueriesSettings", run: Run, threads: int = 1) -> None:
    """Answers one query and writes its three files.

    A query can have no answer, because the training of its generator failed or its evidence never occurs. Its tables
    have no rows then, and its JSON has the reason as `unanswered`.

    Arguments:
        settings: The section `queries` of the configuration.
        run: The folders, the device and the training seed; `name` is the query's name in `queries.by_name`.
        threads: The number of CPU threads.

    Raises:
        UserError: If there is no such query, the generator or the classifier lacks one of its variables, or a trained
            model is missing.
    """
    import torch

    torch.set_num_threads(threads)
    name, out = run.name, run.out
    entry = _named(name, settings.by_name)
    dataset, test = load_dataset(run.data), load_split(run.data, "test")
    world, failures = load_world(entry.generator, dataset, run, settings)
    query = Query(entry.given, entry.premise, entry.by)
    own = derive_seed(settings.seed, "queries", name)
    unanswered = f"models.{entry.generator}: its training failed ({', '.join(failures)})" if failures else ""
    table, images = pd.DataFrame(columns=COLUMNS, dtype=np.float64), np.zeros((0, *dataset.shape), np.uint8)
    try:
        check_facts(query, world.classifier)
        unanswered = unanswered or _constant(query, world.classifier)
        if not unanswered:
            rows, noise = _actual(world, entry, test, settings.images, own)
            if len(rows):
                table, images = ask(world, query, noise, settings.stickiness, settings.samples, own, settings)
                table.insert(0, "index", rows[table["actual"]])
            else:
                unanswered = f"{_words(entry.given)} never occurs in {WHERE[entry.actual]}"
    except UserError as error:
        raise UserError(f"queries.by_name.{name}: {error}") from None
    write_array(out / f"{name}.npy", images)
    write_table(out / f"{name}.parquet", table)
    described = {"name": name, "given": dict(entry.given), "premise": dict(entry.premise), "by": entry.by}
    described |= {"generator": entry.generator, "actual": entry.actual, "unanswered": unanswered}
    write_json(out / f"{name}.json", described)


def draw_images(settings: "QueriesSettings", run: Run, threads: int = 1) -> None:
    """Writes images drawn from a generator, `<generator>.npy`, and their conditions, `<generator>.parquet`.

    Arguments:
        settings: The section `queries` of the configuration; `structure` is the number of images.
        run: The folders, the device and the training seed; `name` is the generator, `dcgan` (unconditional) or `gan`
            (conditional on parents that are drawn from the mechanisms).
        threads: The number of CPU threads.

    Raises:
        UserError: If a trained model is missing.
    """
    import torch

    torch.set_num_threads(threads)
    generator, dataset = run.name, load_dataset(run.data)
    # Also after a failed training: its images show how it failed.
    world, _ = load_world(generator, dataset, run, settings)
    count = settings.structure
    seeds = [derive_seed(settings.seed, "structure", number) for number in range(count)]
    everything = np.arange(world.dimension)
    noise = np.stack([world.prior(rng, everything) for rng in streams(seeds, "prior")])
    conditions = pd.DataFrame({"number": np.arange(count)})
    if isinstance(world, CausalWorld):
        parents = world.parents(torch.from_numpy(noise.astype(np.float32)))
        conditions = conditions.assign(**{f"told_{name}": value for name, value in parents.items()})
    write_array(run.out / f"{generator}.npy", world.images(noise))
    write_table(run.out / f"{generator}.parquet", conditions)


def load_world(
    generator: str, dataset: Dataset, run: Run, settings: "QueriesSettings"
) -> tuple[ObservedWorld | CausalWorld, list[str]]:
    """Returns the world of a generator, and the signs that its training failed.

    Arguments:
        generator: `dcgan` or `gan`.
        dataset: The data set.
        run: The folders, the device and the training seed.
        settings: The section `queries` of the configuration.

    Raises:
        UserError: If a trained model is missing.
    """
    models, seed, device = run.models, run.seed, run.device
    classifier = load_classifier(models / "classifier" / f"seed{seed}", device, "classifier")
    network, failures = load_gan(models / generator / f"seed{seed}", dataset, device, generator)
    if generator == "dcgan":
        steps = settings.inversion_steps
        return ObservedWorld(network, classifier, device, steps, seed, settings.sharpness), failures
    scm = load_scm(models / "scm" / f"seed{seed}", dataset)
    train = load_split(run.data, "train").attributes
    return CausalWorld(scm, network, classifier, dataset, train, device, settings.sharpness), failures


def _facts(query: Query) -> dict[str, Any]:
    """Returns the facts that the classifier has to see: the evidence, and a premise that is observed."""
    return {**query.given, **(query.premise if query.by == "observe" else {})}


def _constant(query: Query, classifier: AttributeClassifier) -> str:
    """Returns why the classifier cannot see a fact of a query: it predicts one value of it for all images."""
    reasons = (
        f"{name}: the classifier {classifier.constant[name]}"
        for name in _facts(query)
        if name in classifier.constant
    )
    return next(reasons, "")


def check_facts(query: Query, classifier: AttributeClassifier) -> None:
    """Checks that the classifier predicts every fact of a query.

    Raises:
        UserError: If a name is unknown, or a value is not 0 or 1 or not a class.
    """
    sizes = classifier.sizes
    for name, value in _facts(query).items():
        if name not in sizes:
            raise unknown_name(name, "not predicted by the classifier", sizes)
        if value not in range(sizes[name]):
            raise UserError(f"{name}: {value} is not one of its values; choose from 0 to {sizes[name] - 1}")


def _named(name: str, queries: Mapping[str, Any]) -> Any:
    known = {key: query for key, query in queries.items() if query is not None}
    if name not in known:
        raise unknown_name(f"queries.by_name: {name}", "no such query", known)
    return known[name]


def _actual(
    world: ObservedWorld | CausalWorld, entry: Any, test: Split, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of test images (-1: drawn) and the noises (M, D) of up to `count` actual worlds."""
    if entry.actual == "drawn":
        noise, found = draw_actual(world, entry.given, count, seed)
        return np.full(int(found.sum()), -1), noise[found]
    rows = _agreeing(world.classifier, test.images, entry.given)[:count]
    if not len(rows):
        return rows, np.zeros((0, world.dimension))
    seeds = [derive_seed(seed, "abduction", int(row)) for row in rows]
    return rows, world.abduct(test.images[rows], test.attributes.iloc[rows], seeds)


def _words(facts: Mapping[str, int]) -> str:
    """Returns facts in one line: `digit 3, thick 0`."""
    return ", ".join(f"{name} {value}" for name, value in facts.items()) or "anything"


def _agreeing(classifier: AttributeClassifier, images: np.ndarray, given: Mapping[str, int]) -> np.ndarray:
    """Returns the rows of images for which the classifier predicts the evidence, ascending."""
    predicted = classifier.predict(images)
    agree = np.ones(len(images), dtype=bool)
    for name, value in given.items():
        agree &= predicted[name] == value
    return np.flatnonzero(agree)

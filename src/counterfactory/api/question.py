"""Prepares a question about own images: reads the images, their parents and the actions, and collects warnings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.noise import derive_seed
from ..data.dataset import Split
from ..data.typical import CARRIED, EXTRAPOLATES, INVERTED
from ..methods.registry import METHODS
from .answer import Parent
from .checks import (
    Actions,
    Flips,
    actions_of,
    flip_actions,
    flips_of,
    outside_values,
    target_of,
    values_of,
)
from .dials import dials_of
from .images import fit, read_image
from .layout import attributes_of

if TYPE_CHECKING:
    from .world import World

__all__ = ["Asked", "TestImage", "prepare", "table_of"]


@dataclass(frozen=True)
class TestImage:
    """An image of the test split, whose parents are known.

    Arguments:
        row: Its row.
        image: Uint8 (C, H, W).
        parents: Its parents in physical units.
    """

    __test__ = False  # not a class of tests

    row: int
    image: np.ndarray
    parents: Mapping[str, float]


@dataclass(frozen=True)
class Asked:
    """A question about N images.

    Arguments:
        images: Uint8 (N, C, H, W).
        factual: The parents of each image.
        actions: The actions of each image.
        flips: The flip, if the question is one.
        split: The images and attributes as a split, for the code that answers questions about the test split.
        rows: The row of each image in `split`, int64 (N,).
        notes: For each image a line about each change of it.
        warned: For each image a line about each value, or the image itself, outside of the training data.
    """

    images: np.ndarray
    factual: list[dict[str, Parent]]
    actions: Actions
    flips: Flips | None
    split: Split
    rows: np.ndarray
    notes: list[list[str]]
    warned: list[list[str]]


def prepare(
    world: "World",
    items: Sequence[Any],
    do: Any,
    given: Mapping[str, Any] | None,
    flip: str | Mapping[str, int] | None,
    method: str,
    invert: bool,
) -> Asked:
    """Returns the question; the arguments are those of :meth:`counterfactory.api.world.World.imagine`."""
    dataset, count = world.dataset, len(items)
    own = values_of(dataset, given, count, "given")
    if do is None and flip is None:
        raise UserError("do: nothing is asked; give do or flip, or do={} to set nothing")
    # Names and values are checked before images are read and judged.
    asked = None if do is None else actions_of(dataset, do, count)
    attributes = {} if flip is None else attributes_of(world.folder, world.seed)
    if flip is not None:
        target_of(dataset, flip, attributes)
    tested = [item for item in items if isinstance(item, TestImage)]
    if tested and len(tested) < count:
        raise UserError("image: a batch of test images and other images; ask about them separately")
    known = dict(own)
    notes: list[list[str]] = [[] for _ in items]
    if tested:
        images = np.stack([item.image for item in tested])
        known = {name: np.array([item.parents[name] for item in tested]) for name in dataset.names} | own
        names = [f"test image {item.row}" for item in tested]
    else:
        images, names, notes = _read(items, dataset.shape)
    if invert:
        images = 255 - images
    factual = world.read(images, known)
    flips = None if flip is None else flips_of(dataset, flip, attributes, factual)
    if asked is not None:
        actions = asked
    elif flips is not None and "do" in METHODS[method].suites:
        actions = [[action] for action in flip_actions(flips, world.training)]
    else:
        actions = [[{}] for _ in items]
    warned = [
        outside_values(dataset, world.training, parents, steps)
        for parents, steps in zip(factual, actions, strict=True)
    ]
    if not tested or invert:
        for lines, more in zip(warned, _atypical(world, images, names, method), strict=True):
            lines += more
    if tested and not own and not invert:
        return Asked(
            images,
            factual,
            actions,
            flips,
            world.test_split,
            np.array([t.row for t in tested]),
            notes,
            warned,
        )
    table = pd.DataFrame({name: [float(parents[name]) for parents in factual] for name in dataset.names})
    return Asked(images, factual, actions, flips, Split(images, table), np.arange(count), notes, warned)


def table_of(asked: Asked, seed: int, slot: int, samples: int) -> pd.DataFrame:
    """Returns the table of questions, `samples` rows per image.

    Sample s of every image has the seed `seed` if s = 0, otherwise one derived from it. Rows have the numbers `slot`,
    `slot` + 1, ..., which determine their place in a batch.
    """
    count = len(asked.images) * samples
    seeds = [seed, *(derive_seed(seed, "imagine", sample) for sample in range(1, samples))]
    columns: dict[str, Any] = {
        "question": np.arange(slot, slot + count),
        "index": asked.rows.repeat(samples),
        "seed": np.tile(np.array(seeds, np.int64), len(asked.images)),
        "steps": [steps for steps in asked.actions for _ in range(samples)],
    }
    if asked.flips is not None:
        columns["attribute"] = [asked.flips.attribute] * count
        columns["label"] = np.repeat(asked.flips.label, samples)
        columns["target"] = np.repeat(asked.flips.target, samples)
    table = pd.DataFrame(columns)
    table["steps"] = [json.dumps(steps) for steps in table["steps"]]
    return table


def _read(items: Sequence[Any], shape: tuple[int, int, int]) -> tuple[np.ndarray, list[str], list[list[str]]]:
    images, names, notes = [], [], []
    for number, item in enumerate(items):
        pixels, name = read_image(item, shape[0])
        if name == "image" and len(items) > 1:
            name = f"image {number}"
        image, lines = fit(pixels, shape, name)
        images.append(image)
        names.append(name)
        notes.append(lines)
    return np.stack(images), names, notes


def _atypical(world: "World", images: np.ndarray, names: list[str], method: str) -> list[list[str]]:
    """Returns, for each image, a line if it differs from the training images; inverted images are named as such."""
    kept = "residual_temperature" in dials_of(method)
    extrapolates = CARRIED if kept else EXTRAPOLATES
    distance, inverted = (world.typical.distance(shown) for shown in (images, 255 - images))
    found = []
    for name, own, other in zip(names, distance, inverted, strict=True):
        line = ""
        if own > world.typical.limit and other < own:
            line = f"{name}{INVERTED}"
        elif own > world.typical.limit:
            line = (
                f"{name}: is outside of the training data (distance {own:.3g}, typical up to"
                f" {world.typical.limit:.3g}){extrapolates}"
            )
        found.append([line] if line else [])
    return found

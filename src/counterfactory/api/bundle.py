"""Writes a bundle: a folder with the trained models of a data set and what answering needs, without its images.

.. code-block:: text

    README.md                     the model card
    LICENSE                       the MIT license, if everything in the folder is under it
    bundle.json                   methods, seed, settings of the answers, attributes, revision
    data/dataset.json             variables, causal graph, shape of the images
    data/training.json            ranges of the training data
    data/training.safetensors     distribution of the training images
    models/<model>/...            weights (safetensors) and descriptions

:func:`counterfactory.load` reads it like a results folder.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.descriptions import read_description
from ..core.errors import UserError
from ..core.files import write_json, write_text
from ..core.names import unknown_name
from ..core.provenance import revision
from ..data.dataset import save_dataset
from ..methods.registry import METHODS
from .card import model_card
from .layout import BUNDLE, SHIPPED, answers_settings, attributes_of, folder_of, models_of
from .outputs import check_writable
from .terms import terms_of
from .training_data import save_training_data
from .world import World

__all__ = ["write_bundle"]

FILES = ("model.safetensors", "model.json")
FORMAT = 1
LICENSE = SHIPPED / "morphomnist" / "LICENSE"


def write_bundle(
    results: Path | str,
    out: Path | str,
    methods: Sequence[str] = (),
    seed: int = 0,
    weights_license: str = "",
) -> Path:
    """Writes a bundle to the folder `out`, which appears whole or not at all.

    Arguments:
        results: The results folder of one data set.
        out: The folder to write.
        methods: The methods to include; by default all trained methods whose perceptual distance uses no published
            network.
        seed: The training seed of the models.
        weights_license: The license of imported weights, as their authors state it; empty: the card calls it unknown.

    Returns:
        The folder.

    Raises:
        UserError: If `out` exists, a method is not among the results, or a judge or another model is missing.
    """
    folder, out = folder_of(results), Path(out)
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: exists; choose another folder, or remove it")
    check_writable(out)
    if (folder / BUNDLE).exists():
        raise UserError(f"{results}: is a bundle; give the results folder it was made from, or copy it")
    world = World(folder, seed)
    chosen = _chosen(world, methods)
    attributes = attributes_of(folder, seed)
    models = _models(world, chosen)
    contents: dict[str, Any] = {
        "kind": "counterfactory bundle",
        "format": FORMAT,
        "version": __version__,
        "revision": revision(),
        "dataset": world.dataset.name,
        "methods": chosen,
        "seed": seed,
        "answers": {name: answers_settings(folder, name) for name in chosen},
        "attributes": {name: dict(one) for name, one in attributes.items()},
    }
    temporary = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        for model in models:
            (temporary / "models" / model).mkdir(parents=True)
            for name in FILES:
                shutil.copyfile(folder / "models" / model / name, temporary / "models" / model / name)
        save_dataset(temporary / "data", world.dataset)
        save_training_data(temporary / "data", world.training, world.typical)
        write_json(temporary / BUNDLE, contents)
        size = sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file())
        write_text(temporary / "README.md", model_card(world, contents, models, size, weights_license))
        if terms_of(folder / "models", world.dataset.name, models).license == "mit":
            shutil.copyfile(LICENSE, temporary / "LICENSE")
        os.rename(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _chosen(world: World, methods: Sequence[str]) -> list[str]:
    """Returns the methods of the bundle."""
    able = [name for name in world.methods if METHODS[name].trained]
    for name in methods:
        if name not in able:
            raise unknown_name(name, f"no trained method in {world.folder}", able)
    chosen = list(dict.fromkeys(methods)) or [name for name in able if not _foreign(world.folder, name)]
    if not chosen:
        raise UserError(f"{world.folder}: no method is trained for seed {world.seed}; train one first")
    return chosen


def _foreign(folder: Path, method: str) -> str:
    """Returns the published network that a method requires for its perceptual distance, or ``""``."""
    own = answers_settings(folder, method).get(METHODS[method].section) or {}
    name = own.get("perceptual", "vgg19" if method in ("dime", "fastdime") else "none")
    return "" if name in ("none", "classifier", "oracle") else name.replace("_", "/", 1)


def _models(world: World, methods: Sequence[str]) -> list[str]:
    """Returns the folders of all models that the methods require, relative to `models/`.

    Raises:
        UserError: If one of them is missing, or its weights are recorded as missing.
    """
    found: dict[str, None] = {}
    for method in methods:
        found |= dict.fromkeys(f"{model}/seed{world.seed}" for model in models_of(method))
        own = answers_settings(world.folder, method).get(METHODS[method].section) or {}
        if own.get("perceptual") == "oracle":
            found["oracle"] = None
        if _foreign(world.folder, method):
            found[_foreign(world.folder, method)] = None
    found |= dict.fromkeys(f"judges/{name}" for name in world.dataset.names)
    for model in found:
        path = world.folder / "models" / model
        for name in FILES:
            if not (path / name).exists():
                raise UserError(
                    f"{path / name}: no such file, which the bundle requires; train the model first"
                )
        reason = read_description(path / "model.json").get("missing")
        if reason:
            raise UserError(f"{path}: {reason}; leave the method out with --methods")
    return list(found)

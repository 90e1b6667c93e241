"""Finds the contents of a results folder or a bundle: methods, settings of answers, binary attributes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.descriptions import read_description
from ..core.errors import UserError
from ..core.files import read_json
from ..methods.registry import METHODS

__all__ = [
    "BUNDLE",
    "SETTINGS",
    "answers_settings",
    "attributes_of",
    "folder_of",
    "methods_in",
    "models_of",
    "settings_in",
]

BUNDLE, SETTINGS = "bundle.json", "settings.json"

UNUSED = {"chunk_size", "chunks", "vgg19_weights"}
"""Keys of the section `answers` that change no answer of a trained method."""

SHIPPED = Path(__file__).parents[1] / "bundles"
"""The bundles that are part of the package."""


def folder_of(path: Path | str) -> Path:
    """Returns the results folder of one data set, the folder of a bundle, or that of a bundle of the package by name.

    Raises:
        UserError: If there is no such folder, or it holds no data set or no models.
    """
    folder = Path(path).expanduser()
    shipped = sorted(one.parent.name for one in SHIPPED.glob(f"*/{BUNDLE}"))
    if not folder.is_dir() and str(path) in shipped:
        folder = SHIPPED / str(path)
    if not folder.is_dir():
        raise UserError(
            f"{path}: no such folder; give a bundle, or the results of a data set, such as results/morphomnist, "
            f"or a bundle of the package: {', '.join(shipped)}"
        )
    if not (folder / "data" / "dataset.json").is_file():
        inside = sorted(str(one.parent.parent) for one in folder.glob("*/data/dataset.json"))
        remedy = f"choose from {', '.join(inside)}" if inside else "run the workflow, or give another folder"
        raise UserError(
            f"{path}: holds no data/dataset.json, so it is no results folder of a data set; {remedy}"
        )
    if not (folder / "models").is_dir():
        raise UserError(f"{path}: holds no folder models; train the models first")
    return folder


def models_of(method: str) -> list[str]:
    """Returns the names of the seeded models that a method loads."""
    entry = METHODS[method]
    return [*entry.models, *(["scm"] if entry.scm else [])]


def methods_in(folder: Path, seed: int, simulated: bool) -> tuple[str, ...]:
    """Returns the methods that can answer with the files of a folder, in the order of the registry."""
    found = []
    for name, method in METHODS.items():
        files = [folder / "models" / model / f"seed{seed}" / "model.safetensors" for model in models_of(name)]
        if method.simulated and not (simulated and (folder / "data" / "test" / "images.npy").exists()):
            continue
        if all(file.exists() for file in files):
            found.append(name)
    return tuple(found)


def answers_settings(folder: Path, method: str) -> dict[str, Any]:
    """Returns the section `answers` of a run, without the sections of other methods.

    A bundle has it in `bundle.json`, a results folder in `settings.json`, which the workflow writes again whenever the
    configuration changes. For a folder without that file the result is empty, which selects the defaults of the
    configuration, unless an earlier version of the package has written it (:func:`_unordered_settings`).
    """
    if (folder / BUNDLE).exists():
        return dict(bundle_of(folder).get("answers", {}).get(method, {}))
    own = METHODS[method].section
    others = {entry.section for entry in METHODS.values() if entry.section} - {own}
    values = settings_in(folder).get("answers")
    if values is None:
        values = _unordered_settings(folder, own, others)
    return {name: value for name, value in values.items() if name not in others | UNUSED}


def settings_in(folder: Path) -> dict[str, Any]:
    """Returns the resolved configuration of a results folder, or nothing if it has none.

    Raises:
        UserError: If it is damaged.
    """
    path = folder / SETTINGS
    if not path.exists():
        return {}
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("answers", {}), dict):
        raise UserError(f"{path}: holds no settings; delete it and run the workflow again")
    return found


def _unordered_settings(folder: Path, own: str, others: set[str]) -> dict[str, Any]:
    """Returns the section `answers` from the folder `settings` of a run without `settings.json`.

    The workflow names a file there by its content and does not write it twice, so that the newest file need not be
    the one of the last run. The file is therefore used only if all files of the method agree.

    Raises:
        UserError: If there are files with different values.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "settings").glob("*.json")):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(values, dict) or not {"batch_size", "residual_temperature"} <= set(values):
            continue
        if set(values) & (others | {own}) == ({own} if own else set()):
            found[json.dumps({name: values[name] for name in sorted(set(values) - UNUSED)})] = values
    if len(found) > 1:
        raise UserError(
            f"{folder / SETTINGS}: no such file, and {folder / 'settings'} has the answers of several configurations; "
            "run the workflow again, which writes it"
        )
    return next(iter(found.values()), {})


def bundle_of(folder: Path) -> dict[str, Any]:
    """Returns the contents of `bundle.json`.

    Raises:
        UserError: If it is damaged.
    """
    found = read_json(folder / BUNDLE)
    if not isinstance(found, dict):
        raise UserError(f"{folder / BUNDLE}: holds no keys and values; make the bundle again")
    return found


def attributes_of(folder: Path, seed: int) -> dict[str, Mapping[str, Any]]:
    """Returns `of` and `above` of each binary attribute.

    They are those of the classifier, of the oracle, of the configuration of the run, or the defaults.
    """
    if (folder / BUNDLE).exists():
        return dict(bundle_of(folder).get("attributes", {}))
    for place in (f"classifier/seed{seed}", "oracle"):
        path = folder / "models" / place / "model.json"
        if path.exists():
            return dict(read_description(path).get("attributes", {}))
    configured = settings_in(folder).get("attributes")
    if configured is not None:
        return {name: one for name, one in configured.items() if one is not None}
    from ..config.attributes import ATTRIBUTES

    return {name: one.model_dump() for name, one in ATTRIBUTES.items() if one is not None}

"""Finds the contents of a results folder or a bundle: methods, settings of answers, binary attributes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.descriptions import read_description
from ..core.errors import UserError
from ..core.files import read_json
from ..methods.registry import METHODS

__all__ = ["BUNDLE", "answers_settings", "attributes_of", "folder_of", "methods_in", "models_of"]

BUNDLE = "bundle.json"

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
    """Returns the section `answers` that a method was run with.

    A bundle has it in `bundle.json`. The workflow writes the settings of each step to the folder `settings`; of the
    files that fit the method, the newest one is used. Without such a file the result is empty, which selects the
    defaults of the configuration.
    """
    if (folder / BUNDLE).exists():
        return dict(bundle_of(folder).get("answers", {}).get(method, {}))
    own = METHODS[method].section
    sections = {entry.section for entry in METHODS.values() if entry.section}
    newest: tuple[float, dict[str, Any]] = (-1.0, {})
    for path in sorted((folder / "settings").glob("*.json")):
        try:
            values, changed = json.loads(path.read_text(encoding="utf-8")), path.stat().st_mtime
        except (OSError, ValueError):
            continue
        if not isinstance(values, dict) or not {"batch_size", "residual_temperature"} <= set(values):
            continue
        if set(values) & sections == ({own} if own else set()) and changed > newest[0]:
            newest = (changed, values)
    return newest[1]


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
    """Returns `of` and `above` of each binary attribute: those of the classifier, of the oracle, or the defaults."""
    if (folder / BUNDLE).exists():
        return dict(bundle_of(folder).get("attributes", {}))
    for place in (f"classifier/seed{seed}", "oracle"):
        path = folder / "models" / place / "model.json"
        if path.exists():
            return dict(read_description(path).get("attributes", {}))
    from ..config.attributes import ATTRIBUTES

    return {name: one.model_dump() for name, one in ATTRIBUTES.items() if one is not None}

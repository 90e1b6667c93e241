"""Reads `model.json`, the description of a trained model, without PyTorch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import BadFile
from .files import read_json

__all__ = ["name_of", "read_description"]

_NAMELESS = "without a name"


def name_of(meta: Mapping[str, Any]) -> str:
    """Returns the name of a model by its description: such as `vae`, `vae_ft`, `oracle` or `judge of thickness`."""
    name = str(meta.get("kind") or meta.get("model") or _NAMELESS)
    variable = meta.get("variable")
    if isinstance(variable, Mapping):
        return f"{name} of {variable.get('name')}"
    return f"{name}_ft" if "finetuned" in meta else name


def read_description(path: Path | str, expected: str = "") -> dict[str, Any]:
    """Reads the description of a model.

    Arguments:
        path: The file `model.json`.
        expected: The name that the model must have, as :func:`name_of` returns it; by default any. A description
            without a name is accepted.

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it does not hold keys and values, or describes another model.
    """
    meta = read_json(path)
    if not isinstance(meta, dict):
        raise BadFile(f"{path}: holds no keys and values; delete it and train again")
    if expected and name_of(meta) not in (expected, _NAMELESS):
        raise BadFile(
            f"{path}: describes the model {name_of(meta)}, not {expected}; delete it and train again"
        )
    return meta

"""Reads a configuration: files laid over each other, checked, and completed by the defaults."""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..core.errors import UserError
from ..methods.registry import METHODS
from .cross_checks import cross_checks
from .error_messages import explain
from .settings import Settings

__all__ = ["load_section", "load_settings", "merge", "read_config"]


def load_settings(given: Mapping[str, Any]) -> Settings:
    """Checks a configuration and fills in what it leaves out.

    Arguments:
        given: The configuration, as YAML reads it. Sections may be partial.

    Raises:
        UserError: If a key is unknown, a value has the wrong type or range, or two values do not fit together.
            The message is one line that names the key and the nearest valid choice.
    """
    settings = _with_finetuned(_validate(given))
    problem = next(cross_checks(settings), None)
    if problem:
        raise UserError(f"config: {problem}")
    return settings


def load_section(path: str, given: Mapping[str, Any]) -> Any:
    """Checks one section alone, as a step of the workflow is given it, and fills in what it leaves out.

    Arguments:
        path: The section, such as `models.hvae`.
        given: Its keys and values. How they fit other sections is not looked at.

    Raises:
        UserError: As :func:`load_settings` does.
    """
    section: Any = _validate(reduce(lambda inner, key: {key: inner}, reversed(path.split(".")), dict(given)))
    for key in path.split("."):
        section = getattr(section, key)
    return section


def _with_finetuned(settings: Settings) -> Settings:
    """Names what `finetune` asks among the methods, each after the one that it starts from."""
    if not settings.finetune:
        return settings
    methods: list[str] = []
    for name in settings.methods:
        tuned = f"{name}_ft"
        methods += [name, tuned] if tuned in METHODS and tuned not in settings.methods else [name]
    return settings.model_copy(update={"methods": methods})


def _validate(given: Mapping[str, Any]) -> Settings:
    # Defaults are those of the whole tree, not of each class: two models may train with different settings.
    merged = merge(Settings().model_dump(mode="json"), given)
    try:
        # Strict, so that "12" or true is not taken for a number; as JSON, so that a list is a tuple.
        return Settings.model_validate_json(json.dumps(merged), strict=True)
    except ValidationError as error:
        raise UserError(f"config: {explain(error, merged, Settings().model_dump(mode='json'))}") from None
    except TypeError as error:
        raise UserError(
            f"config: a value is of a kind that YAML's plain types do not know ({error})"
        ) from None


def read_config(paths: Iterable[Path | str]) -> dict[str, Any]:
    """Reads YAML files and lays each over the ones before it, key by key.

    Raises:
        UserError: If a file is missing or is not a YAML mapping.
    """
    import yaml

    merged: dict[str, Any] = {}
    for path in paths:
        try:
            read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; name a configuration with --config") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error})") from None
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
        if not isinstance(read or {}, dict):
            raise UserError(f"{path}: must hold keys and values, such as 'seeds: [0]'")
        merged = merge(merged, read or {})
    return merged


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with `over` laid over it, section by section; lists are replaced whole."""
    merged = dict(deepcopy(base))
    for key, value in over.items():
        # To YAML the bare word null, which is the name of a suite, is the value None.
        key = "null" if key is None else key
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged

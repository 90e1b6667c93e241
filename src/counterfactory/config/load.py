"""Loads a configuration: completes it with the defaults, and validates it.

The value of a key is taken from the first of these that has one:

1. the key itself, in the section of the model;
2. for a key of a training, the top-level section `training`;
3. the value of the published protocol that `protocol` names (:mod:`counterfactory.config.protocols`);
4. the default that the data set declares (:mod:`counterfactory.config.dataset_defaults`);
5. the default of the key.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from typing import Any

from pydantic import ValidationError

from ..core.errors import UserError
from ..core.plugins import broken
from ..methods.registry import METHODS
from .cross_checks import errors_of
from .dataset_defaults import dataset_defaults
from .error_messages import error_messages
from .protocols import protocol_defaults
from .sections import Section
from .settings import Settings
from .training import TrainingDefaults, TrainingSettings
from .values import typed
from .yaml_files import merge

__all__ = ["is_default", "load_section", "load_settings"]

MOST_MISTAKES = 20
NAMED = ("attributes", "queries.by_name")
"""The sections whose keys are names: an entry of the user is added to those of the data set, and null removes one."""


def load_settings(given: Mapping[str, Any]) -> Settings:
    """Validates a configuration and fills in the defaults.

    Arguments:
        given: The configuration as read from YAML. Sections may be partial.

    Raises:
        UserError: If a key is unknown, a value has the wrong type or is out of range, or values contradict each
            other. The message has one line for each mistake, which names the key and the remedy.
    """
    settings = _with_finetuned(_validate(given))
    _refuse(errors_of(settings))
    return settings


def is_default(settings: Settings, *sections: str) -> bool:
    """Returns whether sections have the default values of the data set; the key `data.digits` is ignored.

    Arguments:
        settings: The configuration.
        sections: Names of top-level sections, such as `models`.
    """
    default = _validate({"dataset": settings.dataset})
    given, usual = (
        one.model_dump(mode="json", include=set(sections), exclude={"data": {"digits"}})
        for one in (settings, default)
    )
    return given == usual


def load_section(path: str, given: Mapping[str, Any]) -> Any:
    """Validates a single section, as a step of the workflow receives it, and fills in the defaults.

    Arguments:
        path: The section, such as `models.hvae`.
        given: Its keys and values. A missing key has the default that the default data set declares, but attributes
            and queries that are not named do not exist. Whether the section agrees with others is not checked.

    Raises:
        UserError: As :func:`load_settings`.
    """
    section: Any = _validate(_nested(path, dict(given)), complete=True)
    for key in path.split("."):
        section = getattr(section, key)
    return section


def _refuse(mistakes: Any) -> None:
    """Raises an error that lists mistakes, if there are any."""
    lines = [f"config: {mistake}" for mistake in mistakes]
    # A package that cannot be imported may explain an unknown name.
    lines += [f"config: {line}" for line in broken()] if lines else []
    if len(lines) > MOST_MISTAKES:
        lines[MOST_MISTAKES:] = [f"config: and {len(lines) - MOST_MISTAKES} more mistakes"]
    if lines:
        raise UserError("\n".join(lines))


def _with_finetuned(settings: Settings) -> Settings:
    """Adds the fine-tuned version of each method, after the method, if `finetune` is true."""
    if not settings.finetune:
        return settings
    methods: list[str] = []
    for name in settings.methods:
        tuned = f"{name}_ft"
        methods += [name, tuned] if tuned in METHODS and tuned not in settings.methods else [name]
    return settings.model_copy(update={"methods": methods})


def _validate(given: Mapping[str, Any], complete: bool = False) -> Settings:
    """Returns the settings.

    Arguments:
        given: The configuration.
        complete: Whether `given` names all attributes and queries that exist.
    """
    defaults = _defaults()
    try:
        given = typed(merge({}, given), Settings)
        # Merged into the defaults of the whole tree, since sections of one class have different defaults.
        merged = merge(_with_training(_of_dataset(defaults, given, complete), given.get("training")), given)
        text = json.dumps(merged)
    except (RecursionError, ValueError):
        raise UserError("config: an anchor is used inside the section that it names; remove it") from None
    except TypeError as error:
        raise UserError(f"config: a key or value is no text, number or list ({error})") from None
    try:
        # Strict: true is not a number. As JSON: a list is valid where a tuple is required.
        return Settings.model_validate_json(text, strict=True)
    except ValidationError as error:
        _refuse(error_messages(error, merged, defaults, Settings))
        raise


@cache
def _defaults() -> dict[str, Any]:
    return Settings().model_dump(mode="json")


def _of_dataset(defaults: dict[str, Any], given: Mapping[str, Any], complete: bool) -> dict[str, Any]:
    """Returns the defaults, in which the declared ones are those of the data set and of the protocol."""
    defaults = merge({}, defaults)
    for path, value in {**dataset_defaults(given), **protocol_defaults(given)}.items():
        if complete and path in NAMED:
            named = _at(given, path)
            value = {name: one for name, one in value.items() if name in named}
        section, key = path.rsplit(".", 1) if "." in path else ("", path)
        _at(defaults, section)[key] = value
    return defaults


def _at(tree: Any, path: str) -> Any:
    """Returns the value at a path, or an empty section."""
    for key in path.split(".") if path else ():
        tree = tree.get(key, {}) if isinstance(tree, Mapping) else {}
    return tree if isinstance(tree, Mapping) else {}


def _nested(path: str, value: Any) -> dict[str, Any]:
    """Returns sections that contain only `value`, at a path."""
    return reduce(lambda inner, key: {key: inner}, reversed(path.split(".")), value)


def _with_training(defaults: dict[str, Any], training: Any) -> dict[str, Any]:
    """Returns the defaults, in which the top-level section `training` replaces values of every training."""
    try:
        TrainingDefaults.model_validate_json(json.dumps(training or {}), strict=True)
    except ValidationError:
        return defaults  # its mistakes are reported once, not for every model
    values = {key: value for key, value in (training or {}).items() if value is not None}
    if not values:
        return defaults
    every: dict[str, Any] = {}
    for path in _trainings(Settings):
        every = merge(every, _nested(".".join(path), values))
    return merge(defaults, every)


def _trainings(section: type[Section], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the paths of all sections that describe a training."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, TrainingSettings):
            yield (*above, name)
        elif isinstance(kind, type) and issubclass(kind, Section):
            yield from _trainings(kind, (*above, name))

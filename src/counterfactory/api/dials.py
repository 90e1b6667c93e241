"""Resolves the dials of a question: the settings of a run, in which given values take the place of those of the method.

A method reads the keys of its own section of `answers`, and those of :data:`COMMON` that belong to its module. A dial
that the method does not read is refused, because it would change nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.descriptions import read_description
from ..core.errors import UserError
from ..core.names import unknown_name
from ..methods.registry import METHODS
from .layout import answers_settings, models_of

__all__ = ["COMMON", "dials_of", "settings_with"]

MEDIATION = ("mediator_weight", "mediator_variance", "mediator_draws")
"""The dials that only the effects `total` and `indirect` have."""

COMMON: dict[str, tuple[str, ...]] = {
    "dscm": (
        "latent_temperature",
        "residual_temperature",
        "effect",
        "residual",
        "stickiness",
        *MEDIATION,
    ),
    "causaldiffae": ("stickiness",),
    "gan": ("stickiness",),
}
"""The keys of `answers` outside of the sections that each module of :mod:`counterfactory.methods` reads."""

NOT_DIALS = ("chunk_size", "chunks", "batch_size", "vgg19_weights", "images", "temperatures")
"""Keys about the order of work, files, the number of questions, or several methods, and not about one answer."""

OWN = {"latent_temperature": "latents", "residual_temperature": "residual"}
"""The dials that `answers.temperatures` has for single models, with their names there."""


def dials_of(method: str) -> dict[str, str]:
    """Returns the dials of a method, each with the section of `answers` that has it; ``""``: none of its sections."""
    from ..config.answers import AnswersSettings
    from ..core.plugins import is_plugin

    entry, fields = METHODS[method], AnswersSettings.model_fields
    sections = {one.section for one in METHODS.values() if one.section}
    module = entry.module or method
    common = (
        [name for name in fields if name not in sections] if is_plugin(module) else COMMON.get(module, ())
    )
    found = dict.fromkeys(common, "")
    if entry.section in fields:
        own: Any = fields[entry.section].annotation
        found |= dict.fromkeys(own.model_fields, entry.section)
    return {name: section for name, section in found.items() if name not in NOT_DIALS}


def settings_with(folder: Path, seed: int, method: str, dials: Mapping[str, Any]) -> Any:
    """Returns the section `answers` with which a method answers: that of the run, with the given dials.

    Arguments:
        folder: The results folder of one data set, or a bundle.
        seed: The training seed.
        method: The method.
        dials: Keys that the method reads, or its whole section, of which keys that are not given stay those of the run.

    Raises:
        UserError: If the method does not read a dial, or its value is not valid.
    """
    from ..config.load import load_section

    values = answers_settings(folder, method)
    known, section = dials_of(method), METHODS[method].section
    for name, value in dials.items():
        if section and name == section:
            if not isinstance(value, Mapping):
                raise UserError(
                    f"{name}: {value!r}; give keys and values, such as {{{next(iter(known))!r}: ...}}"
                )
            values[section] = {**values.get(section, {}), **value}
        elif name not in known:
            raise _unread(method, name, known)
        elif known[name]:
            values[known[name]] = {**values.get(known[name], {}), name: value}
        else:
            values[name] = value
            if name in OWN and values.get("temperatures"):
                values["temperatures"] = _without(values["temperatures"], models_of(method), OWN[name])
    settings = load_section("answers", values)
    if (METHODS[method].module or method) == "dscm":
        _check_effect(folder, seed, method, settings, dials)
    return settings


def _without(temperatures: Mapping[str, Any], models: Sequence[str], name: str) -> dict[str, Any]:
    """Returns the temperatures of single models without one of these models, so that the given value applies."""
    return {model: {**own, name: None} if model in models else own for model, own in temperatures.items()}


def _unread(method: str, name: str, known: Mapping[str, str]) -> UserError:
    """Returns the error that names the dials of a method."""
    if not known:
        return UserError(f"{name}: {method} has no dials; leave it out, or choose another method")
    if any(name in dials_of(other) for other in METHODS):
        return UserError(f"{name}: no dial of {method}; choose from {', '.join(known)}")
    return unknown_name(name, "no dial", known)


def _check_effect(folder: Path, seed: int, method: str, settings: Any, dials: Mapping[str, Any]) -> None:
    """Refuses dials of mediated effects where nothing is mediated."""
    for name in MEDIATION:
        if name in dials and settings.effect == "direct":
            raise UserError(f"{name}: has no role in the direct effect; set effect to total or indirect too")
    if "effect" in dials and settings.effect != "direct":
        [model, *_] = models_of(method)
        path = folder / "models" / model / f"seed{seed}" / "model.json"
        if read_description(path).get("network", {}).get("prior") == "exogenous":
            raise UserError(
                f"effect: {settings.effect} requires a conditional prior; {model} has none, use direct"
            )

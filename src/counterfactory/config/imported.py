"""Defines the keys of models whose weights can be imported in place of a training, and lists what is imported."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..core.names import shortened
from ..models.registry import MODELS, section_of
from .sections import Section

if TYPE_CHECKING:
    from .settings import Settings

__all__ = ["Import", "Importable", "ImportOptions", "import_errors", "imports_of"]

ImportOptions = dict[str, bool | int | float | str | list[str]]
"""Options of an import, by name."""


class Importable(Section):
    """A model whose weights can be imported."""

    weights: Annotated[str, Field(min_length=1, max_length=1_000)] | None = Field(
        None,
        description="File of published or own weights, imported in place of the training; null: the model is trained.",
    )
    options: ImportOptions = Field(
        {},
        description="Options of that import: what the file cannot say (see counterfactory import --help).",
    )


@dataclass(frozen=True)
class Import:
    """One imported model.

    Arguments:
        path: The file, with `~` expanded.
        options: The options.
        key: The key of the configuration that names the file.
    """

    path: str
    options: dict[str, Any]
    key: str


def imports_of(settings: "Settings") -> dict[str, Import]:
    """Returns the imported models by name, as in the command `import`: `hvae`, `judges/thickness`.

    Arguments:
        settings: The whole configuration.
    """
    found: dict[str, Import] = {}
    for name, path, section in _sections(settings):
        if MODELS[name].per_variable:
            for variable, file in section.weights.items():
                options = dict(section.options.get(variable, {}))
                found[f"{name}/{variable}"] = Import(_expanded(file), options, f"{path}.weights.{variable}")
        elif section.weights is not None:
            found[name] = Import(_expanded(section.weights), dict(section.options), f"{path}.weights")
    return found


def _sections(settings: "Settings") -> Iterator[tuple[str, str, Any]]:
    """Yields name, key and section of each model that the configuration can import."""
    for name, model in MODELS.items():
        # The section `judges` also trains the predictors, which are never imported by the configuration.
        if model.imports and name != "predictors":
            yield name, section_of(name), reduce(getattr, section_of(name).split("."), settings)


def _expanded(file: str) -> str:
    return os.path.expanduser(file)  # unchanged if there is no such user


def import_errors(settings: "Settings", variables: list[str]) -> Iterator[str]:
    """Yields one line for each import that cannot work: a missing file or variable, or options without a file.

    Arguments:
        settings: The whole configuration.
        variables: The variables of the data set.
    """
    for name, one in imports_of(settings).items():
        variable = name.partition("/")[2]
        if variable and variable not in variables:
            known = ", ".join(variables)
            yield f"{one.key}: {settings.dataset} has no variable {shortened(variable)}; choose from {known}"
        elif not Path(one.path).is_file():
            yield f"{one.key}: {shortened(one.path)} is no file; put the weights there, or set null to train the model"
    for name, path, section in _sections(settings):
        if MODELS[name].per_variable:
            for variable in section.options:
                if variable not in section.weights:
                    yield (
                        f"{path}.options.{shortened(variable)} is set, but {path}.weights names no file for it; name "
                        "the file, or remove the options"
                    )
        elif section.options and section.weights is None:
            yield f"{path}.options are set, but {path}.weights is null; name the file, or remove the options"

"""Defines the keys of models whose weights can be imported in place of a training, and lists what is imported."""

from collections.abc import Iterator
from dataclasses import dataclass
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
    for name, model in MODELS.items():
        # The section `judges` also trains the predictors, which are never imported by the configuration.
        if not model.imports or name == "predictors":
            continue
        section: Any = settings
        for key in section_of(name).split("."):
            section = getattr(section, key)
        path = section_of(name)
        if model.per_variable:
            for variable, file in section.weights.items():
                options = dict(section.options.get(variable, {}))
                found[f"{name}/{variable}"] = Import(_expanded(file), options, f"{path}.weights.{variable}")
        elif section.weights is not None:
            found[name] = Import(_expanded(section.weights), dict(section.options), f"{path}.weights")
    return found


def _expanded(file: str) -> str:
    return str(Path(file).expanduser())


def import_errors(settings: "Settings", variables: list[str]) -> Iterator[str]:
    """Yields one line for each import that cannot work: a missing file, or a variable that does not exist.

    Arguments:
        settings: The whole configuration.
        variables: The variables of the data set.
    """
    for name, one in imports_of(settings).items():
        variable = name.partition("/")[2]
        if variable and variable not in variables:
            yield f"{one.key}: {settings.dataset} has no variable {variable}; choose from {', '.join(variables)}"
        elif not Path(one.path).is_file():
            yield f"{one.key}: {shortened(one.path)} is no file; put the weights there, or set null to train the model"
    for section in [*(settings.models.model_dump() | {"oracle": settings.oracle.model_dump()}).items()]:
        key, values = section
        if values.get("options") and values.get("weights") is None:
            path = "oracle" if key == "oracle" else f"models.{key}"
            yield f"{path}.options are set, but {path}.weights is null; name the file, or remove the options"

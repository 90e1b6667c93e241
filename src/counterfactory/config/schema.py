"""Generates the JSON schema of `config.yaml`, by which editors complete and check it."""

from typing import Any

from ..data.registry import DATASETS
from .settings import Settings

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """Returns the JSON schema of a configuration file.

    A file is merged into the defaults, so that no key is required. Only a section that the user adds under a name of
    its own, such as an attribute, must be complete.
    """
    whole = Settings.model_json_schema()
    sections, entries = whole["$defs"], DATASETS.values()
    named: dict[str, tuple[dict[str, Any], list[str]]] = {
        "AttributeSettings": (
            whole["properties"]["attributes"],
            [name for entry in entries for name in entry.attributes],
        ),
        "QuerySettings": (
            sections["QueriesSettings"]["properties"]["by_name"],
            [name for entry in entries for name in entry.queries],
        ),
    }
    for name, section in list(sections.items()):
        if name in named:
            sections[f"Partial{name}"] = {key: value for key, value in section.items() if key != "required"}
            place, known = named[name]
            # Properties and patternProperties would both apply to the name of a known section.
            ((pattern, complete),) = place.pop("patternProperties").items()
            place["propertyNames"] = {"pattern": pattern, "maxLength": 60}
            place["additionalProperties"] = complete
            partial = {"anyOf": [{"$ref": f"#/$defs/Partial{name}"}, {"type": "null"}]}
            place["properties"] = dict.fromkeys(known, partial)
        elif not section.pop("required", None):
            # The keys of such a section have their own defaults; those of a training differ from model to model.
            _drop_default(whole, sections, name)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | whole


def _drop_default(whole: dict[str, Any], sections: dict[str, Any], name: str) -> None:
    """Removes the default of every property that is a section of the class `name`."""
    for section in (whole, *sections.values()):
        for described in section.get("properties", {}).values():
            if described.get("$ref") == f"#/$defs/{name}":
                described.pop("default", None)

"""Writes the configuration as documentation: as commented YAML, and as a reference page in reStructuredText."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from ..data.registry import DATASETS, DEFAULT_DATASET
from .dataset_defaults import declared_paths
from .schema import schema
from .sections import Section
from .settings import Settings

__all__ = ["commented_yaml", "reference"]

WIDTH = 110
WORDS = ("null", "true", "false", "on", "off", "yes", "no", "y", "n")  # that have a meaning in YAML
HEAD = """\
# yaml-language-server: $schema=workflow/schemas/config.schema.json
#
# Every key of the configuration, with its value. A file given to snakemake by --configfile is merged into config.yaml,
# key by key, and needs only the keys that differ.
"""
PAGE = """\
Configuration
=============

Every key of ``config.yaml``. A key that is left out has the default. Files given to ``snakemake`` by ``--configfile``
are merged into ``config.yaml`` in order, key by key; values given by ``--config`` come last. Lists are replaced, not
joined.

The keys of every training (``steps`` to ``threads``) can also be set for all models at once, in the section
``training``. A key of a training has the value of the model's own section, or else that of the section ``training``,
or else the model's default.

The default of some keys, such as interventions and attributes, is *declared by the data set*. The value shown is that
of {title}; ``counterfactory settings --config FILE`` prints the values of the data set that a file names.
"""


def commented_yaml(settings: Settings | None = None, key: str = "") -> str:
    """Returns `settings` (by default, the defaults) as YAML, each key below its description.

    Arguments:
        settings: The whole configuration.
        key: A section or key, such as `models.hvae`: the only one that is returned, in the sections around it, so that
            the text is a configuration too.
    """
    lines = _lines(settings or Settings(), "", "", tuple(key.split(".")) if key else ())
    return (f"{HEAD}\n" if not key else "") + "\n".join(lines).lstrip() + "\n"


def reference() -> str:
    """Returns the reference page in reStructuredText: type, range, default and meaning of every key."""
    whole = schema()
    return PAGE.format(title=DATASETS[DEFAULT_DATASET].title) + "".join(
        _section_page(Settings(), whole, whole["$defs"], ())
    )


def _lines(section: BaseModel, indent: str, above: str, only: tuple[str, ...] = ()) -> Iterator[str]:
    """Yields the lines of a section, or of the key at the path `only` below it."""
    for name, field in type(section).model_fields.items():
        if only and name != only[0]:
            continue
        value, below = getattr(section, name), only[1:]
        declared = " Default: declared by the data set." if f"{above}{name}" in declared_paths() else ""
        if not indent:
            yield ""
        comment = f"{indent}# "
        yield from textwrap.wrap(
            f"{field.description}{declared}",
            WIDTH,
            initial_indent=comment,
            subsequent_indent=comment,
            break_long_words=False,
        )
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ", f"{above}{name}.", below)
        elif isinstance(value, Mapping) and any(isinstance(one, BaseModel) for one in value.values()):
            yield f"{indent}{name}:"
            yield from (
                f"{indent}  {key}: {_yaml(one)}"
                for key, one in value.items()
                if not below or str(key) == below[0]
            )
        else:
            yield f"{indent}{name}: {_yaml(value)}"


def _yaml(value: Any) -> str:
    """Returns a value in YAML: JSON, without the quotes that YAML does not need."""
    if isinstance(value, BaseModel):
        return f"{{{', '.join(f'{key}: {_yaml(one)}' for key, one in value)}}}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_yaml(key)}: {_yaml(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z]\w*", value) and value.lower() not in WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    # YAML 1.1 reads an exponent without a dot as text.
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


def _section_page(
    section: Section, described: Mapping[str, Any], defined: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[str]:
    """Yields the heading and table of a section, then those of the sections in it."""
    name = ".".join(path)
    title, label = (f"``{name}``", f"config-{name}") if path else ("Top level", "config-top-level")
    label = re.sub(r"[._]+", "-", label)
    rule = {0: "-", 1: "-", 2: "~"}.get(len(path), "^") * len(title)
    yield f"\n.. _{label}:\n\n{title}\n{rule}\n\n{_rest(described.get('description', ''))}\n"
    inner: list[tuple[str, Section]] = []
    rows: list[tuple[str, str, str, str]] = []
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, Section):
            inner.append((key, value))
        else:
            kind = _type(described["properties"][key], defined)
            declared = "declared by the data set; " if ".".join((*path, key)) in declared_paths() else ""
            rows.append((f"``{key}``", kind, f"{declared}``{_yaml(value)}``", _rest(field.description or "")))
    if rows:
        yield "\n.. list-table::\n   :header-rows: 1\n   :widths: 16 22 18 44\n\n"
        for row in (("Key", "Type", "Default", "Meaning"), *rows):
            yield "   * - " + "\n     - ".join(row) + "\n"
    for key, value in inner:
        yield from _section_page(value, defined[type(value).__name__], defined, (*path, key))


def _rest(text: str) -> str:
    """Returns text with the characters escaped that have a meaning in reStructuredText; backticks mark code."""
    return re.sub(r"([*|])", r"\\\1", " ".join(text.split()))


def _type(described: Mapping[str, Any], defined: Mapping[str, Any]) -> str:
    """Returns the type and range of a key in words, from its JSON schema."""
    if "$ref" in described:
        return _type(defined[described["$ref"].split("/")[-1]], defined)
    if "anyOf" in described:
        return " or ".join(dict.fromkeys(_type(one, defined) for one in described["anyOf"]))
    if "enum" in described or "const" in described:
        return "one of " + ", ".join(f"``{one}``" for one in described.get("enum") or [described["const"]])
    kind = described.get("type")
    if kind == "array" and "prefixItems" in described:
        return "[" + ", ".join(_type(one, defined) for one in described["prefixItems"]) + "]"
    if kind == "array":
        unique = " without duplicates" if described.get("uniqueItems") else ""
        return f"list{unique}: {_type(described['items'], defined)}"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
    return words.get(str(kind), "null" if kind == "null" else "section") + _range(described)


def _range(described: Mapping[str, Any]) -> str:
    """Returns the range of a number in words; nothing where it has none."""
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    parts = [
        f"{sign} {described[key]:,}" for key, sign in bounds.items() if described.get(key, 10**9) != 10**9
    ]
    if "multipleOf" in described:
        parts.append(f"a multiple of {described['multipleOf']}")
    if described.get("not") == {"multipleOf": 2}:
        parts.append("odd")
    return f" {', '.join(parts)}" if parts else ""

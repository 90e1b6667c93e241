"""Writes `config.yaml`: every key of the typed configuration with its default, explained in place."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from .settings import Settings

__all__ = ["commented_yaml"]

WIDTH = 110
WORDS = ("null", "true", "false", "on", "off", "yes", "no", "y", "n")  # that mean something to YAML
HEAD = """\
# yaml-language-server: $schema=workflow/schemas/config.schema.json
#
# The one file to edit. It runs on a laptop as it is: `make run`, or `snakemake --cores all`.
# What is left out keeps the value shown here. Files given with --configfile are laid over this one, key by
# key, such as workflow/presets/smoke.yaml (a toy, in about three minutes) and paper.yaml (the published sizes).
"""


def commented_yaml(settings: Settings | None = None) -> str:
    """Returns `settings` (by default, the defaults) as YAML, each key under its description."""
    return HEAD + "\n".join(_lines(settings or Settings(), "")) + "\n"


def _lines(section: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if not indent:
            yield ""
        comment = f"{indent}# "
        yield from textwrap.wrap(
            f"{field.description}",
            WIDTH,
            initial_indent=comment,
            subsequent_indent=comment,
            break_long_words=False,
        )
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ")
        elif isinstance(value, Mapping) and any(isinstance(one, BaseModel) for one in value.values()):
            yield f"{indent}{name}:"
            yield from (f"{indent}  {key}: {_scalar(one)}" for key, one in value.items())
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    """Writes a value as YAML reads it back; JSON is YAML but for quotes that nobody needs."""
    if isinstance(value, BaseModel):
        return f"{{{', '.join(f'{key}: {_scalar(one)}' for key, one in value)}}}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_scalar(key)}: {_scalar(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z]\w*", value) and value.lower() not in WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    # YAML 1.1 takes a power of ten without a dot for text.
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text

"""Reads configuration files: YAML, checked for mistakes that a YAML parser accepts silently."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import UserError
from .values import float_of

__all__ = ["merge", "read_config", "read_file"]

MOST_VALUES = 100_000
MOST_SHOWN = 40


class _Loader(yaml.SafeLoader):
    """A YAML loader that refuses a key that stands twice in one section, and anchors that contain themselves."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._open: list[str | None] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # An alias inside the node that its anchor names: the anchor is known, its node is not complete.
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            if event.anchor in self._open:
                raise UserError(
                    f"line {event.start_mark.line + 1}: *{event.anchor} is used inside the section that it names; "
                    "remove it"
                )
            return super().compose_node(parent, index)
        anchor = self.peek_event().anchor
        self._open.append(anchor)
        try:
            return super().compose_node(parent, index)
        finally:
            self._open.pop()

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"line {line}: a key must be a name, not a list or section")
            if key.tag == "tag:yaml.org,2002:null" and key.value:  # the bare word null is the name of a suite
                key.tag = "tag:yaml.org,2002:str"
            if key.value in lines and key.value != "<<":
                raise UserError(
                    f"{key.value!r} stands on line {lines[key.value]} and again on line {line}; "
                    "join the two or remove one"
                )
            lines[key.value] = line
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError:  # a date such as 2020-13-45, or an integer of thousands of digits
            value = f"{str(node.value)[:MOST_SHOWN]}..." if len(node.value) > MOST_SHOWN else node.value
            raise UserError(
                f"line {node.start_mark.line + 1}: {value} is no possible number or date; correct it, or put it in "
                "quotes if it is text"
            ) from None


def _sentence(error: yaml.YAMLError) -> str:
    """Returns one sentence with the place of a mistake in the syntax, counted from 1."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, started = error.problem_mark, error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}"
        begun = f" ({error.context}, which begins on line {started.line + 1})" if started else ""
        return f"not valid YAML at {place}: {error.problem}{begun}; correct it"
    if isinstance(error, yaml.reader.ReaderError):
        character = chr(error.character) if isinstance(error.character, int) else error.character
        return f"not valid YAML: character {error.position + 1} ({character!r}) is not allowed; remove it"
    return f"not valid YAML ({' '.join(str(error).split())}); correct it"


def _construct_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    """YAML 1.1 reads 1e-3 as text, YAML 1.2 as the number that it is meant to be."""
    number = float_of(node.value) if node.style is None else None
    return node.value if number is None else number


_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)


def read_config(paths: Iterable[Path | str]) -> dict[str, Any]:
    """Reads configuration files and merges them in order: later files override earlier ones, key by key.

    Raises:
        UserError: If a file is missing, cannot be read, or is not a YAML mapping without duplicate keys.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merged = merge(merged, read_file(path))
    return merged


def read_file(path: Path | str) -> dict[str, Any]:
    """Reads one configuration file.

    Raises:
        UserError: As :func:`read_config`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name an existing configuration file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        content = yaml.load(text, Loader=_Loader)  # a subclass of SafeLoader
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: {_sentence(error)}") from None
    except RecursionError:
        raise UserError(f"{path}: sections are nested too deeply") from None
    if not isinstance(content or {}, dict):
        raise UserError(f"{path}: must contain keys and values, such as 'seeds: [0]'")
    if _size(content, {}) > MOST_VALUES:
        raise UserError(
            f"{path}: contains more than {MOST_VALUES:,} values, anchors expanded; remove anchors"
        )
    return content or {}


def _size(value: Any, known: dict[int, int]) -> int:
    """Returns the number of values in a tree whose branches may be shared."""
    if id(value) not in known:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        known[id(value)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(value)]


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with the values of `over`, section by section. Lists are replaced, not joined.

    Sections that are one object in `base` or `over`, because a YAML file uses an alias, are separate in the result.

    Raises:
        RecursionError: If a section contains itself.
    """
    merged = {key: _copied(value) for key, value in base.items()}
    # YAML reads the bare word null, which is the name of a suite, as None. Snakemake merges files without knowing
    # this: the section then stands twice. The quoted key is that of the later file, since config.yaml has the other.
    for key, value in sorted(over.items(), key=lambda item: item[0] is not None):
        key = "null" if key is None else key
        below = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = _copied(value)
    return merged


def _copied(value: Any) -> Any:
    """Returns a copy of a value; each section and list of it is an object of its own."""
    if isinstance(value, Mapping):
        return merge({}, value)
    return [_copied(one) for one in value] if isinstance(value, list) else value

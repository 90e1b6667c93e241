"""Writes the proposed configuration of a folder of images as YAML, with a comment on each variable."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from .folder_rows import one_line

__all__ = ["Proposal", "to_yaml"]

PLAIN_TEXT = re.compile(r"[A-Za-z_/.][A-Za-z0-9_/.-]*")
"""A text that is written without quotes, unless YAML reads it as another type."""


@dataclass
class Proposal:
    """The proposed configuration and the findings about a folder.

    Arguments:
        section: The proposed section `data`.
        odd: One line for each irregularity.
        comments: What was found about each variable, by its name.
        summary: Lines that describe the folder.
        left_out: The columns that the proposal does not use, with the reason.
        individuals: Of these, the columns that may name the individual.
        held_out: The share of individuals that the identity network must hold out; None: its default is enough.
    """

    section: dict[str, Any]
    odd: list[str] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)
    summary: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    individuals: list[str] = field(default_factory=list)
    held_out: float | None = None


def to_yaml(proposal: Proposal) -> str:
    """Returns a proposal as a configuration file with comments, which reads back as the same section `data`."""
    lines = ["# Proposed by looking at the images and the table. Correct it where it is wrong."]
    lines += [f"# {one_line(line)}" for line in proposal.summary]
    lines += [f"# odd: {one_line(line)}" for line in proposal.odd]
    lines += [
        f"# not used: column {one_line(repr(name))} {one_line(reason)}"
        for name, reason in proposal.left_out.items()
    ]
    lines += ["", "dataset: folder", "data:"]
    for key, value in proposal.section.items():
        if key != "variables":
            lines.append(f"  {_pair(key, value)}")
            continue
        lines.append(
            "  variables:  # parents of the image; move a column to `labels` if it must not cause the image"
        )
        for name, own in value.items():
            lines.append(f"    {_pair(name, own)}  # {one_line(proposal.comments[name])}")
        lines += ["  labels: {}", *_edges(list(value))]
    lines += [f"  # {_pair('identity_column', name)}" for name in proposal.individuals]
    if proposal.held_out is not None:
        lines += ["", _pair("identity", {"held_out": proposal.held_out})]
    return "\n".join(lines) + "\n"


def _edges(names: list[str]) -> list[str]:
    example = f"[{names[0]}, {names[1]}]" if len(names) > 1 else "[cause, effect]"
    return [
        "  # Causal edges between variables: which one changes when another is set? None are assumed. To add one,",
        f"  # write a pair [cause, effect], such as {one_line(example)}.",
        "  edges: []",
    ]


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that quotes every text but plain words and paths."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = PLAIN_TEXT.fullmatch(text) and not text.lower().startswith(("nan", "inf"))
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def _pair(key: str, value: Any) -> str:
    """Returns one key with its value as a line of YAML."""
    text = yaml.dump(
        {key: value},
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=math.inf,
    )
    return text.strip()[1:-1]

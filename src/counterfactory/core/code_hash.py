r"""The hash of the code that a step runs: of every definition that its entry points can reach.

A workflow gives each step :func:`code_hash` of its entry points as a parameter and reruns the step when it changes.
The unit is one definition at the top of a module: a function, a class with all its methods, or a variable. An edge
goes from a definition to each global name, imported name or module attribute that it uses. The hash is

.. math:: \mathrm{SHA256}\big(\text{syntax trees and edges of all definitions reachable from the entries}\big)

Sources are parsed and nothing is imported. Names of modules are left out: a definition may move to another module.

Hashed as well: module-level statements with effects, of every module that is loaded; and data files (`RESOURCES`)
beside a module that a reached definition names, or all of them where it uses `__file__` and names none.

Not hashed: comments, docstrings, layout, `__all__`, protocols, annotations (except of fields), the text of exceptions,
warnings, log lines, progress labels and prints to stderr, and descriptions of pydantic fields. The values shown in
such text are hashed, but not those in the message of an exception.

A whole module is hashed where names cannot be distinguished: at star imports, `globals()`, `eval`, `exec`, and where a
module is used as a value. Not followed: modules imported by a computed name, and registration by decorators. The
caller lists these as entries.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from . import code_modules
from .code_modules import Node, meaning, meaning_of_import, parse
from .code_syntax import Reader

__all__ = ["code_hash", "imported_modules"]

RESOURCES = (".cpp", ".css", ".html", ".j2", ".js", ".json", ".yaml")
"""Suffixes of data files beside modules that are read as a part of the code."""

ROUNDS = 3
"""The number of edges up to which definitions of equal text are distinguished."""


@dataclass(frozen=True)
class _Definition:
    """A node of the graph.

    Arguments:
        own: The hash of its text.
        edges: The names that it uses, each with a node, or with a text for what lies outside the package.
        loads: The modules that its imports load.
    """

    own: str
    edges: frozenset[tuple[str, str | Node]]
    loads: frozenset[str] = frozenset()


@cache
def code_hash(*entries: str) -> str:
    """Returns the SHA-256, in 16 hexadecimal digits, of the code that `entries` run.

    Arguments:
        entries: `module:name` for one definition, such as `training.gan:train_gan`, or `module` for all public
            definitions of a module, such as `metrics.measured`. Modules are named relative to this package.

    Raises:
        ModuleNotFoundError: If this package has no such module.
        AttributeError: If the module has no such definition.
    """
    reached = {_hash_of(node, ROUNDS) for node in _reached(entries)}
    named = {f"{node[1]} {_hash_of(node, ROUNDS)}" for entry in entries for node in _entry(entry)}
    return _sha256([*sorted(reached), "entries", *sorted(named)])[:16]


def imported_modules(*entries: str) -> set[str]:
    """Returns the names of the modules whose code `entries` run, that is, of which :func:`code_hash` hashes a part.

    Arguments:
        entries: As for :func:`code_hash`.

    Raises:
        ModuleNotFoundError: If this package has no such module.
        AttributeError: If the module has no such definition.
    """
    return {module for module, _ in _reached(entries)}


@cache
def _reached(entries: tuple[str, ...]) -> frozenset[Node]:
    """Returns all nodes that the entries reach."""
    waiting = [node for entry in entries for node in _entry(entry)]
    reached: set[Node] = set()
    loaded = set(code_modules.SHOWN | code_modules.PLANNED)
    while waiting:
        node = waiting.pop()
        if node in reached:
            continue
        reached.add(node)
        definition = _definition(node)
        waiting.extend(target for _, target in definition.edges if isinstance(target, tuple))
        loading = [node[0], *definition.loads]
        while loading:
            name = loading.pop()
            if name not in loaded:
                loaded.add(name)
                module = parse(name)
                loading.extend([*module.loads, name.rpartition(".")[0]])
                if module.effects:
                    waiting.append((name, ""))
    return frozenset(reached)


@cache
def _entry(entry: str) -> list[Node]:
    """Returns the nodes of one entry."""
    name, _, definition = entry.partition(":")
    module = parse(name)
    if definition:
        found = [target for target in meaning(name, definition) if isinstance(target, tuple)]
        if not found:
            raise AttributeError(f"{code_modules.PACKAGE}.{name} has no definition {definition}")
        return found
    public = [bound for bound in module.definitions if not bound.startswith("_")]
    if module.is_package:
        # What a package imports from its own modules is its interface.
        public += [
            imported.bound
            for imported in (one for ones in module.imports.values() for one in ones)
            if f"{imported.module}.".startswith(f"{name}.") and not imported.bound.startswith("_")
        ]
    found = [target for bound in public for target in meaning(name, bound) if isinstance(target, tuple)]
    return [*found, (name, "*" if module.stars else "")]


@cache
def _hash_of(node: Node, rounds: int) -> str:
    """Returns the hash of a definition and of those up to `rounds` edges away, in any module."""
    definition = _definition(node)
    if not rounds:
        return definition.own
    edges = (
        f"{used} {target if isinstance(target, str) else _hash_of(target, rounds - 1)}"
        for used, target in definition.edges
    )
    return _sha256([definition.own, *sorted(edges)])


@cache
def _definition(node: Node) -> _Definition:
    """Reads a node's statements."""
    name, definition = node
    module = parse(name)
    edges: set[tuple[str, str | Node]] = set()
    if definition == "*":
        for used in {*module.definitions, *module.imports}:
            edges |= {(used, target) for target in meaning(name, used)}
        edges |= {("*", target) for target in [*module.stars, (name, "")]}
        return _Definition("*", frozenset(edges))
    reader = Reader(module)
    for statement in module.definitions[definition] if definition else module.effects:
        reader.read(statement)
    uses = reader.uses
    found = [(used, meaning(name, used)) for used in uses]
    found += [(used, meaning_of_import(one, used.partition(".")[2])) for used, one in reader.local]
    for used, targets in found:
        # Of what lies outside the package, the attributes are in the text already.
        edges |= {(used.partition(".")[0] if isinstance(one, str) else used, one) for one in targets}
    if module.stars or "*" in uses:
        edges.add(("*", (name, "*")))
    for inner in reader.modules:
        full = inner.removeprefix(f"{code_modules.PACKAGE}.")
        if full != inner and code_modules.find(full):
            edges.add((inner, (full, "*")))
    located = [name] if {"__name__", "__package__", "__spec__"} & uses else []
    own = _sha256([*reader.text, *located, *_resources(name, reader)])
    return _Definition(
        own, frozenset(edges), frozenset(one for imported in reader.loaded for one in imported.loads)
    )


def _resources(module: str, reader: Reader) -> Iterator[str]:
    """Yields the names and hashes of the data files beside a module that a definition names."""
    folder = parse(module).path.parent
    named = (folder / text for text in sorted(reader.strings) if text.endswith(RESOURCES))
    paths = [path for path in named if path.is_file()]
    if "__file__" in reader.uses and not paths and folder != code_modules.ROOT:
        paths = sorted(path for path in folder.rglob("*") if path.name.endswith(RESOURCES))
    for path in paths:
        yield f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _sha256(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()

"""Finds the data sets, methods and metrics of installed packages by their entry points.

A package announces them in its `pyproject.toml`, in the groups `counterfactory.datasets`, `counterfactory.methods` and
`counterfactory.metrics`:

.. code-block:: toml

    [project.entry-points."counterfactory.methods"]
    nearest = "my_package.nearest:METHOD"

The object is the entry of a registry, such as a :class:`counterfactory.methods.registry.Method`. The module that holds
it also holds the functions, unless the entry's `module` names another one by its full name. It is imported whenever a
configuration is read, so it should import heavy packages inside of its functions.

What cannot be used is not raised here, since these modules are imported before anything can report it: a configuration
refuses the lines of :func:`clashes`, and warns of those of :func:`broken`.
"""

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module, util
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from . import code_modules

__all__ = ["broken", "clashes", "code_of_plugin", "found", "imported", "is_plugin", "without_plugins"]

NAME = re.compile(r"[a-z][a-z0-9_]*")
SUFFIXES = (".py", ".cpp", ".css", ".html", ".j2", ".json", ".yaml")
"""The endings of the files that belong to the code of a plugin."""

_roots: set[str] = set()
_clashes: list[str] = []
_broken: list[str] = []


def clashes() -> tuple[str, ...]:
    """Returns one line for each name that two packages, or a package and this one, claim."""
    return tuple(_clashes)


def broken() -> tuple[str, ...]:
    """Returns one line for each entry point that cannot be used."""
    return tuple(_broken)


def found(group: str, own: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Returns the entries of installed packages, in the order of their names.

    Arguments:
        group: The group of entry points, such as `counterfactory.methods`.
        own: The entries of this package.
        kind: The class of an entry, a dataclass with a field `module`.
    """
    entries: dict[str, Any] = {}
    for point in sorted(_points(group), key=lambda point: (point.name, point.value)):
        where = f"{group}: {point.name} ({_package(point)})"
        if point.name in own or point.name in entries:
            other = "counterfactory" if point.name in own else "another package"
            _clashes.append(f"{where}: {other} has this name too; uninstall one, or rename it")
            continue
        try:
            entry: Any = point.load()
        except Exception as error:
            reason = " ".join(str(error).split())[:120]
            _broken.append(f"{where}: {type(error).__name__}: {reason}; it is not available")
            continue
        problem = _problem(point, entry, kind)
        if problem:
            _broken.append(f"{where}: {problem}; it is not available")
            continue
        entries[point.name] = replace(entry, module=entry.module or point.module)
        _roots.add(entries[point.name].module.partition(".")[0])
    return entries


def is_plugin(module: str) -> bool:
    """Returns whether a module of a registry belongs to an installed package, not to this one."""
    return module.partition(".")[0] in _roots


def imported(module: str) -> ModuleType:
    """Imports a module of a registry: of this package, relative to it, or of a plugin."""
    return import_module(module if is_plugin(module) else f"{code_modules.PACKAGE}.{module}")


def without_plugins(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Returns entries of the code hash that lie in this package: those of plugins become what the plugins import of it.

    Arguments:
        entries: `module` or `module:name`, as for :func:`counterfactory.core.code_hash.code_hash`.
    """
    own = [entry for entry in entries if not is_plugin(entry)]
    roots = sorted({entry.partition(":")[0].partition(".")[0] for entry in entries if is_plugin(entry)})
    return (*own, *dict.fromkeys(used for root in roots for used in _imports_of(root)))


def code_of_plugin(entries: tuple[str, ...]) -> str:
    """Returns the hash of the files of all plugins in `entries`, the whole package of each; empty if there are none."""
    roots = sorted({entry.partition(":")[0].partition(".")[0] for entry in entries if is_plugin(entry)})
    digest = hashlib.sha256()
    for root in roots:
        for name, path in _files(root):
            digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16] if roots else ""


@cache
def _all_points() -> Any:
    return entry_points()


def _points(group: str) -> Iterator[EntryPoint]:
    # A package that is found twice on the path counts once.
    yield from {(point.name, point.value): point for point in _all_points().select(group=group)}.values()


def _package(point: EntryPoint) -> str:
    distribution = getattr(point, "dist", None)
    return f"{distribution.name}, {point.value}" if distribution is not None else point.value


def _problem(point: EntryPoint, entry: Any, kind: type) -> str:
    """Returns why an entry cannot be used, or nothing."""
    if not NAME.fullmatch(point.name):
        return "a name must start with a letter and have small letters, digits and _ only"
    if not isinstance(entry, kind):
        return f"is a {type(entry).__name__}, not a {kind.__name__}"
    root = str(getattr(entry, "module", "") or point.module).partition(".")[0]
    if code_modules.find(root):
        return f"its package is called {root}, as a part of counterfactory is"
    return ""


@cache
def _files(root: str) -> tuple[tuple[str, Path], ...]:
    """Returns the names and paths of the code files of a package or module."""
    spec = util.find_spec(root)
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        return ((root, Path(spec.origin)),) if spec and spec.origin else ()
    paths = sorted(path for place in places for path in Path(place).rglob("*") if path.suffix in SUFFIXES)
    return tuple((path.name, path) for path in paths)


@cache
def _imports_of(root: str) -> tuple[str, ...]:
    """Returns what the files of a plugin import of this package, as entries of the code hash."""
    used: dict[str, None] = {}
    start = f"{code_modules.PACKAGE}."
    for _, path in _files(root):
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith(start):
                module = str(node.module).removeprefix(start)
                for alias in node.names:
                    inner = code_modules.find(f"{module}.{alias.name}")
                    used[f"{module}.{alias.name}" if inner else f"{module}:{alias.name}"] = None
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.startswith(start):
                        used[alias.name.removeprefix(start)] = None
    return tuple(one for one in used if one.partition(":")[0] not in code_modules.PLANNED)

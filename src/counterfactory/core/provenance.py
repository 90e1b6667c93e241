r"""What made a result: the code it ran, the revision it came from, the packages around it.

A workflow does not see that a module was edited. So each step is given :func:`code_hash` of the modules it runs,

.. math:: \mathrm{SHA256}\big(\text{sources of the modules and of all that they import from this package}\big)

and is run again when that changes. Imports are read from the syntax tree and nothing is imported, so that
planning a run of hundreds of jobs costs milliseconds. Comments, docstrings and layout are left out, and so are
the modules that only decide what is shown meanwhile, or what is planned: neither a better sentence nor one more
method retrains a network.
"""

import ast
import hashlib
import platform
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "code_hash", "describe", "imported_modules", "revision", "versions"]

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT.name
SHOWN = frozenset({"core.errors", "core.progress"})
"""Modules that decide what is shown while a step runs, and nothing of what it makes."""

PLANNED = frozenset({"data.registry", "methods.registry", "metrics.registry", "models.registry", "questions.registry"})
"""Tables of names and needs. What they say of a step reaches it through its inputs and params; so they count only in
the code of steps that list them, and a line added there redoes nothing."""

RESOURCES = frozenset({".cpp", ".css", ".html", ".j2", ".json", ".yaml"})
"""Suffixes of files beside modules that are read as a part of the code."""

PACKAGES = (
    "torch",
    "numpy",
    "pandas",
    "scipy",
    "scikit-image",
    "numba",
    "pyro-ppl",
    "lpips",
    "pytorch-fid",
    "snakemake",
)
"""The packages whose versions may change a result or the way it was made."""


@cache
def code_hash(*modules: str) -> str:
    """Returns the SHA-256, in 16 hexadecimal digits, of the code that `modules` run.

    Arguments:
        modules: Names inside this package, such as `metrics.measured`.

    Raises:
        ModuleNotFoundError: If this package has no such module.
    """
    digest = hashlib.sha256()
    reached = imported_modules(*modules)
    for name in sorted(reached - SHOWN - (PLANNED - set(modules))):
        digest.update(f"{name}\n{_normalised(name)}\n".encode())
    for folder in sorted({_path(name).parent for name in reached} - {ROOT}):
        for path in sorted(path for path in folder.iterdir() if path.suffix in RESOURCES):
            digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def imported_modules(*modules: str) -> set[str]:
    """Returns the names of `modules` and of all modules of this package that they import, directly or not.

    In a package's `__init__` only what is imported at its top counts: what its functions import is chosen by
    name at run time (a method, a metric), and who plans the step knows that name and lists it.

    Raises:
        ModuleNotFoundError: If this package has no such module.
    """
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        waiting.extend(_imports(name))
    return reached


def revision() -> str:
    """Returns the git revision of this checkout, with `-dirty` if files differ from it, or `unknown`."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Returns the installed versions of `packages` and of Python; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, Any]:
    """Returns what a result should say of its origin: revision, package versions, machine."""
    return {"revision": revision(), "versions": versions(), "machine": platform.platform(terse=True)}


@cache
def _path(name: str) -> Path:
    stem = ROOT.joinpath(*name.split(".")) if name else ROOT
    for path in (stem / "__init__.py", stem.with_suffix(".py")):
        if path.is_file():
            return path
    raise ModuleNotFoundError(f"{PACKAGE} has no module {name}")


def _exists(name: str) -> bool:
    try:
        return bool(_path(name))
    except ModuleNotFoundError:
        return False


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(_path(name).read_text(encoding="utf-8"))


@cache
def _normalised(name: str) -> str:
    """Returns the source of a module without comments, docstrings and layout."""
    tree = _tree(name)
    for node in (tree, *_statements(tree, lazy=True, typing=True)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@cache
def _imports(name: str) -> frozenset[str]:
    """Returns the modules of this package that `name` imports, and the packages that it lies in."""
    package = _path(name).name == "__init__.py"
    found = {".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)}
    for node in _statements(_tree(name), lazy=not package):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{PACKAGE}."):
                    found.add(alias.name.removeprefix(f"{PACKAGE}."))
        elif isinstance(node, ast.ImportFrom):
            base = _base(name, package, node)
            if base is None:
                continue
            if base:
                found.add(base)
            # `from .data import worlds` names a module, `from .errors import UserError` does not.
            found |= {inner for alias in node.names if _exists(inner := f"{base}.{alias.name}".lstrip("."))}
    return frozenset(found)


def _base(name: str, package: bool, node: ast.ImportFrom) -> str | None:
    """Returns the module that a `from ... import` reads, or None if it is not of this package."""
    if node.level == 0:
        full = node.module or ""
        if full == PACKAGE:
            return ""
        return full.removeprefix(f"{PACKAGE}.") if full.startswith(f"{PACKAGE}.") else None
    parts = name.split(".") if name else []
    above = node.level - (1 if package else 0)
    parts = parts[: len(parts) - above] if above else parts
    return ".".join([*parts, *(node.module.split(".") if node.module else [])])


def _statements(node: ast.AST, lazy: bool, typing: bool = False) -> Iterator[ast.AST]:
    """Yields all statements that may run, or only those that run when the module is imported.

    Where `typing`, those too that are for type checkers alone.
    """
    # Not into expressions: nine tenths of a tree, and no statement lies in one.
    for part in ("body", "handlers", "cases", "orelse", "finalbody"):
        for child in getattr(node, part, ()):
            if not typing and isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if not lazy and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            yield child
            yield from _statements(child, lazy, typing)

"""Finds and parses the modules of this package, and resolves names in them, without importing anything.

Modules are named relative to the package: `training.loop`, and an empty name for the package itself.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

__all__ = [
    "Imported",
    "Module",
    "Node",
    "find",
    "imports_of",
    "is_type_checking",
    "meaning",
    "meaning_of_import",
    "parse",
]

PACKAGE, _, _INNER = (__package__ or "").partition(".")
ROOT = Path(__file__).parents[_INNER.count(".") + 1 if _INNER else 0]
SHOWN = frozenset(
    {
        "core.errors",
        "core.plugins",
        "core.progress",
        "core.code_classes",
        "core.code_hash",
        "core.code_modules",
        "core.code_syntax",
    }
)
"""Modules that determine messages of a step, or whether it runs, but not its results."""

PLANNED = frozenset(
    {
        "data.registry",
        "methods.registry",
        "metrics.registry",
        "models.registry",
        "questions.registry",
        "esm.registry",
    }
)
"""Registries. Their contents reach a step through its inputs and parameters. They are therefore hashed only if they are
entries themselves, and a line added to a registry reruns no step."""

Node = tuple[str, str]
"""A module, and the name of a definition: `*` for all of the module, empty for its statements with effects."""


class Imported(NamedTuple):
    """What an import statement binds to one name.

    Arguments:
        bound: The name.
        module: A module of the package, or None for one from outside.
        name: The attribute of that module, empty for the module itself; for one from outside its full name.
        loads: The modules of the package that are loaded for it.
    """

    bound: str
    module: str | None
    name: str
    loads: tuple[str, ...] = ()


@dataclass
class Module:
    """The statements at the top of a module, by what they bind.

    Arguments:
        name: The name of the module.
        path: Its file.
        definitions: Functions, classes and variables: all statements that bind each name.
        imports: What is imported under each name.
        effects: All other statements that do something.
        bound_by_effects: The names that these bind.
        loads: The modules of the package that are loaded with it.
        stars: The modules of star imports: nodes, or modules from outside.
    """

    name: str
    path: Path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, list[Imported]] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)
    bound_by_effects: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    stars: set[str | Node] = field(default_factory=set)

    @property
    def is_package(self) -> bool:
        """Whether it is an `__init__`."""
        return self.path.name == "__init__.py"


@cache
def find(name: str) -> Path | None:
    """Returns the file of a module, or None if there is none."""
    stem = ROOT.joinpath(*name.split(".")) if name else ROOT
    return next((path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()), None)


@cache
def parse(name: str) -> Module:
    """Parses a module.

    Raises:
        ModuleNotFoundError: If this package has no such module.
    """
    path = find(name)
    if path is None:
        raise ModuleNotFoundError(f"{PACKAGE} has no module {name}")
    module = Module(name, path)
    _sort(module, ast.parse(path.read_text(encoding="utf-8")).body)
    return module


def meaning(module: str, path: str, seen: frozenset[Node] = frozenset()) -> set[str | Node]:
    """Returns what a name, or a chain of attributes of one, means in a module.

    Arguments:
        module: The module.
        path: The chain, as `a.b.c`.
        seen: Names that were looked up on the way here.

    Returns:
        Nodes, and texts for what lies outside the package; nothing for builtins and for modules that do not count.
    """
    name, _, rest = path.partition(".")
    top = parse(module)
    found: set[str | Node] = {(module, name)} if name in top.definitions else set()
    if name in top.bound_by_effects:
        found.add((module, ""))
    if (module, name) not in seen:
        for imported in top.imports.get(name, ()):
            found |= meaning_of_import(imported, rest, seen | {(module, name)})
    return found


def meaning_of_import(imported: Imported, rest: str, seen: frozenset[Node] = frozenset()) -> set[str | Node]:
    """Returns what `rest`, a chain of attributes of an imported name, means; where it is empty, the name itself."""
    if imported.module is None:
        return {f"import {imported.name}"}
    module, path = imported.module, ".".join(part for part in (imported.name, rest) if part)
    while module not in SHOWN | PLANNED:
        name, _, rest = path.partition(".")
        found = meaning(module, path, seen) if name else set()
        inner = f"{module}.{name}".lstrip(".")
        if found or not name or not find(inner):
            # A module that is used as a value, or an attribute that it does not define: any definition may be used.
            return found or {(module, "*")}
        module, path = inner, rest
    return set()


def imports_of(node: ast.Import | ast.ImportFrom, module: Module) -> Iterator[Imported]:
    """Yields what an import statement binds that stands in `module`."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top, _, inner = alias.name.partition(".")
            if top == PACKAGE:
                yield Imported(alias.asname or top, inner if alias.asname else "", "", (inner,))
            else:
                yield Imported(alias.asname or top, None, alias.name if alias.asname else top)
        return
    base: str | None = node.module or ""
    if node.level:
        parts = module.name.split(".") if module.name else []
        above = node.level - module.is_package
        parts = [*(parts[: len(parts) - above] if above else parts), node.module or ""]
        base = ".".join(part for part in parts if part)
    else:
        top, _, inner = (node.module or "").partition(".")
        base = inner if top == PACKAGE else None
    for alias in node.names:
        bound = alias.asname or alias.name
        if base is None:
            yield Imported(bound, None, f"{node.module}.{alias.name}")
        else:
            inner = f"{base}.{alias.name}".lstrip(".")
            yield Imported(bound, base, alias.name, (base, inner) if find(inner) else (base,))


def is_type_checking(node: ast.AST) -> TypeGuard[ast.If]:
    """Returns whether this is `if TYPE_CHECKING`."""
    test = getattr(node, "test", None) if isinstance(node, ast.If) else None
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def _sort(module: Module, statements: list[ast.stmt]) -> None:
    """Sorts the statements at the top of a module."""
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _bind(module, node)
        elif is_type_checking(node):
            _sort(module, node.orelse)
        elif (names := _bound(node)) is not None:
            for name in names:
                module.definitions.setdefault(name, []).append(node)
        else:
            module.effects.append(node)
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    _bind(module, inner)
                elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    module.bound_by_effects.add(inner.name)
                elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    module.bound_by_effects.add(inner.id)


def _bind(module: Module, node: ast.Import | ast.ImportFrom) -> None:
    for imported in imports_of(node, module):
        module.loads.update(imported.loads)
        if imported.bound == "*":
            module.stars.add(imported.name if imported.module is None else (imported.module, "*"))
        else:
            module.imports.setdefault(imported.bound, []).append(imported)


def _bound(node: ast.stmt) -> list[str] | None:
    """Returns the names that a definition binds; None for a statement that is none, and has effects."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return []
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    elif node.__class__.__name__ == "TypeAlias":  # of Python 3.12 on
        alias: Any = node
        targets = [alias.name]
    else:
        return [] if _lists_all(node) else None
    parts = [
        part for one in targets for part in (one.elts if isinstance(one, ast.Tuple | ast.List) else [one])
    ]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return [name for name in names if name != "__all__"] if len(names) == len(parts) else None


def _lists_all(node: ast.stmt) -> bool:
    """Returns whether this is a call such as `__all__.append(...)`."""
    function = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    owner = function.value if isinstance(function, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id == "__all__"

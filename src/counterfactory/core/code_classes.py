"""Detects protocols, and classes whose annotations define fields, for :mod:`counterfactory.core.code_hash`."""

import ast

from .code_modules import meaning, parse

__all__ = ["dotted", "has_fields", "is_protocol", "is_stub", "last_name"]

FIELD_BASES = frozenset(
    {"BaseModel", "RootModel", "NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"}
)
FIELD_DECORATORS = frozenset({"dataclass", "define", "frozen"})


def dotted(node: ast.AST) -> str:
    """Returns a chain of attributes of a name as `a.b.c`, or an empty text for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def last_name(node: ast.AST) -> str:
    """Returns the last name of a base class or a decorator: `Protocol` of `typing.Protocol[T]`."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return dotted(node).rpartition(".")[2]


def is_protocol(node: ast.ClassDef) -> bool:
    """Returns whether a class is a protocol that is not checked at run time."""
    checked = any(last_name(decorator) == "runtime_checkable" for decorator in node.decorator_list)
    return not checked and any(last_name(base) == "Protocol" for base in node.bases)


def has_fields(module: str, node: ast.ClassDef) -> bool:
    """Returns whether annotations in a class that stands in `module` define fields, by its bases or its decorators."""
    if node.keywords or any(last_name(one) in FIELD_DECORATORS for one in node.decorator_list):
        return True
    for base in node.bases:
        if last_name(base) in FIELD_BASES:
            return True
        path = dotted(base.value if isinstance(base, ast.Subscript) else base)
        for target in meaning(module, path) if path else ():
            statements = parse(target[0]).definitions.get(target[1], ()) if isinstance(target, tuple) else ()
            classes = (one for one in statements if isinstance(one, ast.ClassDef) and one is not node)
            if any(has_fields(target[0], one) for one in classes):
                return True
    return False


def is_stub(node: ast.AST) -> bool:
    """Returns whether a statement of a protocol adds nothing to a subclass: a field, or a method without a body."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return all(
            isinstance(one, ast.Pass | ast.Raise)
            or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
            for one in node.body
        )
    return isinstance(node, ast.AnnAssign) and node.value is None

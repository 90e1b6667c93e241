"""Reads statements for :mod:`counterfactory.core.code_hash`: their normal form, and the names that they use.

The normal form is a text of the syntax tree without what cannot change a result (listed in `code_hash`). One walk of
the tree writes it and collects the free names, by Python's rules of scope.
"""

import ast
import re
from collections.abc import Callable, Sequence

from .code_classes import dotted, has_fields, is_protocol, is_stub, last_name
from .code_modules import Imported, Module, imports_of, is_type_checking

__all__ = ["Reader"]

ANNOTATED = frozenset(
    {"register", "validate_call", "computed_field", "field_serializer", "model_serializer", "script"}
)
"""Decorators of functions that read annotations at run time."""

DYNAMIC = frozenset({"globals", "eval", "exec"})
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
LOGGERS = re.compile(r"_?(log|logger|logging)$", re.IGNORECASE)
SKIPPED = frozenset({"ctx", "type_comment", "kind", "type_ignores", "type_params"})
SHOWN_BY_KEYWORD = {
    "Field": ("description", "title", "examples"),
    "progress": ("label", "unit"),
    "fit": ("label",),
}
"""Keyword arguments that are text for readers, by the name of the function that takes them."""


class _Scope:
    """The names of one scope: used, stored, imported, and declared to lie outside."""

    def __init__(self) -> None:
        self.uses: set[str] = set()
        self.stored: set[str] = set()
        self.outside: set[str] = set()
        self.imports: dict[str, list[Imported]] = {}


class Reader:
    """Reads the statements of one definition.

    Arguments:
        module: The module that they stand in.

    Attributes:
        text: The normal form, in pieces.
        local: The uses of names that a function imports itself, each with what it imports.
        loaded: Everything that is imported in the statements.
        modules: Constant names that modules are imported by.
        strings: String constants that are not messages.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.text: list[str] = []
        self.local: list[tuple[str, Imported]] = []
        self.loaded: list[Imported] = []
        self.modules: set[str] = set()
        self.strings: set[str] = set()
        self.scopes = [_Scope()]
        self.fields = False  # in the body of a class whose annotations define fields
        self.quiet = ""  # in a message: its constant text ("text"), in an exception its f-strings too ("all")

    @property
    def uses(self) -> set[str]:
        """Free names, and chains of attributes of them; `*` where any name of the module may be used."""
        return self.scopes[0].uses

    def read(self, node: ast.AST) -> None:
        """Reads one node and all below it."""
        kind = node.__class__
        if kind not in _METHODS:
            _METHODS[kind] = getattr(Reader, f"_{kind.__name__}", Reader._generic)
        _METHODS[kind](self, node)

    def _generic(self, node: ast.AST) -> None:
        write = self.text.append
        write(node.__class__.__name__)
        for name in node._fields:
            value = None if name in SKIPPED else getattr(node, name, None)
            if value is None or value == []:
                continue
            write(name)
            if isinstance(value, ast.AST):
                self.read(value)
            else:
                self._value(value)
        write(";")

    def _value(self, value: object) -> None:
        if isinstance(value, list):
            self.text.append("[")
            for item in value:
                if isinstance(item, ast.AST):
                    self.read(item)
                else:
                    self.text.append(repr(item))
            self.text.append("]")
        elif isinstance(value, ast.AST):
            self.read(value)
        else:
            self.text.append(repr(value))

    def _said(self, node: ast.AST | Sequence[ast.AST] | None, quiet: str) -> None:
        """Reads a message: a node or several, if there are any."""
        before, self.quiet = self.quiet, quiet
        self._value(node)
        self.quiet = before

    def _leave(self, shadows: bool = True) -> None:
        """Ends a scope: its free names are names of the scope around it."""
        scope = self.scopes.pop()
        for use in scope.uses:
            root = use.partition(".")[0]
            if root in scope.outside:
                self.uses.add(use)
            elif root in scope.imports:
                self.local += [(use, imported) for imported in scope.imports[root]]
            elif not shadows or root not in scope.stored:
                self.scopes[-1].uses.add(use)

    def _Pass(self, node: ast.Pass) -> None:
        pass

    def _Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self._generic(node)

    def _Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            if self.quiet:
                return
            self.strings.add(node.value)
        self.text.append(repr(node.value))

    def _JoinedStr(self, node: ast.JoinedStr) -> None:
        if not self.quiet:
            self._generic(node)
        elif self.quiet == "text":
            self._value([part.value for part in node.values if isinstance(part, ast.FormattedValue)])

    def _Name(self, node: ast.Name) -> None:
        self.text.append(f"Name {node.id}")
        scope = self.scopes[-1]
        (scope.uses if isinstance(node.ctx, ast.Load) else scope.stored).add(node.id)

    def _Attribute(self, node: ast.Attribute) -> None:
        chain = dotted(node)
        if not chain:
            self._generic(node)
            return
        self.text.append(f"Attribute {chain}")
        self.scopes[-1].uses.add(chain)

    def _Global(self, node: ast.Global) -> None:
        self.scopes[-1].outside.update(node.names)
        self._generic(node)

    def _Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for imported in imports_of(node, self.module):
            self.loaded.append(imported)
            if len(self.scopes) > 1:
                self.scopes[-1].imports.setdefault(imported.bound, []).append(imported)
            if imported.module is None:
                self.text.append(f"import {imported.name}")

    _ImportFrom = _Import

    def _ExceptHandler(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self.scopes[-1].stored.add(node.name)
        self._generic(node)

    _MatchAs = _MatchStar = _ExceptHandler

    def _MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.scopes[-1].stored.add(node.rest)
        self._generic(node)

    def _If(self, node: ast.If) -> None:
        self._value(node.orelse) if is_type_checking(node) else self._generic(node)

    def _Raise(self, node: ast.Raise) -> None:
        self.text.append("Raise")
        self._said(node.exc, "all")
        self._value(node.cause)

    def _Assert(self, node: ast.Assert) -> None:
        self.text.append("Assert")
        self.read(node.test)
        self._said(node.msg, "all")

    def _Call(self, node: ast.Call) -> None:
        name = dotted(node.func)
        root, _, last = name.rpartition(".")
        if name in DYNAMIC:
            self.uses.add("*")
        shown = SHOWN_BY_KEYWORD.get(last, ())
        keywords = [word for word in node.keywords if not (last == "Field" and word.arg in shown)]
        to_stderr = name == "print" and any(
            word.arg == "file" and last_name(word.value) == "stderr" for word in keywords
        )
        logs = last in LEVELS and LOGGERS.match(root.rpartition(".")[2])
        quiet = "text" if to_stderr or logs or name in ("warn", "warnings.warn") else self.quiet
        self.text.append("Call")
        self.read(node.func)
        arguments = list(node.args)
        if name in ("getattr", "hasattr", "setattr") and len(arguments) > 1 and dotted(arguments[0]):
            attribute = arguments[1]
            if isinstance(attribute, ast.Constant) and isinstance(attribute.value, str):
                # As if it were written `module.name`, and no use of the whole module.
                chain = f"{dotted(arguments.pop(0))}.{attribute.value}"
                self.text.append(f"Attribute {chain}")
                self.scopes[-1].uses.add(chain)
        elif last in ("import_module", "__import__") and arguments and isinstance(arguments[0], ast.Constant):
            self.modules.add(str(arguments[0].value))
        self._said(arguments, quiet)
        for word in keywords:
            self._said([word], "text" if word.arg in shown else quiet)

    def _Lambda(self, node: ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        decorators = getattr(node, "decorator_list", [])
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every = [one for one in (*named, arguments.vararg, arguments.kwarg) if one]
        self.text.append(f"{node.__class__.__name__} {getattr(node, 'name', '')}")
        self._value([*decorators, *arguments.defaults, *(one or "" for one in arguments.kw_defaults)])
        counts = [
            len(arguments.posonlyargs),
            len(arguments.args),
            bool(arguments.vararg),
            bool(arguments.kwarg),
        ]
        self.text.append(f"{counts} {[one.arg for one in every]}")
        if any(last_name(decorator) in ANNOTATED for decorator in decorators):
            self._value(
                [_unquoted(one.annotation) for one in every] + [_unquoted(getattr(node, "returns", None))]
            )
        if not isinstance(node, ast.Lambda):
            self.scopes[-1].stored.add(node.name)
        before, self.fields = self.fields, False
        self.scopes.append(_Scope())
        self.scopes[-1].stored.update(one.arg for one in every)
        self._value(node.body)
        self._leave()
        self.fields = before

    _FunctionDef = _AsyncFunctionDef = _Lambda

    def _ClassDef(self, node: ast.ClassDef) -> None:
        self.scopes[-1].stored.add(node.name)
        # Of a protocol, only what a subclass may inherit counts.
        body = [one for one in node.body if not (is_protocol(node) and is_stub(one))]
        if is_protocol(node):
            self.text.append("Protocol")
        else:
            self.text.append(f"ClassDef {node.name}")
            self._value([*node.decorator_list, *node.bases, *node.keywords])
        before, self.fields = self.fields, not is_protocol(node) and has_fields(self.module.name, node)
        self.scopes.append(_Scope())
        self._value(body)
        # Functions in a class do not see its names, so these shadow nothing.
        self._leave(shadows=False)
        self.fields = before

    def _AnnAssign(self, node: ast.AnnAssign) -> None:
        if self.fields:
            self.text.append("Field")
            self._value([node.target, _unquoted(node.annotation), node.value or ""])
        elif node.value is not None:
            self._generic(ast.Assign(targets=[node.target], value=node.value))
        elif isinstance(node.target, ast.Name):
            self.scopes[-1].stored.add(node.target.id)

    def _ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.text.append(node.__class__.__name__)
        self.read(node.generators[0].iter)  # evaluated in the scope around it
        self.scopes.append(_Scope())
        for number, part in enumerate(node.generators):
            self._value([part.target, *part.ifs, *([part.iter] if number else []), str(part.is_async)])
        self._value([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self._leave()

    _SetComp = _GeneratorExp = _DictComp = _ListComp


_METHODS: dict[type[ast.AST], Callable[[Reader, ast.AST], None]] = {}


def _unquoted(node: ast.AST | None) -> ast.AST | str:
    """Returns an annotation, also one that is written as a string, as an expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return node
    return node or ""

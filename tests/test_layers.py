"""Imports between the folders of the package run downward only, so that no two folders import each other."""

import ast
import graphlib
from pathlib import Path

import counterfactory

ROOT = Path(counterfactory.__file__).parent

# From the bottom. At run time a folder may import those of earlier lines. Folders of one line do not import each other.
LAYERS = (
    ("core",),
    ("pretrained", "diffusion"),
    ("data",),
    ("nets", "questions"),
    ("training", "scm"),
    ("models",),
    ("answers", "esm"),
    ("methods", "metrics"),
    ("report", "config"),
    ("api",),
    ("cli",),
)
LEVEL = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}


def statements(node):
    """Yields all statements, except those for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from statements(other)
            continue
        yield child
        yield from statements(child)


def imported(path):
    """Yields the modules of the package that a file imports, relative to the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level]
            module = [*base, *(node.module.split(".") if node.module else [])]
            yield from ([*module, alias.name] for alias in node.names)


def arrows():
    """Returns (folder, imported folder) -> files. Registries are tables of names that import nothing heavy."""
    found = {}
    for path in ROOT.rglob("*.py"):
        folder = path.relative_to(ROOT).parts[0]
        if folder not in LEVEL:
            continue
        for module in imported(path):
            if module[0] in LEVEL and module[0] != folder and module[1:2] != ["registry"]:
                found.setdefault((folder, module[0]), set()).add(
                    f"{path.relative_to(ROOT)} -> {'.'.join(module)}"
                )
    return found


def test_every_folder_has_a_level():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == set(LEVEL)


def test_imports_run_downward():
    upward = {
        line for (folder, other), lines in arrows().items() if LEVEL[other] >= LEVEL[folder] for line in lines
    }
    assert not upward, "\n".join(sorted(upward))


def test_no_modules_import_each_other():
    """Each module can be the first one that a process imports."""
    files = {path.relative_to(ROOT).with_suffix("").parts: path for path in ROOT.rglob("*.py")}
    graph = {}
    for name, path in files.items():
        graph[name] = set()
        for node in ast.parse(path.read_text()).body:  # not what functions import when they run
            if isinstance(node, ast.ImportFrom) and node.level:
                base = (*name[: len(name) - node.level], *(node.module.split(".") if node.module else []))
                # A name is a module, or is defined in a module or in a package.
                names = [(*base, alias.name) for alias in node.names]
                found = [one if one in files else base for one in names]
                packages = [(*one, "__init__") for one in found]
                graph[name] |= {
                    other for one in zip(found, packages, strict=True) for other in one if other in files
                }
    assert len(graph) > 300 and sum(map(len, graph.values())) > 1000
    graphlib.TopologicalSorter(graph).prepare()


def test_registries_import_registries_only():
    for path in ROOT.rglob("registry.py"):
        for module in imported(path):
            assert module[1] in ("registry", "variable", "declaration", "plugins"), (
                f"{path.relative_to(ROOT)}: {module}"
            )

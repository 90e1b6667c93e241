import subprocess
import sys
from textwrap import dedent

import pytest

from counterfactory.core import code_hash as hashing
from counterfactory.core import code_modules
from counterfactory.core.code_hash import code_hash, imported_modules
from counterfactory.methods.registry import METHODS, module_of
from counterfactory.metrics.registry import METRICS
from counterfactory.models.registry import MODELS
from counterfactory.questions.registry import SUITES

# The step is `steps.run:run`; nothing uses `parts.unused`.
SOURCES = {
    "__init__": "__version__ = '1'\n",
    "core/__init__": "",
    "core/errors": "class UserError(Exception):\n    pass\n",
    "core/progress": "def progress(items, label='', unit=''):\n    return items\n",
    "registry": "NAMES = {'a': 1}\n",
    "steps/__init__": "",
    "steps/run": '''
        """The step."""

        import sys
        import warnings
        from typing import TYPE_CHECKING, Protocol

        from .. import tools
        from ..core.errors import UserError
        from ..core.progress import progress
        from ..registry import NAMES
        from ..shapes import Circle, Fields, Section, Sized
        from . import lazy

        if TYPE_CHECKING:
            from ..parts.unused import Never

        __all__ = ["run"]

        RATE = 0.1
        LIMITS: dict = {"most": 3}
        LIMITS["least"] = 1


        class Settings(Protocol):
            """What is read."""

            rate: float
            steps: int


        @tools.traced
        def run(settings: Settings, count: int = 4) -> float:
            """Runs."""
            total: float = 0.0
            for one in progress(range(count), label=f"run {count}", unit="steps"):
                total += RATE * one * LIMITS["most"] + tools.half(one) + lazy.late(one)
            if total < 0:
                raise UserError(f"negative: {total}, of {count} steps")
            print(f"done {count}", file=sys.stderr)
            warnings.warn("slow", stacklevel=2)
            return total + Circle(total).area() + Fields(1, "a").size + Section(rate=1).rate + NAMES["a"]


        def unused(items: list) -> int:
            return len(items)
    ''',
    "steps/lazy": """
        def late(x):
            from ..parts.base import OFFSET as offset

            tools = [offset for offset in range(2)]
            return x + offset + len(tools)
    """,
    "tools": """
        import functools
        from math import floor
        from pathlib import Path

        FOLDER = 1


        def traced(function):
            @functools.wraps(function)
            def inner(*args):
                return function(*args)

            return inner


        def half(x):
            return floor(x / 2) + int(Path(__file__).with_name("table.json").read_text())


        def unused(x):
            return other(x)


        def other(x):
            return x
    """,
    "shapes": """
        from dataclasses import dataclass
        from typing import Protocol

        from pydantic import BaseModel, Field


        class Sized(Protocol):
            width: int

            def size(self) -> int: ...


        class Shape:
            scale = 2

            def perimeter(self):
                return 1


        class Circle(Shape):
            name: str

            def __init__(self, radius):
                self.radius: float = radius

            def area(self):
                return 3 * self.radius

            def diameter(self):
                return 2 * self.radius


        @dataclass
        class Fields:
            size: int
            text: str


        class Strict(BaseModel):
            pass


        class Section(Strict):
            rate: float = Field(1.0, ge=0, description="The rate.", title="Rate")
    """,
    "parts/__init__": "import pkg.parts.effects\n",
    "parts/base": "OFFSET = 1\nSECOND = 2\n",
    "parts/effects": "import os\n\nos.environ['THREADS'] = '1'\nSIZE = 1\n",
    "parts/unused": "class Never:\n    x = 1\n",
}
STEP = "steps.run:run"


def forget():
    for module in (hashing, code_modules):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, source in SOURCES.items():
        path = tmp_path / "pkg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
    (tmp_path / "pkg" / "table.json").write_text("1")
    (tmp_path / "pkg" / "other.json").write_text("1")
    monkeypatch.setattr(code_modules, "ROOT", tmp_path / "pkg")
    monkeypatch.setattr(code_modules, "PACKAGE", "pkg")
    monkeypatch.setattr(code_modules, "PLANNED", frozenset({"registry"}))
    forget()
    yield tmp_path / "pkg"
    forget()


def edit(path, old, new):
    text = path.read_text()
    assert not old or old in text
    path.write_text(text.replace(old, new, 1) if old else new + text)
    forget()


def changes(package, file, old, new, *entries):
    """Returns whether an edit changes the hash of the entries, by default of the step."""
    before = code_hash(*(entries or [STEP]))
    edit(package / file, old, new)
    return code_hash(*(entries or [STEP])) != before


RUN, TOOLS, SHAPES, LAZY = "steps/run.py", "tools.py", "shapes.py", "steps/lazy.py"
SAME = {
    "unused function": (RUN, "return len(items)", "return 2 * len(items)"),
    "new function": (TOOLS, "FOLDER = 1", "FOLDER = 1\n\ndef new():\n    return half(1)\n"),
    "new class": (SHAPES, "class Shape:", "class New:\n    pass\n\n\nclass Shape:"),
    "unused variable": (TOOLS, "FOLDER = 1", "FOLDER = 2"),
    "unused function that is called by one": (
        TOOLS,
        "def other(x):\n    return x",
        "def other(x):\n    return 2",
    ),
    "unused neighbour of a used definition": ("parts/base.py", "SECOND = 2", "SECOND = 3"),
    "field of a protocol": (RUN, "    steps: int\n", "    steps: int\n    warmup: int\n"),
    "method of a protocol": (SHAPES, "def size(self) -> int: ...", "def size(self, x) -> str: ..."),
    "protocol elsewhere": (RUN, "class Settings(Protocol)", "class Settings(Sized, Protocol)"),
    "argument's annotation": (RUN, "settings: Settings, count: int", "settings, count: float"),
    "returned annotation": (RUN, ") -> float:", ") -> int:"),
    "variable's annotation": (RUN, "total: float = 0.0", "total = 0.0"),
    "global's annotation": (RUN, "LIMITS: dict =", "LIMITS ="),
    "attribute's annotation": (SHAPES, "self.radius: float = radius", "self.radius = radius"),
    "annotation in a plain class": (SHAPES, "    name: str\n", "    name: int\n    more: int\n"),
    "__all__": (RUN, '["run"]', '["run", "unused"]'),
    "docstring": (RUN, '"""Runs."""', '"""Runs the step."""'),
    "docstring of a module": (RUN, '"""The step."""', '"""The step, and more."""'),
    "comment": (RUN, "RATE = 0.1", "# Why.\nRATE = 0.1  # so"),
    "layout": (RUN, "RATE * one * LIMITS", "(\n            RATE\n            * one\n        ) * LIMITS"),
    "text of an exception": (RUN, "negative: {total}, of {count} steps", "less than 0 after {count}"),
    "text on stderr": (RUN, 'f"done {count}"', 'f"ran {count} steps"'),
    "warning": (RUN, '"slow"', '"it is slow"'),
    "label": (RUN, 'label=f"run {count}", unit="steps"', 'label=f"{count} runs", unit="rounds"'),
    "progress": ("core/progress.py", "return items", "return list(items)"),
    "exceptions": ("core/errors.py", "pass", "code = 2"),
    "registry": ("registry.py", "{'a': 1}", "{'a': 1, 'b': 2}"),
    "description of a field": (SHAPES, 'description="The rate.", title="Rate"', 'description="How fast."'),
    "import for type checkers": (RUN, "import Never", "import Never as Nothing"),
    "module that nothing uses": ("parts/unused.py", "x = 1", "x = 2"),
    "unused import": (RUN, "import warnings\n", "import warnings\nimport json\n"),
    "data that no reached code names": ("other.json", "1", "2"),
}
DIFFERENT = {
    "constant": (RUN, "RATE = 0.1", "RATE = 0.2"),
    "global's initialiser": (RUN, '{"most": 3}', '{"most": 4}'),
    "statement at the top": (RUN, 'LIMITS["least"] = 1', 'LIMITS["least"] = 2'),
    "new statement at the top": (RUN, "RATE = 0.1", "RATE = 0.1\nLIMITS.clear() if 0 else None\n"),
    "statement of a module that is loaded": ("parts/effects.py", "'1'", "'2'"),
    "default": (RUN, "count: int = 4", "count: int = 5"),
    "number in the body": (RUN, "total < 0", "total < 1"),
    "decorator": (RUN, "@tools.traced\n", ""),
    "body of a decorator": (TOOLS, "return function(*args)", "return 2 * function(*args)"),
    "function of a module": (TOOLS, "floor(x / 2)", "floor(x / 3)"),
    "library function of the same name": (TOOLS, "from math import floor", "from numpy import floor"),
    "function of a module imported by its package": (LAZY, "return x + ", "return x - "),
    "constant imported lazily under another name": ("parts/base.py", "OFFSET = 1", "OFFSET = 2"),
    "other constant imported lazily": (LAZY, "OFFSET as offset", "SECOND as offset"),
    "method": (SHAPES, "3 * self.radius", "4 * self.radius"),
    "method that is not called": (SHAPES, "2 * self.radius", "4 * self.radius"),
    "base class": (SHAPES, "return 1", "return 2"),
    "attribute of a base class": (SHAPES, "scale = 2", "scale = 3"),
    "field of a dataclass": (SHAPES, "size: int\n    text: str", "text: str\n    size: int"),
    "type of a dataclass's field": (SHAPES, "text: str", "text: bytes"),
    "type of a pydantic field": (SHAPES, "rate: float", "rate: int"),
    "bound of a pydantic field": (SHAPES, "ge=0", "ge=1"),
    "kind of exception": (RUN, "raise UserError(", "raise ValueError("),
    "unit of progress that is counted": (RUN, "range(count)", "range(1, count)"),
    "data that reached code names": ("table.json", "1", "2"),
    "print to stdout": (RUN, 'f"done {count}", file=sys.stderr', 'f"done {count}"'),
}


@pytest.mark.parametrize("name", SAME)
def test_what_cannot_change_a_result_changes_no_hash(package, name):
    assert not changes(package, *SAME[name])


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_can_change_a_result_changes_the_hash(package, name):
    assert changes(package, *DIFFERENT[name])


def test_imports_may_move_to_the_top_and_definitions_to_another_module(package):
    before = code_hash(STEP)
    edit(package / LAZY, "    from ..parts.base import OFFSET as offset\n\n", "")
    edit(package / LAZY, "", "from ..parts.base import OFFSET as offset\n")
    assert code_hash(STEP) == before
    (package / "parts" / "base.py").write_text("")
    edit(package / "parts" / "unused.py", "", "OFFSET = 1\n")
    edit(package / LAZY, "parts.base", "parts.unused")
    assert code_hash(STEP) == before


def test_a_name_that_comes_to_mean_another_reached_definition_changes_the_hash(package):
    (package / "a.py").write_text("def f():\n    return 1\n")
    (package / "b.py").write_text("def f():\n    return 2\n")
    (package / "c.py").write_text(
        "from .a import f as one\nfrom .b import f as two\n\ndef g():\n    return one() - two()\n"
    )
    swapped = ("c.py", ".a import f as one\nfrom .b", ".b import f as one\nfrom .a")
    assert changes(package, *swapped, "c:g")


def test_modules_reached(package):
    assert imported_modules(STEP) == {
        *("steps.run", "steps.lazy", "tools", "shapes", "parts.base", "parts.effects")
    }
    # A local variable of the same name is no use of a module.
    assert imported_modules("steps.lazy:late") == {"steps.lazy", "parts.base", "parts.effects"}


def test_an_entry_is_a_definition_or_all_public_ones(package):
    (package / "m.py").write_text("def load():\n    return 1\n\n\ndef _own():\n    return 2\n")
    assert not changes(package, "m.py", "return 2", "return 3", "m")
    assert not changes(package, "m.py", "def load", "def other():\n    return 1\n\n\ndef load", "m:load")
    assert changes(package, "m.py", "def other", "def another():\n    return 1\n\n\ndef other", "m")
    assert code_hash("m", STEP) == code_hash(STEP, "m") != code_hash(STEP)
    # What a package imports from its own modules is its interface.
    edit(package / "parts" / "__init__.py", "", "from .base import SECOND\n")
    assert changes(package, "parts/base.py", "SECOND = 2", "SECOND = 4", "parts")
    # A registry is hashed if it is an entry itself.
    assert changes(package, "registry.py", "'a': 1", "'a': 2", STEP, "registry")


@pytest.mark.parametrize("entry", ["parts.z", "parts.z:f"])
def test_unknown_module_is_refused(package, entry):
    with pytest.raises(ModuleNotFoundError, match=r"parts\.z"):
        code_hash(entry)


def test_unknown_definition_is_refused(package):
    with pytest.raises(AttributeError, match="tools has no definition third"):
        code_hash("tools:third")


@pytest.mark.parametrize(
    "body",
    {
        "star import": "from ..m import *\n\ndef f():\n    return g()\n",
        "computed attribute": "from .. import m\n\ndef f(name):\n    return getattr(m, name)\n",
        "module as a value": "from .. import m\n\ndef f(use):\n    return use(m)\n",
        "import by a constant name": "from importlib import import_module\n\n"
        "def f():\n    return import_module('pkg.m')\n",
        "globals": "def f(name):\n    return globals()[name]\n\n\ndef g():\n    return 1\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_whole_module_is_hashed_where_names_cannot_be_distinguished(package, body):
    (package / "m.py").write_text("def g():\n    return 1\n")
    (package / "steps" / "new.py").write_text(body[1])
    file = "steps/new.py" if body[0] == "globals" else "m.py"
    assert changes(package, file, "return 1", "return 2", "steps.new:f")


def test_a_constant_attribute_of_a_module_is_that_definition(package):
    (package / "m.py").write_text("A = 1\nB = 2\n")
    (package / "n.py").write_text("from . import m\n\ndef f():\n    return getattr(m, 'A', 0) + m.A\n")
    assert not changes(package, "m.py", "B = 2", "B = 3", "n:f")
    assert changes(package, "m.py", "A = 1", "A = 3", "n:f")


def test_a_module_that_is_imported_by_a_computed_name_is_an_entry_of_its_own(package):
    (package / "m.py").write_text("def load():\n    return 1\n")
    source = "from importlib import import_module\n\ndef f(x):\n    return import_module(f'pkg.{x}').load()\n"
    (package / "n.py").write_text(source)
    assert not changes(package, "m.py", "return 1", "return 2", "n:f")
    assert changes(package, "m.py", "return 2", "return 3", "n:f", "m:load")


def test_names_bound_in_branches_count_with_the_branch(package):
    source = (
        "try:\n    from math import tau\nexcept ImportError:\n    tau = 6.2\n\n\ndef f():\n    return tau\n"
    )
    (package / "n.py").write_text(source)
    assert changes(package, "n.py", "6.2", "6.3", "n:f")


def test_names_of_a_function_hide_those_of_the_module_where_python_says_so(package):
    (package / "n.py").write_text(
        dedent(
            """
            x = y = z = w = 1


            def f(x):
                total = [y for y in range(3)]
                return x + sum(total)


            def g():
                return [z for z in z]


            def h():
                class Inner:
                    w = 2

                    def method(self):
                        return w

                return Inner
            """
        )
    )
    for old, new, entry, counts in (
        ("x = y", "x = v = y", "n:f", False),
        ("z = w = 1", "w = z = 1", "n:f", False),
        ("w = z = 1", "w = z = 2", "n:f", False),
        ("w = z = 2", "w = z = 3", "n:g", True),
        ("w = z = 3", "w = z = 4", "n:h", True),
    ):
        assert changes(package, "n.py", old, new, entry) == counts


def entries_of_rules():
    """The entries that the rules of the workflow give, by rule."""
    entries = {
        "synthesise": ("data.morphomnist:synthesise",),
        "query": ("esm.answer:answer_query",),
        "draw": ("esm.answer:draw_images",),
        "score_query": ("metrics.queries:score_query",),
        "structure": ("esm.structure:measure_structure",),
        "summarise": ("metrics.summary:summarise",),
        "tables": ("report.tables:write_tables", "methods.registry"),
        "figures": ("report.figures:write_figures", "methods.registry"),
        "report": ("report.html:write_report", "methods.registry"),
    }
    entries |= {f"questions {name}": (f"{suite.module}:write_questions",) for name, suite in SUITES.items()}
    entries |= {f"train {name}": (model.train,) for name, model in MODELS.items()}
    entries |= {f"answer {name}": ("methods.run:answer", f"{module_of(name)}:load") for name in METHODS}
    entries |= {f"score {name}": ("metrics.run:score", f"metrics.{name}") for name in METRICS}
    entries |= {
        f"reference {name}": ("metrics.run:compute_reference", f"metrics.{name}:compute_reference")
        for name, metric in METRICS.items()
        if metric.reference
    }
    return entries


@pytest.fixture
def changed_rules(monkeypatch):
    """Returns a function that edits a module of the real package and returns the rules that run again."""
    read = code_modules.Path.read_text
    rules = entries_of_rules()

    def changed(name, old, new):
        forget()
        before = {rule: code_hash(*entries) for rule, entries in rules.items()}
        path = code_modules.find(name)
        text = read(path, encoding="utf-8")
        assert old in text

        def edited(self, *args, **options):
            return text.replace(old, new, 1) if self == path else read(self, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(code_modules.Path, "read_text", edited)
            forget()
            after = {rule: code_hash(*entries) for rule, entries in rules.items()}
        forget()
        return {rule for rule in rules if before[rule] != after[rule]}

    return changed


def test_a_helper_that_nobody_calls_runs_no_step_again(changed_rules):
    assert (
        changed_rules("core.files", "def write_text(", "def helper(x):\n    return x\n\n\ndef write_text(")
        == set()
    )


def test_the_learning_rate_runs_trainings_again_and_nothing_else(changed_rules):
    trained = {f"train {name}" for name in MODELS} - {"train scm"}
    assert changed_rules("training.optimizers", "0.5 * (1.0 +", "0.4 * (1.0 +") == trained


def test_a_method_runs_its_own_answers_again(changed_rules):
    assert changed_rules(
        "methods.dscm", "latent_temperature: float = 1.0", "latent_temperature: float = 0.9"
    ) == {f"answer {name}" for name in ("vae", "hvae", "hvae_reduced", "vae_ft", "hvae_ft")}


def test_files_read_as_code_count_as_code():
    kernels = hashing._definition(("models.image.native.build", "kernels"))
    without = hashing._definition(("models.image.native.build", "available"))
    assert kernels.own != without.own
    page = list(hashing._resources("report.html", read_of("report.html", "write_report")))
    assert [line.split()[0] for line in page] == ["page.css", "page.html.j2"]


def read_of(module, name):
    reader = hashing.Reader(code_modules.parse(module))
    for statement in code_modules.parse(module).definitions[name]:
        reader.read(statement)
    return reader


def test_hash_of_the_real_package_needs_no_heavy_import():
    code = (
        "import sys; from counterfactory.core.code_hash import code_hash; "
        "code_hash('methods.run', 'methods.dscm:load'); "
        "print([name for name in ('torch', 'numpy', 'pandas', 'pydantic') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_real_steps_depend_on_what_they_run():
    assert {"models.image.hvae", "core.noise"} <= imported_modules("methods.dscm")
    assert "training.loop" not in imported_modules("methods.dscm")
    assert not {"models.image.hvae", "scm.fit"} & imported_modules("methods.run", "methods.copy")
    asked = imported_modules("questions.interventions:write_questions")
    assert "data.worlds" in imported_modules("methods.run:answer", "methods.truth:load") & asked
    trained = imported_modules(*(model.train for model in MODELS.values()))
    assert not {"config", "answers", "methods.run"} & trained

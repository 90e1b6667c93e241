import subprocess
import sys
import textwrap

import pytest

from counterfactory.core import provenance
from counterfactory.core.provenance import code_hash, describe, imported_modules, revision, versions


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package: `rooms` holds `a` (imports b and, lazily, c), `b`, `c`, `d`; its top imports `b` only."""
    sources = {
        "__init__": "",
        "base": "X = 1",
        "rooms/__init__": "from .b import f\ndef load():\n    from . import d\n",
        "rooms/a": "from .b import f\ndef g():\n    from .c import h\n    return h()\n",
        "rooms/b": '"""Doc."""\nfrom ..base import X\ndef f():\n    return X\n',
        "rooms/c": "import pkg.base\ndef h():\n    return 1\n",
        "rooms/d": "def i():\n    return 2\n",
    }
    for name, source in sources.items():
        path = tmp_path / "pkg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "pkg")
    monkeypatch.setattr(provenance, "PACKAGE", "pkg")
    forget()
    yield tmp_path / "pkg"
    forget()


def forget():
    for function in (
        code_hash,
        provenance._path,
        provenance._tree,
        provenance._normalised,
        provenance._imports,
    ):
        function.cache_clear()


def edit(path, source):
    path.write_text(textwrap.dedent(source))
    forget()


def test_imports_are_followed_and_what_a_package_chooses_at_run_time_is_not(package):
    assert imported_modules("rooms.a") == {"rooms", "rooms.a", "rooms.b", "rooms.c", "base"}
    assert imported_modules("rooms.d") == {"rooms", "rooms.d", "rooms.b", "base"}


def test_hash_follows_the_code_of_what_is_imported(package):
    before = {name: code_hash(name) for name in ("rooms.a", "rooms.c", "rooms.d")}
    edit(package / "rooms" / "c.py", "import pkg.base\ndef h():\n    return 3\n")
    after = {name: code_hash(name) for name in before}
    assert after["rooms.a"] != before["rooms.a"]
    assert after["rooms.c"] != before["rooms.c"]
    assert after["rooms.d"] == before["rooms.d"]


def test_words_and_layout_change_nothing(package):
    before = code_hash("rooms.a")
    edit(
        package / "rooms" / "b.py",
        "# why\nfrom ..base import X\n\n\ndef f():\n    '''Returns X.'''\n    return (X)\n",
    )
    assert code_hash("rooms.a") == before


def test_hash_is_of_a_set_of_modules(package):
    assert code_hash("rooms.c", "rooms.d") == code_hash("rooms.d", "rooms.c") != code_hash("rooms.c")


def test_files_read_as_code_count_as_code(package):
    before = code_hash("rooms.a"), code_hash("base")
    edit(package / "rooms" / "table.yaml", "a: 1")
    assert code_hash("rooms.a") != before[0]
    assert code_hash("base") == before[1]


def test_what_is_only_shown_does_not_count(package):
    edit(package / "rooms" / "a.py", "from ..progress import bar\n")
    edit(package / "progress.py", "def bar():\n    return '#'\n")
    before = code_hash("rooms.a")
    edit(package / "progress.py", "def bar():\n    return '='\n")
    assert code_hash("rooms.a") == before


def test_what_only_type_checkers_import_does_not_count(package):
    edit(
        package / "rooms" / "b.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .c import h\ndef f():\n    return 1\n",
    )
    assert "rooms.c" not in imported_modules("rooms.b")


def test_a_line_added_to_a_registry_counts_only_where_the_registry_is_listed(package, monkeypatch):
    monkeypatch.setattr(provenance, "PLANNED", frozenset({"base"}))
    before = code_hash("rooms.b"), code_hash("rooms.b", "base")
    edit(package / "base.py", "X = 1\nY = 2\n")
    assert code_hash("rooms.b") == before[0]
    assert code_hash("rooms.b", "base") != before[1]


def test_unknown_module_is_refused(package):
    with pytest.raises(ModuleNotFoundError, match=r"rooms\.z"):
        code_hash("rooms.z")


def test_hash_of_the_real_package_needs_no_heavy_import():
    code = "import sys; from counterfactory.core.provenance import code_hash; code_hash('answers', 'methods.hvae'); "
    code += "print([name for name in ('torch', 'numpy', 'pandas', 'pydantic') if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_real_steps_depend_on_what_they_run():
    assert {"nets.hvae", "training.loop", "noise"} <= imported_modules("methods.hvae")
    assert not {"nets.hvae", "scm.parents"} & imported_modules("answers", "methods.copy")
    assert "config" not in imported_modules("training.image_mechanism", "metrics.judges", "scm.parents")
    assert not {"answers", "methods"} & imported_modules(
        "training.image_mechanism", "metrics.judges", "scm.parents"
    )


def test_revision_and_versions():
    assert revision()
    assert versions()["torch"].startswith("2.")
    assert "no-such-package" not in versions(("no-such-package",))
    assert set(describe()) == {"revision", "versions", "machine"}

"""Tables and figures of an older configuration are removed by the step that wrote them, and not shown on the page."""

import pytest

from counterfactory.core.files import read_json, write_json
from counterfactory.report.stale import MANIFEST, remove_stale
from tests.report.pretend import make_figures, make_tables


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {MANIFEST}


def test_tables_that_are_no_longer_declared_go(results, tmp_path):
    names = ["headline", "flip_thick", "explanations_cost"]
    first = files(make_tables(results, tmp_path, names=names))
    assert {"flip_thick.md", "explanations_cost.json"} <= first
    (tmp_path / "mine.md").write_text("a note")
    then = files(make_tables(results, tmp_path, names=["headline"]))
    assert then - {"mine.md"} == set(read_json(tmp_path / MANIFEST)) < first
    assert "mine.md" in then and not {"flip_thick.md", "explanations_cost.json"} & then


def test_the_list_has_every_figure(figures):
    assert set(read_json(figures / MANIFEST)) == files(figures)


def test_figures_that_are_no_longer_declared_go(results, few, tmp_path):
    out = make_figures(results, tmp_path, names=["worst"], **few)
    assert (out / "worst" / "empty.svg").exists() and set(read_json(out / MANIFEST)) == files(out)
    make_figures(results, tmp_path, **few)
    assert not [name for name in files(out) if name.startswith("worst")] and not (out / "worst").exists()
    assert set(read_json(out / MANIFEST)) == files(out)


@pytest.mark.parametrize("listed", [["../outside.txt", "gone.md", "/etc/none", 3], {"a": 1}, None])
def test_a_damaged_list_removes_nothing_outside(tmp_path, listed):
    out = tmp_path / "tables"
    out.mkdir()
    (tmp_path / "outside.txt").touch()
    write_json(out / MANIFEST, listed) if listed is not None else (out / MANIFEST).write_bytes(b"\xff")
    remove_stale(out, ["new.csv"])
    assert (tmp_path / "outside.txt").exists() and read_json(out / MANIFEST) == ["new.csv"]

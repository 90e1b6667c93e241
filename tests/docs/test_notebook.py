"""The quick start: each cell runs, and what it prints and draws is what the notebook shows."""

import io
import json
import re
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"
NUMBER = re.compile(r"-?\d+\.?\d*")


def test_the_page_has_all_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(NOTEBOOK.parent), *sys.path])
    from notebook import write_page

    write_page(NOTEBOOK, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Quick start") and text.count("```python") == 6
    assert text.count("data:image/png") == 3  # the image, the sheet of samples, the sweep


@pytest.mark.slow
def test_every_cell_prints_what_the_notebook_shows(tmp_path, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)  # nothing of the repository is read by a relative path
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] != "code":
            continue
        printed = io.StringIO()
        with redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec("".join(cell["source"]), names)
        stored = "".join("".join(output["text"]) for output in cell["outputs"] if "text" in output)
        # The same words; numbers agree up to the arithmetic of another machine.
        assert NUMBER.sub("#", printed.getvalue()).split() == NUMBER.sub("#", stored).split()
        found, expected = (
            [float(number) for number in NUMBER.findall(text)] for text in (printed.getvalue(), stored)
        )
        assert found == pytest.approx(expected, rel=0.02, abs=0.2)
    error = abs(names["rows"]["hvae"].astype(float) - names["truth"]).mean()  # type: ignore[index]
    assert error < abs(names["sweep"](names["dilation"]).astype(float) - names["truth"]).mean()  # type: ignore[operator]

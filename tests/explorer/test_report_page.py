"""The report in a real browser: no errors, no requests, no horizontal scroll bar, the graph and a picture first."""

import pytest
import yaml

from counterfactory.report.html import write_report
from tests.explorer.browser import Page, executable
from tests.report.pretend import make_figures, make_tables, pretend_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(executable() is None, reason="no Chromium is installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    results = pretend_results(folder / "morphomnist", images=24, sweep=1)
    config = yaml.safe_load((results / "config.yaml").read_text())
    tables, figures = make_tables(results, folder / "tables"), make_figures(results, folder / "figures")
    out = folder / "report.html"
    write_report(tables, figures, config, results / "benchmarks", out)
    return out


@pytest.mark.parametrize("width,phone", [(1280, False), (390, True)])
def test_the_report(page, width, phone):
    with Page(width, 900, phone) as window:
        window.open(page)
        window.wait("document.readyState === 'complete'")
        assert window.evaluate("document.documentElement.scrollWidth") <= width
        for shown in ("svg.causal", ".first img"):
            top = window.evaluate(f"document.querySelector('{shown}').getBoundingClientRect().top")
            assert top < (900 if not phone else 1600)
        # A class of a section that cells have too would change their display, and the layout of every table.
        cells = (
            "new Set([...document.querySelectorAll('th, td')].map((one) => getComputedStyle(one).display))"
        )
        assert window.evaluate(f"[...{cells}]") == ["table-cell"]
        # All scores are folded, and open at the keyboard.
        assert window.evaluate("document.querySelectorAll('#scores details[open]').length") == 0
        window.evaluate("document.querySelector('#scores summary').focus()")
        window.key("Enter", 13, "\r")
        window.wait("document.querySelectorAll('#scores details[open]').length === 1")
        assert window.errors == []
        assert [url for url in window.requests if not url.startswith(("data:", "file:"))] == []

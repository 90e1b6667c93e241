"""The tiny run, the runtime of networks in a browser, and an explorer with both."""

import json

import pytest

from counterfactory.report.explorer.export import exporter_missing
from counterfactory.report.explorer.runtime import fetch_runtime
from tests.explorer.pages import write
from tests.workflow import tiny


@pytest.fixture(scope="package")
def run(tiny_run):
    return tiny_run / tiny.RESULTS


@pytest.fixture(scope="package")
def runtime(tmp_path_factory):
    if exporter_missing():
        pytest.skip(exporter_missing())
    path = tmp_path_factory.mktemp("runtime") / "runtime.json"
    fetch_runtime(path)
    missing = json.loads(path.read_text()).get("missing")
    if missing:
        pytest.skip(missing)
    return path


@pytest.fixture(scope="package")
def page(run, runtime, tmp_path_factory):
    return write(run, tmp_path_factory.mktemp("elsewhere") / "explorer.html", runtime)

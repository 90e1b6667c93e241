"""Steps in processes of their own, as `make run` starts them; most other tests of the workflow fork them."""

import os
import shutil
import sys

import pytest

from tests.workflow import tiny
from tests.workflow.test_environments import run
from tests.workflow.test_workflow import ROOT

SMALL = """
methods: [copy, vae, truth]
questions: {do: {images: 0}, reverse: {images: 0}, sweep: {images: 0}, flip: {images: 0}}
scores: {metrics: [axioms]}
"""


@pytest.mark.slow
@pytest.mark.network
def test_a_run_from_the_data_to_the_report(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / "tiny.yaml").write_text(tiny.CONFIG)
    (tmp_path / "small.yaml").write_text(SMALL)
    # A file that every step would import from the working folder, if it looked there.
    (tmp_path / "random.py").write_text("open('imported', 'w').close()\nraise SystemExit('imported')\n")
    command = [os.path.join(os.path.dirname(sys.executable), "snakemake"), "--snakefile", ROOT / "Snakefile"]
    command += ["--cores", "2", "--configfile", "tiny.yaml", "small.yaml"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = run(command, tmp_path, environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "Report: results/report.html"
    assert "Traceback" not in done.stderr and not (tmp_path / "imported").exists()
    results = tmp_path / tiny.RESULTS
    assert {path.parent.name for path in results.glob("models/*/seed0/")} >= {"scm", "vae"}
    assert "copy" in (results / "scores" / "scores.csv").read_text()
    assert "<title>" in (tmp_path / "results" / "report.html").read_text()

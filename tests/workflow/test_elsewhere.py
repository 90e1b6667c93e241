"""The workflow in other folders and as a module of another workflow, and values that look like patterns."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.test_workflow import ROOT, plan, snakemake

SMALL = {
    "methods": ["copy", "truth"],
    "questions": {suite: {"images": 0} for suite in ("null", "reverse", "flip", "sweep")},
    "scores": {"metrics": ["truth"]},
}
MODULE = """
configfile: "mine.yaml"

module pictures:
    snakefile: "{root}/Snakefile"
    config: config["pictures"]

use rule * from pictures as pictures_*

rule all:
    default_target: True
    input: rules.pictures_all.input
"""


IDX = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def test_without_a_file_the_defaults_hold(tmp_path):
    done = snakemake(tmp_path, "-n", "results/morphomnist/data/dataset.json")
    assert "of morphomnist" in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()  # a dry run writes nothing


def test_it_is_a_module_of_another_workflow(tmp_path):
    (tmp_path / "Snakefile").write_text(MODULE.format(root=ROOT))
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({"pictures": {**SMALL, "results": "out"}, "seeds": "mine"})
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "-p"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "pictures_synthesise" in done.stdout + done.stderr
    assert "--out out/morphomnist/data " in done.stdout + done.stderr


def test_values_are_never_wildcard_patterns(tmp_path):
    folder = f"{tmp_path}/{{word}}/{{seed,.*}}/<results>"
    for name in IDX:
        (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).touch()
    values = {
        "data": {"digits": folder},
        "report": {"title": "a {b} c"},
        "scores": {"metrics": ["lpips"], "lpips": {"weights": f"{folder}/x.pth"}},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(SMALL | values))
    shown = snakemake(tmp_path, "-n", "-p", "--configfile", tmp_path / "values.yaml").stdout
    assert f"digits --source {shlex.quote(folder)} " in shown
    assert f"--source {shlex.quote(folder + '/x.pth')} " in shown


def test_a_failed_job_does_not_print_its_settings(tmp_path, forked):
    for name in IDX:
        (tmp_path / name).touch()  # empty, which only the step notices
    values = SMALL | {"data": {"digits": str(tmp_path)}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    target = "results/morphomnist/questions/do.parquet"
    done = snakemake(tmp_path, target, "-p", "--configfile", tmp_path / "values.yaml", check=False)
    assert done.returncode == 1
    assert max(map(len, (done.stdout + done.stderr).splitlines())) < 600
    shown = snakemake(tmp_path, target, "-n", "-p", "--configfile", tmp_path / "values.yaml").stdout
    assert re.search(r"questions do --settings results/morphomnist/settings/\w{16}\.json ", shown)


@pytest.mark.parametrize("file", ["config.yaml", "over.yaml"])
def test_a_section_that_stands_twice_is_refused(tmp_path, file):
    (tmp_path / file).write_text("data: {train: 100}\nseeds: [0]\ndata: {valid: 100}\n")
    over = [] if file == "config.yaml" else ["--configfile", file]
    done = snakemake(tmp_path, "-n", *over, check=False)
    assert done.returncode == 1
    assert f"{file}: 'data' stands on line 1 and again on line 3" in done.stderr
    assert "Traceback" not in done.stderr


def test_values_of_the_command_line_have_yaml_types(tmp_path):
    words = [
        "seeds=[0, 1]",
        "methods=[copy, vae]",
        "models={vae: {training: {steps: 7, learning_rate: 1e-3}}}",
    ]
    every = plan(tmp_path, "--config", *words, "data={train: 5000}")[1]
    assert any("/models/vae/seed1/" in name for name in every)

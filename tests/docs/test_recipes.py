"""The recipes of the documentation, copied word for word into a fresh tree: the workflow plans, and one step runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.forked import forks, variables

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```\{code-block\} \w+\n:caption: ([^\n]+)\n\n(.*?)```", re.S)
TINY = (
    "data: {train: 256, valid: 32, judges: 256, test: 24}\n"
    "questions: {do: {images: 8}, null: {images: 8}, reverse: {images: 8}, sweep: {images: 0}, flip: {images: 0}}\n"
)


def blocks(page):
    found = BLOCK.findall((ROOT / "docs" / "howto" / page).read_text())
    assert found, f"docs/howto/{page} has no code blocks with a caption"
    return found


def apply(tree, page):
    """Writes the files of a page, and inserts its registry lines at the end of the tables that it names."""
    for caption, text in blocks(page):
        path, _, table = caption.partition(", in ")
        file = tree / path
        if table:
            source = file.read_text()
            start = re.search(rf"^{table}\b[^\n]*= \{{$", source, re.M).end()
            end = source.index("\n}\n", start) + 1
            file.write_text(source[:end] + text + source[end:])
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


@pytest.fixture
def tree(tmp_path):
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("src", "workflow", "envs"):
        # With the compiled files, which are valid as long as their sources are not changed.
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.egg-info"))
    return tmp_path


def run(tree, *words, environment=None):
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), **(environment or {})}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return done.stdout + done.stderr


def plan(tree, config):
    (tree / "mine.yaml").write_text(config)
    return run(tree, "snakemake", "-n", "--configfile", "mine.yaml")


def make(tree, *targets, environment=None):
    words = ["--cores", "1", "--configfile", "mine.yaml", "--", *targets]
    return run(tree, "snakemake", *words, environment=environment)


@pytest.mark.slow
def test_a_method_with_a_model_and_a_metric(tree):
    for page in ("method.md", "model.md", "metric.md"):
        apply(tree, page)
    config = TINY + (
        "dataset: pendulum\n"
        "methods: [copy, nearest, linear, truth]\n"
        "scores: {metrics: [axioms, largest_change], fid: {least: 10}}\n"
    )
    planned = plan(tree, config)
    assert "models/linear/seed0/model.safetensors" in planned and "largest_change/seed0.parquet" in planned
    results = "results/pendulum"
    with forks("counterfactory", tree / "src") as address:
        targets = (f"{results}/scores/largest_change/seed0.parquet", f"{results}/tables/main.csv")
        make(tree, *targets, environment=variables(address, tree / "src"))
    main = (tree / results / "tables" / "main.csv").read_text()
    header, *rows = main.splitlines()
    for suite in ("do_angle", "null"):
        assert any(name.startswith(suite) and "largest_change" in name for name in header.split(","))
    assert {"nearest", "linear"} <= {row.split(",")[0] for row in rows}


@pytest.mark.slow
def test_a_data_set(tree):
    apply(tree, "data.md")
    assert "squares" in plan(tree, "dataset: squares\n")  # the data set alone is a configuration
    assert "squares" in plan(tree, (tree / "squares.yaml").read_text())
    make(tree, "results/squares/squares/questions/do.parquet")
    assert (tree / "results" / "squares" / "squares" / "data" / "test" / "images.npy").exists()


@pytest.mark.slow
def test_ones_own_images(tree):
    apply(tree, "images.md")
    subprocess.run([sys.executable, "draw.py"], cwd=tree, check=True)
    first, second = re.search(
        r"```sh\n(.*?)\n(.*?)\n```", (ROOT / "docs/howto/images.md").read_text()
    ).groups()
    run(tree, *first.split())
    planned = run(tree, *second.replace("snakemake", "snakemake -n", 1).split())
    assert "splits of folder" in planned and "Training classifier/seed0" in planned
    (tree / "mine.yaml").write_text((tree / "ellipses.yaml").read_text())
    make(tree, "results/ellipses/folder/questions/do.parquet")
    notes = (tree / "results" / "ellipses" / "folder" / "data" / "notes.txt").read_text()
    assert notes.startswith("photographs.csv: 1,000 rows, 0 left out\n")

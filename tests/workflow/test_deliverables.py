"""Every file that a user reads is an output of a rule: if it is deleted, it is planned again."""

import os
import shutil

import pytest

from counterfactory.config import load_settings, read_config
from counterfactory.metrics.registry import METRICS
from counterfactory.report.names import empty_reason, figure_names, table_names
from tests.workflow.test_workflow import PRESETS, ROOT, plan, snakemake

# Only missing and outdated files: changes of code between two plans are irrelevant here.
PRESET = ["--configfile", PRESETS / "smoke.yaml", "--rerun-triggers", "mtime"]
RESULTS = "results/smoke/morphomnist"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with an empty file for every output of the smoke preset."""
    folder = tmp_path_factory.mktemp("deliverables")
    shutil.copy(ROOT / "config.yaml", folder)
    for name in plan(folder, *PRESET)[1]:
        path = folder / name
        if path.parent.name == "figures" and not path.suffix:
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    snakemake(folder, "--touch", *PRESET)
    assert plan(folder, *PRESET)[0] == {}
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "rules"),
    [
        (("tables/graph.md",), {"tables", "report"}),
        (("figures/training.svg",), {"figures", "report"}),
        (("tables/headline.csv", "figures/distance.png"), {"tables", "figures", "report"}),
        (("report.html",), {"report"}),
        (("settings.json",), {"settings", "report"}),
        (("scores/scores.csv",), {"summarise", "tables", "figures", "report"}),
    ],
)
def test_deleted_files_are_planned_again(made, names, rules):
    paths = [made / RESULTS / name for name in names]
    times = [path.stat().st_mtime_ns for path in paths]
    for path in paths:
        path.unlink()
    planned = plan(made, *PRESET)[0]
    for path, time in zip(paths, times, strict=True):
        path.touch()
        os.utime(path, ns=(time, time))
    assert {f"{RESULTS}/{name}" for name in names} <= set(planned) and set(planned.values()) == rules


def settings(**changes):
    return load_settings(read_config([ROOT / "config.yaml"]) | changes)


SUITES = ("do", "null", "reverse", "flip", "sweep")


def test_names_follow_the_configuration():
    every = settings()
    metrics = ["effectiveness", "axioms", "flip", "graph_consistency"]
    names = table_names(every, SUITES, metrics)
    assert {
        "headline",
        "main",
        "do_thickness",
        "reversibility",
        "flip",
        "flip_thick",
        "flip_digit",
        "graph",
    } <= {*names}
    assert len(names) == len(set(names)) and not {"codes", "identity", "structure"} & set(names)
    assert "codes" in table_names(every, SUITES, [*metrics, "dci"])
    assert "identity" in table_names(every, SUITES, [*metrics, "identity"])
    few = table_names(every, ("do",), metrics)
    assert not {"reversibility", "flip", "flip_thick", "explanations_cost"} & set(few)
    queries = table_names(every, SUITES, metrics, ["thicker"], structure=True)
    assert {"query_thicker", "structure", "structure_attributes"} <= set(queries)
    figures = figure_names(every, SUITES, list(METRICS), ["thicker"], structure=True)
    assert {"sweep_thickness", "queries", "query_grids", "structure", "cost"} <= set(figures)
    assert len(figures) == len(set(figures))


def test_every_name_has_a_reason_for_being_empty():
    every = settings()
    for names in (table_names, figure_names):
        for name in names(every, SUITES, list(METRICS), ["thicker"], structure=True):
            assert empty_reason(name)

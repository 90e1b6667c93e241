"""The workflow has the same results on the cluster as on this machine, and requests the declared resources."""

import os
import shutil

import pytest

from tests.cluster.conftest import PROFILES, RESULTS, ROOT, Workflow

SMOKE = ROOT / "workflow" / "presets" / "smoke.yaml"
# A part of the smoke preset (by default): methods with and without networks, and no download except MNIST.
PART = """\
methods: [copy, vae]
data: {train: 400, valid: 100, judges: 300, test: 60}
questions: {reverse: {images: 0}, flip: {images: 0}, sweep: {images: 0}}
scores: {metrics: [axioms, effectiveness]}
"""
FOLDER = RESULTS.parent / "smoke" / RESULTS.name
TABLES = FOLDER / "tables" / "index.json"
SCM = FOLDER / "models" / "scm" / "seed0" / "model.safetensors"


@pytest.fixture(scope="module")
def smoke(cluster, tmp_path_factory):
    """The smoke preset: started on this machine, then completed on it and, in a copy of the folder, on the cluster."""
    begun = tmp_path_factory.mktemp("smoke") / "run"
    begun.mkdir()
    shutil.copy(ROOT / "config.yaml", begun)
    shutil.copy(SMOKE, begun / "over.yaml")
    if os.environ.get("COUNTERFACTORY_CLUSTER_SMOKE") != "whole":
        (begun / "over_part.yaml").write_text(PART)
    local = Workflow(begun)
    local.locally(TABLES, "--until", SCM, "questions")
    finished = Workflow(tmp_path_factory.mktemp("smoke") / "run", cluster)
    shutil.copytree(begun, finished.folder)
    shutil.rmtree(finished.folder / "ledger")
    process = finished.submit(TABLES)
    try:
        finished.finish(process)
    finally:
        finished.close()
    local.locally(TABLES)
    return local, finished


def read(workflow: Workflow, folder: str) -> dict[str, bytes]:
    where = workflow.folder / FOLDER / folder
    return {str(path.relative_to(where)): path.read_bytes() for path in where.rglob("*") if path.is_file()}


def test_tables_are_equal_bit_for_bit(smoke):
    local, finished = (
        {
            name: text
            for name, text in read(one, "tables").items()
            if not name.startswith(("cost", "explanations_cost"))
        }
        for one in smoke
    )
    assert len(local) > 5
    assert finished == local
    scores = [(one.folder / FOLDER / "scores" / "scores.csv").read_bytes() for one in smoke]
    assert scores[0] == scores[1]


def test_networks_and_answers_are_equal_bit_for_bit(smoke):
    weights, images = (
        [{name: text for name, text in read(one, folder).items() if name.endswith(suffix)} for one in smoke]
        for folder, suffix in (("models", ".safetensors"), ("answers", ".npy"))
    )
    assert weights[0] and weights[0] == weights[1]
    assert images[0] and images[0] == images[1]


def test_what_was_begun_on_one_machine_is_finished_on_the_cluster_and_not_redone(smoke):
    local, finished = smoke
    begun = ("synthesise", "train.scm", "questions")
    before = {one["step"] for one in local.ledger() if one["step"].startswith(begun)}
    assert all(any(step.startswith(name) for step in before) for name in begun)
    after = [one["step"] for one in finished.ledger()]
    assert not before & set(after)
    assert len(after) == len(set(after))


def test_every_gpu_job_sees_one_gpu_and_shares_it_with_nobody(smoke):
    finished = smoke[1]
    ended = {one["pid"]: one["time"] for one in finished.ledger("ended")}
    trained = finished.ledger(step="train")
    assert len(trained) >= 4
    assert all(one["job"] and one["gpus"] in ("0", "1") for one in trained)
    for one in trained:
        device = (one["node"], one["gpus"])
        others = [other for other in finished.ledger() if other["job"] != one["job"] and other["gpus"]]
        for other in others:
            apart = other["time"] > ended[one["pid"]] or ended[other["pid"]] < one["time"]
            assert apart or (other["node"], other["gpus"]) != device
    # A chunk without a network has none.
    assert {one["gpus"] for one in finished.ledger(step="answer.copy")} <= {None, ""}


def test_one_process_answers_what_needs_no_network(smoke):
    asked = [one["step"].split(".")[1:3] for one in smoke[1].ledger(step="answer")]
    assert asked.count(["copy", "do"]) == 1
    assert asked.count(["vae", "do"]) > 1


def test_cheap_steps_are_no_jobs(smoke):
    assert not {one["job"] for step in ("summarise", "tables") for one in smoke[1].ledger(step=step)} - {None}


def test_accounting_shows_what_was_asked(smoke):
    cluster = smoke[1].cluster
    if not cluster.accounting:
        pytest.skip("no slurmdbd or MariaDB on this machine")
    shown = cluster.call(
        "sacct",
        "--allusers",
        "--allocations",
        "--noheader",
        "--parsable2",
        "--format",
        "JobIDRaw,Comment,ReqTRES,TimelimitRaw",
    )
    asked = {job: rest for job, *rest in (line.split("|") for line in shown.splitlines())}
    for one in smoke[1].ledger(step="train"):
        comment, resources, minutes = asked[one["job"]]
        assert comment.startswith("rule_train")
        assert "gres/gpu=1" in resources
        assert "cpu=1" in resources
        assert int(minutes) >= 30
    for one in smoke[1].ledger(step="answer.copy"):
        assert "gpu" not in asked[one["job"]][1]


def test_any_submit_command_will_do(small, expected):
    status = PROFILES / "cluster-generic" / "status.sh"
    options = [
        "--cluster-generic-status-cmd",
        status,
        "--seconds-between-status-checks",
        "2",
        "--latency-wait",
        "10",
    ]
    small.finish(small.submit(RESULTS / "tables" / "index.json", *options, profile="cluster-generic"))
    assert small.result() == expected
    assert len(small.ledger(step="answer")) == 4
    assert None not in {one["job"] for one in small.ledger(step="answer")}

"""Jobs fail in all ways of a cluster: the tables are the same, and no complete output is computed twice."""

import os
import re
import signal
import subprocess
import time

import pytest

from tests.cluster.conftest import RESULTS, Workflow

TABLES = RESULTS / "tables" / "index.json"
# One chunk has too little memory, and one too little time.
SCARCE = [
    "--set-resources",
    "answer:mem_mb=800*attempt if wildcards.chunk.startswith('000240') else 1500",
    "answer:runtime=attempt if wildcards.chunk.startswith('000360') else 60",
]
LEFT = [
    f"answer.copy.null.{chunk}"
    for chunk in ("000000-000120", "000120-000240", "000240-000360", "000360-000480")
]
CANCELLED, KILLED, GREEDY, SLOW = LEFT
# In most tests these were computed on this machine before.
UNHURT = [f"answer.copy.reverse.{chunk}" for chunk in ("000000-000120", "000120-000240")]
# A controller that is killed does not hear of the ends of jobs while it is down, and may forget those of the last
# seconds before. The node then reports the end again (FAILED), or registers without the job (NODE_FAIL).
UNHEARD = {"FAILED", "NODE_FAIL"}


def began(workflow: Workflow, step: str) -> dict | None:
    return next(iter(workflow.ledger(step=step)), None)


def chunk_file(workflow: Workflow, step: str):
    _, method, suite, chunk = step.split(".")
    return workflow.folder / RESULTS / "answers" / method / "seed0" / suite / f"{chunk}.npy"


def log_file(workflow: Workflow, step: str):
    _, method, suite, chunk = step.split(".")
    return workflow.folder / RESULTS / "logs" / "answer" / method / "seed0" / suite / f"{chunk}.log"


def spare_file(workflow: Workflow, step: str):
    path = chunk_file(workflow, step)
    return path.parent / f".{path.stem}.recovery" / path.name


@pytest.fixture(scope="module")
def storm(small_of_module):
    """One run in which four chunks fail in different ways, and the controller is down for some time."""
    workflow, cluster = small_of_module, small_of_module.cluster
    for step, what in {
        CANCELLED: "sleep 600",
        KILLED: "sleep 600",
        GREEDY: "grow 1200",
        SLOW: "sleep 600",
    }.items():
        workflow.strike(step, what)
    process = workflow.submit(TABLES, *SCARCE)
    cancelled = workflow.wait(lambda: began(workflow, CANCELLED), process)
    cluster.call("scancel", cancelled["job"])
    workflow.wait(lambda: state(workflow, CANCELLED) == "CANCELLED", process, 30)
    killed = workflow.wait(lambda: began(workflow, KILLED), process)
    os.kill(killed["pid"], signal.SIGKILL)
    # All jobs are in the queue, so the controller can be stopped.
    workflow.wait(lambda: all(began(workflow, step) for step in LEFT + UNHURT), process)
    cluster.stop_controller()
    time.sleep(8)
    cluster.start_controller()
    workflow.finish(process)
    return workflow


def state(workflow: Workflow, step: str) -> str:
    """Returns the final state of the first job of a step, according to the controller."""
    shown = workflow.cluster.call("scontrol", "--oneliner", "show", "job", began(workflow, step)["job"])
    return next(word for word in shown.split() if word.startswith("JobState=")).removeprefix("JobState=")


def test_after_a_storm_the_tables_are_the_same(storm, expected):
    assert storm.result() == expected


@pytest.mark.parametrize(
    ("step", "states"),
    [
        pytest.param(CANCELLED, {"CANCELLED"} | UNHEARD, id="scancel"),
        pytest.param(KILLED, UNHEARD, id="kill -9"),
        pytest.param(GREEDY, {"OUT_OF_MEMORY", "CANCELLED"} | UNHEARD, id="out of memory"),
        pytest.param(SLOW, {"TIMEOUT"}, id="past its time limit"),
    ],
)
def test_a_job_that_died_is_made_again_once(storm, step, states):
    first, *again = storm.ledger(step=step)
    assert state(storm, step) in states
    assert not [one for one in storm.ledger("ended", step) if one["job"] == first["job"]]
    assert [one["step"] for one in storm.ledger("ended", step)] == [step]
    assert len(again) == 1
    assert again[0]["job"] != first["job"]


@pytest.mark.parametrize(
    ("step", "pattern", "first"), [(SLOW, r"TimeLimit=00:0(\d):00", 1), (GREEDY, r"mem=(\d+)M", 800)]
)
def test_each_attempt_has_more(storm, step, pattern, first):
    jobs = [one["job"] for one in storm.ledger(step=step)]
    shown = [storm.cluster.call("scontrol", "--oneliner", "show", "job", job) for job in jobs]
    asked = [int(re.search(pattern, one)[1]) for one in shown]
    # On a busy machine a minute may pass before the step starts.
    assert asked[0] % first == 0
    assert asked[1] == asked[0] + first


def test_chunks_that_nothing_happened_to_were_made_once(storm):
    for step in UNHURT:
        # A controller that is killed may forget that a job had ended, and the job is submitted again: it finds the
        # chunk whole and does not make it again.
        again = len(storm.ledger(step=step)) > 1
        assert again == ("restored from its recovery copy" in log_file(storm, step).read_text())


def test_a_node_goes_down(small, expected):
    cluster = small.cluster
    for step in LEFT:
        small.strike(step, "sleep 20")
    # More than half the memory of a node, so that both nodes have some of the jobs.
    process = small.submit(TABLES, "--set-resources", "answer:mem_mb=5000")
    lost = small.wait(lambda: next((one["node"] for one in small.ledger(step="answer")), None), process)
    cluster.lose_node(lost)
    try:
        small.finish(process)
    finally:
        cluster.start_node(lost)
        cluster.call("scontrol", "update", f"NodeName={lost}", "State=RESUME")
        cluster.wait_idle()
    assert small.result() == expected
    after = {step: [one["node"] for one in small.ledger("ended", step)] for step in LEFT}
    assert all(len(nodes) == 1 for nodes in after.values())
    # Chunks that had started on the lost node were computed on the other one.
    again = [step for step in LEFT if len(small.ledger(step=step)) > 1]
    assert again
    assert all(small.ledger(step=step)[0]["node"] == lost and lost not in after[step] for step in again)


def test_interrupted_then_killed_then_run_again(small, expected):
    """Ctrl-C cancels all jobs; jobs of a killed run continue, and the next run uses their outputs."""
    cluster = small.cluster
    late = LEFT[1]
    small.strike(late, "sleep 600")
    process = small.submit(TABLES)
    small.wait(lambda: len(small.ledger("ended", "answer")) == 3 and began(small, late), process)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(120) != 0
    small.wait(lambda: not cluster.call("squeue", "--noheader").strip() and not cluster.steps(), seconds=30)
    assert not chunk_file(small, late).exists()
    # Snakemake deletes outputs that it considers incomplete; the recovery copies remain, and nothing is computed again.
    whole = [step for step in LEFT if step != late]
    first = {step: spare_file(small, step).stat().st_ino for step in whole}

    # The same with SIGKILL, while one chunk is still being computed.
    small.strike(late, "sleep 25")
    process = small.submit(TABLES)
    small.wait(lambda: len(small.ledger(step=late)) == 2, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(small.command("--unlock"), env=small.environment(), check=True, capture_output=True)
    process = small.submit(TABLES)
    small.wait(lambda: spare_file(small, late).with_name("seal").exists(), process)
    first[late] = spare_file(small, late).stat().st_ino
    small.finish(process)
    assert small.result() == expected
    assert {step: chunk_file(small, step).stat().st_ino for step in LEFT} == first
    assert not list(small.folder.rglob(".*.recovery"))


def test_half_of_an_output_is_no_output(small, expected):
    """A chunk with a missing file, as after the failure of a node, is computed again; the others are not."""
    small.finish(small.submit(TABLES, "--until", "answer"))
    chunk_file(small, LEFT[0]).with_suffix(".parquet").unlink()
    small.locally(TABLES)
    assert small.result() == expected
    assert [len(small.ledger(step=step)) for step in LEFT] == [2, 1, 1, 1]
    # Chunks that were computed on this machine before are not computed again on the cluster.
    assert not [step for step in UNHURT if small.ledger(step=step)]

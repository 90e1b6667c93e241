"""Fixtures of the tests on the cluster: the cluster, a small workflow for tests of failures, and its expected result.

Only the machines are emulated (see slurm.py): Slurm, the profile, the rules and the steps are the real ones. The small
workflow copies digits and scores the copies: six chunks, four of one suite and two of another, without training. The
steps before the chunks run once, on this machine, and every test starts from a copy of that folder.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster.slurm import Cluster, missing

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "workflow" / "profiles"
RESULTS = Path("results", "morphomnist")
# A chunk of a method without a network has 20 times chunk_size questions: here 120.
SMALL = """\
methods: [copy]
data: {train: 200, valid: 20, judges: 200, test: 480}
questions:
  do: {images: 0}
  null: {images: 480, cycles: [1]}
  reverse: {images: 120, cycles: [1], interventions: [thickness, digit]}
  sweep: {images: 0}
  flip: {images: 0}
scores: {metrics: [axioms]}
answers: {chunk_size: 6, batch_size: 60}
"""
# Polls more often than a user would.
QUICK = ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two nodes with two GPUs each; with accounting if its packages are installed."""
    if lacking := missing():
        pytest.skip(f"no Slurm on this machine ({', '.join(lacking)} missing): see make cluster-test")
    one = Cluster(tmp_path_factory.mktemp("slurm"), accounting=not missing(accounting=True))
    one.start()
    yield one
    one.stop()
    assert not one.steps(), "processes of jobs outlived the cluster"


@dataclass
class Workflow:
    """The workflow in a folder of its own, run on this machine or on the cluster.

    Arguments:
        folder: The folder, which holds config.yaml and over.yaml.
        cluster: The cluster that `submit` uses.
    """

    folder: Path
    cluster: Cluster | None = None
    started: list[subprocess.Popen] = field(default_factory=list)

    def command(self, *words: object, profile: str = "slurm") -> list[str]:
        """Returns the command line that runs the workflow under a profile."""
        where = ["--snakefile", ROOT / "Snakefile", "--directory", self.folder]
        files = ["--configfile", *sorted(self.folder.glob("over*.yaml"))]
        whole = [sys.executable, "-m", "snakemake", *where, *files, "--profile", PROFILES / profile, *words]
        return [str(word) for word in whole]

    def environment(self, **more: str) -> dict[str, str]:
        (self.folder / "ledger" / "faults").mkdir(parents=True, exist_ok=True)
        here = os.environ | (self.cluster.environment if self.cluster else {}) | more
        path = os.pathsep.join(
            [str(ROOT / "tests" / "cluster" / "hooks"), *filter(None, [here.get("PYTHONPATH")])]
        )
        return here | {"COUNTERFACTORY_LEDGER": str(self.folder / "ledger"), "PYTHONPATH": path}

    def locally(self, *words: object, **more: str) -> str:
        """Runs on this machine and returns the output; the test fails if the run fails."""
        command = self.command(*words, "--cores", "2", profile="local")
        done = subprocess.run(
            command,
            env=self.environment(**more),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    def submit(self, *words: object, profile: str = "slurm", **more: str) -> subprocess.Popen:
        """Starts a run on the cluster."""
        options = QUICK if profile == "slurm" else []
        with open(self.folder / "said", "ab") as said:
            process = subprocess.Popen(
                self.command(*words, *options, profile=profile),
                env=self.environment(**more),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Tests that run in the background ignore Ctrl-C, and child processes would inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen, seconds: float = 1200) -> None:
        """Waits for a run to succeed."""
        assert process.wait(seconds) == 0, self.said()[-6000:]

    def said(self) -> str:
        return (self.folder / "said").read_text(errors="replace")

    def close(self) -> None:
        """Ends processes that a failed test left running."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    # --- events

    def strike(self, step: str, what: str) -> None:
        """Injects the fault `what` into a step, once: `sleep S` or `grow MB`."""
        self.environment()
        (self.folder / "ledger" / "faults" / step).write_text(what)

    def ledger(self, event: str = "began", step: str = "") -> list[dict]:
        """Returns the entries of the ledger: starts or ends of steps."""
        path = self.folder / "ledger" / "ledger.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        entries = [json.loads(line) for line in lines]
        return [one for one in entries if one["event"] == event and one["step"].startswith(step)]

    def wait(self, true: Callable[[], object], process: subprocess.Popen | None = None, seconds: float = 900):
        """Waits until a condition is true and returns its value; the test fails if the run ends before."""
        end = time.monotonic() + seconds
        while not (found := true()):
            assert process is None or process.poll() is None, self.said()[-6000:]
            assert time.monotonic() < end, self.said()[-6000:]
            time.sleep(0.2)
        return found

    def result(self) -> dict[str, bytes]:
        """Returns the tables by name, without the table of costs, which contains times."""
        files = [RESULTS / "scores" / "scores.csv", *sorted((self.folder / RESULTS / "tables").glob("*"))]
        return {
            path.name: (self.folder / path).read_bytes() for path in files if not path.name.startswith("cost")
        }


@pytest.fixture(scope="session")
def asked(tmp_path_factory) -> Path:
    """A folder in which all steps up to the questions have run on this machine."""
    folder = tmp_path_factory.mktemp("asked")
    shutil.copy(ROOT / "config.yaml", folder)
    (folder / "over.yaml").write_text(SMALL)
    Workflow(folder).locally(RESULTS / "tables" / "index.json", "--until", "questions")
    shutil.rmtree(folder / "ledger")
    return folder


@pytest.fixture(scope="session")
def expected(asked, tmp_path_factory) -> dict[str, bytes]:
    """The tables of the small workflow, computed on this machine only."""
    folder = tmp_path_factory.mktemp("local") / "run"
    shutil.copytree(asked, folder)
    local = Workflow(folder)
    local.locally(RESULTS / "tables" / "index.json")
    assert len(local.ledger(step="answer")) == 6
    result = local.result()
    assert len(result) > 3
    return result


@pytest.fixture(scope="session")
def begun(asked, tmp_path_factory) -> Path:
    """The same folder with the answers to one of the two suites, computed on this machine."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    shutil.copytree(asked, folder)
    chunks = ("000000-000120", "000120-000240")
    local = Workflow(folder)
    local.locally(*(RESULTS / "answers" / "copy" / "seed0" / "reverse" / f"{chunk}.npy" for chunk in chunks))
    shutil.rmtree(folder / "ledger")
    return folder


@pytest.fixture
def small(begun, cluster, tmp_path):
    """The small workflow in a new folder, started on this machine: four chunks remain."""
    workflow = _copy(begun, tmp_path / "run", cluster)
    yield workflow
    workflow.close()


@pytest.fixture(scope="module")
def small_of_module(asked, cluster, tmp_path_factory):
    """The small workflow in a folder for several tests of one run, with questions: all six chunks remain."""
    workflow = _copy(asked, tmp_path_factory.mktemp("shared") / "run", cluster)
    yield workflow
    workflow.close()


def _copy(asked: Path, folder: Path, cluster: Cluster) -> Workflow:
    shutil.copytree(asked, folder)
    return Workflow(folder, cluster)

"""GPU leases: one job per GPU, the allowed number of jobs, no lease if a GPU is already set. GPUs are emulated."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from counterfactory.core import gpu_lease
from counterfactory.core.errors import UserError
from counterfactory.core.gpu_lease import lease, local_gpus

HOLD = """
import os, sys, time
from counterfactory.core.gpu_lease import lease
with lease(gpus=sys.argv[2].split(","), folder=sys.argv[1]) as gpu:
    print(gpu, os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "COUNTERFACTORY_GPUS", "COUNTERFACTORY_JOBS_PER_GPU"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpu_lease, "WAIT", 0.01)


def hold(folder, gpus: str) -> subprocess.Popen:
    """A job that holds a lease until it is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), gpus],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_one_job_a_gpu_and_a_killed_job_holds_none(tmp_path):
    jobs = [hold(tmp_path, "3,5"), hold(tmp_path, "3,5")]
    try:
        seen = sorted(job.stdout.readline().split() for job in jobs)
        assert seen == [["3", "3"], ["5", "5"]]
        late = hold(tmp_path, "3,5")
        jobs.append(late)
        time.sleep(0.3)
        assert late.poll() is None
        jobs[0].kill()
        assert late.stdout.readline().split()[0] in {"3", "5"}
    finally:
        for job in jobs:
            job.kill()
            job.wait()


def test_shared_gpus_fill_evenly(tmp_path, monkeypatch):
    seen = []
    with ExitStack() as stack:
        for _ in range(4):
            seen.append(stack.enter_context(lease(share=2, gpus=["0", "1"], folder=tmp_path)))
            # Each lease is another job, which must not have the environment variables of the previous one.
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert seen == ["0", "1", "0", "1"]


def test_the_environment_is_as_before(tmp_path):
    with lease(gpus=["7"], folder=tmp_path) as gpu:
        assert gpu == os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize("set_by_scheduler", ["2", "", "GPU-1234"])
def test_a_scheduler_decides(tmp_path, monkeypatch, set_by_scheduler):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", set_by_scheduler)
    with lease(gpus=["7"], folder=tmp_path / "locks") as gpu:
        assert gpu is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == set_by_scheduler
    assert not (tmp_path / "locks").exists()


def test_no_gpu_is_no_lease(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local_gpus() == []
    with lease() as gpu:
        assert gpu is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_the_environment_names_gpus_and_shares(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERFACTORY_GPUS", "4, 6")
    monkeypatch.setenv("COUNTERFACTORY_JOBS_PER_GPU", "2")
    assert local_gpus() == ["4", "6"]
    with lease(folder=tmp_path) as first:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        with lease(folder=tmp_path) as second:
            assert (first, second) == ("4", "6")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COUNTERFACTORY_GPUS", "0,0"),
        ("COUNTERFACTORY_GPUS", "../0"),
        ("COUNTERFACTORY_JOBS_PER_GPU", "0"),
        ("COUNTERFACTORY_JOBS_PER_GPU", "two"),
    ],
)
def test_refuses_what_it_cannot_read(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv("COUNTERFACTORY_GPUS", "0")
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=name), lease(folder=tmp_path):
        pass

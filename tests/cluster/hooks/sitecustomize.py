"""Records the steps of a workflow and injects faults; imported first by every Python with this folder in PYTHONPATH.

If COUNTERFACTORY_LEDGER names a folder, each step of the workflow writes there its start, its node, its GPUs and its
end. A file `faults/<step>` in that folder is a fault of that step, injected once: `sleep S` seconds before its work,
or `grow MB` of memory.
"""

import atexit
import json
import os
import sys
import time
from pathlib import Path

# Of `counterfactory <step> <words> --options`, the words that name the job.
_WORDS = {"answer": 3, "score": 2, "train": 1, "questions": 1}


def _step() -> str | None:
    words = sys.orig_argv
    if words[1:3] != ["-m", "counterfactory"] or len(words) < 4:
        return None
    return ".".join(words[3 : 4 + _WORDS.get(words[3], 0)])


def _write(folder: Path, **values: object) -> None:
    line = json.dumps({**values, "time": time.time()}) + "\n"
    # One write in append mode: lines of jobs that end together do not mix.
    with open(folder / "ledger.jsonl", "ab", buffering=0) as file:
        file.write(line.encode())


def _strike(folder: Path, step: str) -> None:
    fault = folder / "faults" / step
    try:
        what, amount = fault.read_text().split()
        fault.rename(folder / f"struck.{step}")
    except FileNotFoundError:
        return
    if what == "grow":
        held = b"x" * (int(amount) * 2**20)
        time.sleep(60)
        del held
    time.sleep(float(amount))


_folder = os.environ.get("COUNTERFACTORY_LEDGER")
_name = _step() if _folder else None
if _folder and _name:
    _where = {
        "step": _name,
        "pid": os.getpid(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "node": os.environ.get("SLURMD_NODENAME"),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "cpus": os.environ.get("SLURM_CPUS_PER_TASK"),
    }
    _write(Path(_folder), event="began", **_where)
    atexit.register(_write, Path(_folder), event="ended", **_where)
    _strike(Path(_folder), _name)

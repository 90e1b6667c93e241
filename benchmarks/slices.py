"""Runs the workflow in slices of minutes, for a GPU that is available for a limited time at once.

    python benchmarks/slices.py --preset paper --minutes 9

The same command, run again, resumes. The exit status is 0 when everything is made, and 75 when another slice is needed.
Half a minute before the end of a slice, trainings save their state and stop (COUNTERFACTORY_TRAIN_UNTIL). A chunk of
answers resumes after its last complete batch, and finished steps are kept.

Prints a line of JSON: the steps that finished in this slice; the updates and images per second of each finished
training; the mean utilization of the GPU over the slice, its largest memory and its mean power.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import mean

from counterfactory.config import load_settings, read_config

ROOT = Path(__file__).parents[1]
EARLY = 30.0  # seconds before the end at which trainings stop
QUERY = [
    "nvidia-smi",
    "--query-gpu=utilization.gpu,memory.used,power.draw",
    "--format=csv,noheader,nounits",
    "-l",
    "1",
]


def main() -> int:
    """Runs one slice and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--config", type=Path, nargs="*", default=[], help="files that override the preset")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--cores", default="all")
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="working folder, with config.yaml and results"
    )
    parser.add_argument("words", nargs="*", help="further arguments of snakemake after --, such as targets")
    args = parser.parse_args()

    began = time.time()
    end = began + 60 * args.minutes
    overlays = [ROOT / "workflow" / "presets" / f"{args.preset}.yaml", *args.config]
    settings = load_settings(read_config([args.folder / "config.yaml", *overlays]))
    results = args.folder / settings.results / settings.dataset
    before = set(results.glob("benchmarks/**/*.jsonl"))
    words = ["--snakefile", ROOT / "Snakefile", "--directory", args.folder, "--cores", args.cores, "--nolock"]
    words += ["--profile", ROOT / "workflow" / "profiles" / "local", "--retries", "0"]
    words += ["--configfile", *overlays, "--", *args.words] if args.words else ["--configfile", *overlays]
    environment = os.environ | {"COUNTERFACTORY_TRAIN_UNTIL": str(end - EARLY)}
    with _Gpu() as gpu:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *map(str, words)], env=environment, start_new_session=True
        )
        status = _wait(process, end)
    made = sorted(
        str(path.relative_to(results / "benchmarks").with_suffix(""))
        for path in set(results.glob("benchmarks/**/*.jsonl")) - before
    )
    report = {
        "seconds": round(time.time() - began, 1),
        "finished": status == 0,
        "made": made,
        "trainings": _trainings(results),
        "gpu": gpu.summary(),
    }
    print(json.dumps(report), flush=True)
    return 0 if status == 0 else 75


def _wait(process: subprocess.Popen, end: float) -> int:
    """Waits for the workflow until `end`, then stops it, and returns its status."""
    for how, seconds in ((None, end - time.time()), (signal.SIGINT, 30), (signal.SIGKILL, 30)):
        if how is not None:
            os.killpg(process.pid, how)
        try:
            return process.wait(max(seconds, 1))
        except subprocess.TimeoutExpired:
            continue
    return process.wait()


def _trainings(results: Path) -> dict[str, dict]:
    """Returns the updates and images per second of each finished training."""
    rates = {}
    for path in sorted(results.glob("models/**/model.json")):
        meta = json.loads(path.read_text())
        training, settings = meta.get("training", {}), meta.get("settings", {})
        if training.get("seconds") and "batch_size" in settings:
            rate = training["step"] / training["seconds"]
            rates[str(path.parent.relative_to(results / "models"))] = {
                "updates": training["step"],
                "updates_per_second": round(rate, 1),
                "images_per_second": round(rate * settings["batch_size"]),
            }
    return rates


class _Gpu:
    """Records utilization, memory and power of the GPU every second, if there is one."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "_Gpu":
        if shutil.which(QUERY[0]):
            self.process = subprocess.Popen(
                QUERY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            threading.Thread(target=self._read, args=[self.process.stdout], daemon=True).start()
        return self

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            try:
                self.rows.append([float(word) for word in line.split(",")])
            except ValueError:
                continue

    def __exit__(self, *error: object) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()

    def summary(self) -> dict[str, float] | None:
        if not self.rows:
            return None
        busy, memory, power = zip(*self.rows, strict=True)
        return {"busy_percent": round(mean(busy), 1), "memory_mb": max(memory), "watt": round(mean(power))}


if __name__ == "__main__":
    sys.exit(main())

"""Measures the overhead of the workflow: planning, submission and starting of chunks with almost no work.

    python benchmarks/workflow.py 1000 10000                # planning and running, on this machine
    python benchmarks/workflow.py 100 --cluster             # on the test cluster, grouped and not

The graph is that of this workflow with small chunks (`answers.chunk_size: 1`). It is built with `--rulegraph` and
planned with `--dry-run`. The chunks with almost no work are jobs of a rule that creates an empty file and uses the same
profiles, so that only the overhead of Snakemake, and of Slurm, remains. On the cluster, a chunk is one job, or several
chunks are one job, in which they run one after another in a process each.

Prints one line of JSON per measurement: what was measured, the number of chunks, seconds in total, milliseconds per
chunk, CPU seconds of the workflow's own processes (without those of the cluster's jobs), and MB.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "workflow" / "profiles"
# Without bytecode files every process would compile all its imports again: seconds of CPU each.
ENVIRONMENT = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
TRIVIAL = """\
# Without this resource, the members of a group run in parallel, each on a core.
resource_scopes:
    turn="local",


rule all:
    input:
        expand("done/{chunk}", chunk=range(config["chunks"])),


rule chunk:
    output:
        touch("done/{chunk}"),
    group: "chunks"
    resources:
        mem_mb=500,
        runtime=30,
        turn=1,
    shell:
        "true"
"""


def run(what: str, chunks: int, words: list[str], folder: Path, environment: dict[str, str]) -> dict:
    """Runs snakemake and returns its time and memory."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(folder / "log", "w") as log:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit((folder / "log").read_text()[-3000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "what": what,
        "chunks": chunks,
        "seconds": round(seconds, 1),
        "ms_a_chunk": round(1000 * seconds / chunks, 2),
        "cpu_seconds": round(cpu, 1),
        "max_rss_mb": after.ru_maxrss // 1024,
    }


def plan(chunks: int, folder: Path) -> Iterator[dict]:
    """Builds and plans the graph of this workflow, with two methods, one suite, and one question per chunk."""
    shutil.copy(ROOT / "config.yaml", folder)
    (folder / "over.yaml").write_text(
        f"methods: [vae, hvae]\nquestions: {{do: {{images: 0}}, reverse: {{images: 0}}, sweep: {{images: 0}},"
        f" flip: {{images: 0}}, null: {{images: {chunks // 2}, cycles: [1]}}}}\n"
        f"data: {{test: 10000}}\nscores: {{metrics: [axioms]}}\nanswers: {{chunk_size: 1}}\n"
    )
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--configfile", "over.yaml"]
    for what in ("--rulegraph", "--dry-run"):
        words = [*where, what, "--quiet", "all", "--profile", str(PROFILES / "local")]
        yield run(f"this workflow {what}", chunks, words, folder, ENVIRONMENT)


def trivial(
    chunks: int, folder: Path, words: list[str], what: str, environment: dict[str, str], turns: int
) -> dict:
    """Runs chunks with almost no work, `turns` of a group at once."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "Snakefile").write_text(TRIVIAL)
    words = [*words, "--config", f"chunks={chunks}", "--quiet", "all", "--show-failed-logs"]
    words += ["--resources", f"turn={turns}"]
    return run(what, chunks, words, folder, environment)


def main() -> None:
    """Prints one line of JSON per measurement."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("chunks", type=int, nargs="+")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--plan", action="store_true", help="only build and plan the graph of this workflow")
    parser.add_argument("--cluster", action="store_true", help="run on the test cluster")
    parser.add_argument(
        "--components", type=int, nargs="+", default=[1, 20, 100], help="chunks per job, on the cluster"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "run"
        for chunks in args.chunks:
            if not args.cluster:
                folder.mkdir(exist_ok=True)
                for result in plan(chunks, folder):
                    print(json.dumps(result), flush=True)
                shutil.rmtree(folder)
            if not args.cluster and not args.plan:
                words = ["--profile", str(PROFILES / "local"), "--cores", args.cores]
                print(json.dumps(trivial(chunks, folder, words, "local", ENVIRONMENT, chunks)), flush=True)
        if args.cluster:
            on_the_cluster(args.chunks, args.components, Path(root), folder)


def on_the_cluster(counts: list[int], components: list[int], root: Path, folder: Path) -> None:
    """Runs chunks with almost no work on the test cluster, with each number of chunks per job."""
    sys.path.insert(0, str(ROOT / "tests" / "cluster"))
    from slurm import Cluster

    cluster = Cluster(root / "slurm")
    cluster.start()
    try:
        for chunks in counts:
            for together in components:
                words = ["--profile", str(PROFILES / "slurm"), "--group-components", f"chunks={together}"]
                words += ["--slurm-init-seconds-before-status-checks", "2"]
                what = f"slurm, {together} per job"
                done = trivial(chunks, folder, words, what, ENVIRONMENT | cluster.environment, 1)
                print(json.dumps(done), flush=True)
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()

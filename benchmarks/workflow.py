"""What the workflow costs beside the work: the graph, submission, and a chunk, for many chunks of next to no work.

    python benchmarks/workflow.py 1000 10000                # planning and running, on this machine
    python benchmarks/workflow.py 100 --cluster             # on the test cluster, grouped and not

The graph is that of this workflow with its chunks cut small (`answers.chunk_size: 1`), made for `--rulegraph`, which
does nothing else, and planned with `--dry-run`. The chunks of trivial work are a rule of its own that makes an empty
file, run through the same profiles: what is left is Snakemake, and Slurm. On the cluster a chunk is a job, or many are
one job and run in it one after another, a process each. One line of JSON a measurement: what, chunks, seconds in all,
milliseconds a chunk, CPU seconds of the workflow's own processes (not of the cluster's jobs), MB.
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
# Where bytecode files are forbidden, every process would compile all it imports anew: seconds of CPU each.
ENVIRONMENT = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
TRIVIAL = """\
# A group runs its members at once, on as many cores, unless they have to take turns.
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
    """Runs snakemake and returns what it cost."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(folder / "said", "w") as said:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit((folder / "said").read_text()[-3000:])
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
    """Makes the graph of this workflow, and plans it: two methods, one suite, a question a chunk."""
    shutil.copy(ROOT / "config.yaml", folder)
    (folder / "over.yaml").write_text(
        f"methods: [vae, hvae]\nquestions: {{do: {{images: 0}}, reverse: {{images: 0}}, sweep: {{images: 0}},"
        f" flip: {{images: 0}}, null: {{images: {chunks // 2}, cycles: [1]}}}}\n"
        f"data: {{test: 10000}}\nmarks: {{metrics: [axioms]}}\nanswers: {{chunk_size: 1}}\n"
    )
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--configfile", "over.yaml"]
    for what in ("--rulegraph", "--dry-run"):
        words = [*where, what, "--quiet", "all", "--profile", str(PROFILES / "local")]
        yield run(f"this workflow {what}", chunks, words, folder, ENVIRONMENT)


def trivial(
    chunks: int, folder: Path, words: list[str], what: str, environment: dict[str, str], turns: int
) -> dict:
    """Runs chunks of trivial work, `turns` at once within a group."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "Snakefile").write_text(TRIVIAL)
    words = [*words, "--config", f"chunks={chunks}", "--quiet", "all", "--show-failed-logs"]
    words += ["--resources", f"turn={turns}"]
    return run(what, chunks, words, folder, environment)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("chunks", type=int, nargs="+")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--plan", action="store_true", help="only plan this workflow")
    parser.add_argument("--cluster", action="store_true", help="run on the test cluster")
    parser.add_argument(
        "--components", type=int, nargs="+", default=[1, 20, 100], help="chunks a job, on the cluster"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "run"
        for chunks in args.chunks:
            if not args.cluster:
                folder.mkdir(exist_ok=True)
                for told in plan(chunks, folder):
                    print(json.dumps(told), flush=True)
                shutil.rmtree(folder)
            if not args.cluster and not args.plan:
                words = ["--profile", str(PROFILES / "local"), "--cores", args.cores]
                print(json.dumps(trivial(chunks, folder, words, "local", ENVIRONMENT, chunks)), flush=True)
        if args.cluster:
            on_the_cluster(args.chunks, args.components, Path(root), folder)


def on_the_cluster(counts: list[int], components: list[int], root: Path, folder: Path) -> None:
    """Runs chunks of trivial work on the test cluster, so many of them a job."""
    sys.path.insert(0, str(ROOT / "tests" / "cluster"))
    from slurm import Cluster

    cluster = Cluster(root / "slurm")
    cluster.start()
    try:
        for chunks in counts:
            for together in components:
                words = ["--profile", str(PROFILES / "slurm"), "--group-components", f"chunks={together}"]
                words += ["--slurm-init-seconds-before-status-checks", "2"]
                what = f"slurm, {together} a job"
                done = trivial(chunks, folder, words, what, ENVIRONMENT | cluster.environment, 1)
                print(json.dumps(done), flush=True)
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()

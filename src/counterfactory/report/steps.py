"""Reads run time and memory of each workflow step from Snakemake's benchmark files."""

import csv
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Step", "read_steps"]


@dataclass(frozen=True)
class Step:
    """All jobs of one step.

    Arguments:
        name: The name of the rule.
        jobs: The number of jobs.
        seconds: Their total wall-clock time.
        cpu_seconds: Their total processor time; `None` where it was not measured.
        peak_mb: The largest memory of one job in MB; `None` where it was not measured.
        parts: The same for each method, model or metric that the rule ran for.
    """

    name: str
    jobs: int
    seconds: float
    cpu_seconds: float | None
    peak_mb: float | None
    parts: tuple["Step", ...] = ()


def read_steps(folder: Path | str) -> list[Step]:
    """Reads the benchmark files of a run, except those of former chunks. Damaged files are skipped with a warning.

    Arguments:
        folder: The folder of benchmarks, with files `<step>.jsonl` or `<step>/<part>/...jsonl`, or the same as `.tsv`.

    Returns:
        The steps in the order in which their first job ended; none if there is no such folder.
    """
    folder = Path(folder)
    paths = _current(sorted(path for path in folder.rglob("*") if path.suffix in (".jsonl", ".tsv")))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    ended: dict[str, float] = {}
    for path in paths:
        names = path.relative_to(folder).with_suffix("").parts
        step, what = names[0], names[1] if len(names) > 1 else ""
        if re.fullmatch(r"seed\d+|\d+", what):
            what = ""
        try:
            rows = _read(path)
        except (OSError, ValueError, AttributeError, TypeError, csv.Error):
            print(f"warning: {path}: not a benchmark file; skipped in the table of steps", file=sys.stderr)
            continue
        found.setdefault(step, {}).setdefault(what, []).extend(rows)
        ended[step] = min(ended.get(step, float("inf")), path.stat().st_mtime)
    steps = []
    for step in sorted(found, key=lambda step: ended[step]):
        parts = tuple(_sum(what, rows) for what, rows in found[step].items() if what)
        rows = [row for rows in found[step].values() for row in rows]
        steps.append(_sum(step, rows, parts if len(parts) > 1 else ()))
    return steps


def _current(paths: list[Path]) -> list[Path]:
    """Leaves out the files of chunks `<first>-<last>` that newer files of the same folder replaced.

    Another number of chunks leaves the files of the former chunks in the folder. A file whose range overlaps that of a
    newer one is a former chunk.
    """
    kept: dict[Path, list[tuple[int, int]]] = {}
    former = set()
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        found = re.fullmatch(r"(\d+)-(\d+)", path.stem)
        if found is None:
            continue
        first, last = int(found[1]), int(found[2])
        newer = kept.setdefault(path.parent, [])
        if any(first < end and begin < last for begin, end in newer):
            former.add(path)
        else:
            newer.append((first, last))
    return [path for path in paths if path not in former]


def _read(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    else:
        rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    return [{key: _number(row.get(key)) for key in ("s", "cpu_time", "max_rss")} for row in rows]


def _number(value: Any) -> float | None:
    return None if value in (None, "", "-", "NA") else float(value)


def _sum(name: str, rows: list[dict[str, Any]], parts: tuple[Step, ...] = ()) -> Step:
    cpu = [row["cpu_time"] for row in rows if row["cpu_time"] is not None]
    peak = [row["max_rss"] for row in rows if row["max_rss"] is not None]
    seconds = sum(row["s"] or 0.0 for row in rows)
    return Step(name, len(rows), seconds, sum(cpu) if cpu else None, max(peak) if peak else None, parts)

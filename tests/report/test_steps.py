import json
import os

import pytest

from counterfactory.report.steps import read_steps


def _benchmark(path, seconds, peak=100.0, cpu=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"s": seconds, "h:m:s": "0:00:01", "max_rss": peak, "cpu_time": cpu}) + "\n")


def test_jobs_of_a_step_are_summed(tmp_path):
    _benchmark(tmp_path / "synthesise.jsonl", 40.0, peak=300.0)
    _benchmark(tmp_path / "train" / "vae" / "seed0.jsonl", 10.0)
    _benchmark(tmp_path / "train" / "vae" / "seed1.jsonl", 12.0)
    _benchmark(tmp_path / "train" / "hvae" / "seed0.jsonl", 100.0, peak=900.0)
    for k, name in enumerate(("synthesise.jsonl", "train/vae/seed0.jsonl")):
        os.utime(tmp_path / name, (1000 + k, 1000 + k))
    first, train = read_steps(tmp_path)
    assert (first.name, first.jobs, first.seconds, first.parts) == ("synthesise", 1, 40.0, ())
    assert (train.name, train.jobs, train.seconds, train.peak_mb, train.cpu_seconds) == (
        "train",
        3,
        122.0,
        900.0,
        3.0,
    )
    assert {part.name: part.seconds for part in train.parts} == {"vae": 22.0, "hvae": 100.0}


def test_tables_with_tabs_and_gaps_are_read(tmp_path):
    (tmp_path / "questions.tsv").write_text("s\tmax_rss\tcpu_time\n1.5\t-\tNA\n")
    (step,) = read_steps(tmp_path)
    assert (step.seconds, step.peak_mb, step.cpu_seconds) == (1.5, None, None)


def test_seeds_are_not_parts(tmp_path):
    _benchmark(tmp_path / "fit_scm" / "seed0.jsonl", 1.0)
    _benchmark(tmp_path / "fit_scm" / "seed1.jsonl", 2.0)
    (step,) = read_steps(tmp_path)
    assert step.jobs == 2 and step.parts == ()


def test_a_missing_folder_has_no_steps(tmp_path):
    assert read_steps(tmp_path / "none") == []


@pytest.mark.parametrize("content", ["{", "[1]\n", '{"s": "x"}\n', "\x00"])
def test_a_damaged_file_is_skipped_with_one_line(tmp_path, capsys, content):
    _benchmark(tmp_path / "train" / "vae.jsonl", 10.0)
    (tmp_path / "questions.jsonl").write_text(content)
    assert [step.name for step in read_steps(tmp_path)] == ["train"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "questions.jsonl" in lines[0]


def test_chunks_of_a_former_number_of_chunks_do_not_count(tmp_path):
    answers = tmp_path / "answer" / "dime" / "seed0" / "flip"
    answers.mkdir(parents=True)
    for age, name in enumerate(("000000-000180", "000180-000360", "000060-000360", "000000-000060")):
        path = answers / f"{name}.jsonl"
        path.write_text(json.dumps({"s": 10.0**age, "cpu_time": 10.0**age, "max_rss": 1.0}) + "\n")
        os.utime(path, (1_000.0 - age, 1_000.0 - age))
    (step,) = read_steps(tmp_path)
    assert (step.jobs, step.seconds) == (2, 11.0)

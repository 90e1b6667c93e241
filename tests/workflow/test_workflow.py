"""The plan of the workflow (dry runs) and, with the marker slow, a real run at smoke scale."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from counterfactory.config import load_settings, read_config
from counterfactory.questions.registry import SUITES
from tests.workflow.forked import call, forked_steps

ROOT = Path(__file__).parents[2]
PRESETS = ROOT / "workflow" / "presets"


def snakemake(folder, *words, check=True):
    """Runs snakemake in `folder`, which holds a copy of config.yaml, with this checkout's rules and profile."""
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "2"]
    done = call("snakemake", [*where, *map(str, words)], folder)
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def plan(folder, *words):
    """Returns the rules of outputs that would be computed now, and of all outputs in the graph, by file."""
    lines = snakemake(folder, "--summary", *words).stdout.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("output_file"))
    rows = list(csv.DictReader(lines[head:], delimiter="\t"))
    every = {row["output_file"]: row["rule"] for row in rows}
    return {row["output_file"]: row["rule"] for row in rows if row["plan"] != "no update"}, every


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the smoke run appears finished: its files exist, possibly empty, and are recorded as made."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copy(ROOT / "config.yaml", folder)
    preset = ["--configfile", PRESETS / "smoke.yaml"]
    for name in plan(folder, *preset)[1]:
        path = folder / name
        if path.parent.name == "figures" and not path.suffix:
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    snakemake(folder, "--touch", *preset)
    return folder


def changed(folder, text):
    """Returns the plan with `text` merged into the smoke preset."""
    over = folder / "over.yaml"
    over.write_text(text)
    return plan(folder, "--configfile", PRESETS / "smoke.yaml", over)[0]


def test_the_profile_is_found_by_itself(folder):
    done = snakemake(folder, "-n", "results/morphomnist/data/dataset.json")
    assert "workflow specific profile" in done.stderr
    # The printed plan has one readable line per job.
    assert "Generating the images, attributes and splits of morphomnist" in done.stdout + done.stderr


def test_lint_and_format_are_clean():
    assert "good condition" in snakemake(ROOT, "--lint").stderr
    files = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    subprocess.run([sys.executable, "-m", "snakefmt", "--check", *files], check=True, cwd=ROOT)


@pytest.mark.parametrize("preset", ["default", "smoke", "paper"])
def test_every_preset_has_a_plan(folder, preset):
    files = [ROOT / "config.yaml"] + ([] if preset == "default" else [PRESETS / f"{preset}.yaml"])
    planned, every = plan(folder, *(["--configfile", files[1]] if files[1:] else []))
    assert planned == every
    settings = load_settings(read_config(files))
    results = f"{settings.results}/{settings.dataset}"
    assert f"{settings.results}/report.html" in every
    for suite in SUITES:
        folder_of_answers = f"{results}/answers/hvae/seed0/{suite}/"
        chunks = [
            Path(name).stem for name in every if name.startswith(folder_of_answers) and name.endswith(".npy")
        ]
        ranges = sorted(tuple(map(int, chunk.split("-"))) for chunk in chunks)
        # Every question occurs once; all chunks but the last have the same size.
        assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
        assert ranges[-1][1] == settings.questions.count(suite)
        if suite == "flip":
            assert len(ranges) == settings.answers.chunks
        else:
            assert {stop - start for start, stop in ranges[:-1]} <= {settings.answers.chunk_size}
    for rule, outputs in pd.Series(every).groupby(pd.Series(every)):
        assert all(name.startswith(settings.results) for name in outputs.index), rule


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["models={hvae: {training: {stesp: 1}}}"],
            "config: models.hvae.training.stesp is not a key; did you mean 'steps'?",
        ),
        (["methods=[hvea]"], "config: methods[0] is 'hvea'; did you mean 'hvae'?"),
        (
            ["data={digits: nowhere}"],
            "config: data.digits: 'nowhere' is neither a folder nor a source; choose",
        ),
        (["dataset=celebs"], "config: dataset is 'celebs'; did you mean 'celeba'? (choose from morphomnist"),
        (["dataset=celeba"], "config: data.celeba.folder: is null; name the folder with img_align_celeba"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(folder, words, said):
    done = snakemake(folder, "-n", "--config", *words, check=False)
    assert done.returncode != 0
    own = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if not line.startswith(("Config file", "Using workflow"))
    ]
    assert len(own) == 1
    assert own[0].startswith(said)


def test_what_is_switched_off_is_not_in_the_graph(folder):
    (folder / "over.yaml").write_text(
        "methods: [copy, vae]\nscores: {metrics: [axioms, measured]}\nquestions: {null: {images: 0}}\n"
    )
    every = plan(folder, "--configfile", folder / "over.yaml")[1]
    made = "\n".join(every)
    assert "/hvae/" not in made
    assert "/judges/thickness/" not in made
    assert "/lpips/" not in made
    assert "/null" not in made
    # The true counterfactuals are required for scores, although truth is not among the methods.
    assert "/answers/truth/" in made


def test_one_process_answers_what_needs_no_network(folder):
    (folder / "over.yaml").write_text("methods: [copy, vae]\nanswers: {chunk_size: 7}\n")
    every = plan(folder, "--configfile", PRESETS / "smoke.yaml", folder / "over.yaml")[1]
    sizes = {}
    for method in ("copy", "vae"):
        answered = [
            name for name in every if f"/answers/{method}/seed0/do/" in name and name.endswith(".npy")
        ]
        ranges = sorted(tuple(map(int, Path(name).stem.split("-"))) for name in answered)
        assert ranges[0][0] == 0 and ranges[-1][1] == 192
        sizes[method] = ranges[0][1]
    assert sizes == {"copy": 140, "vae": 7}


def test_nothing_to_do_after_a_run(finished):
    assert changed(finished, "seeds: [0]") == {}


def test_one_more_seed_redoes_nothing(finished):
    planned = changed(finished, "seeds: [0, 1]")
    gathered = {"settings", "summarise", "tables", "figures", "explorer", "report"}
    assert planned
    assert all("/seed1" in name for name, rule in planned.items() if rule not in gathered)
    assert not any(part in name for name in planned for part in ("/copy/", "/answers/truth/", "/judges/"))


def test_a_metrics_parameter_reruns_that_metric_and_what_hangs_on_it(finished):
    planned = changed(finished, "scores: {lpips: {questions: 5}}")
    assert {Path(name).parent.name for name, rule in planned.items() if rule == "score"} == {"lpips"}
    shown = {"settings", "summarise", "tables", "figures", "explorer", "report"}
    assert set(planned.values()) == {"score", *shown}
    planned = changed(finished, "scores: {bootstrap: {resamples: 50}}")
    # Scores of whole sets, which have their own intervals, and the table with the intervals of all other scores.
    scored = {Path(name).parent.name for name, rule in planned.items() if rule == "score"}
    scored |= {Path(name).stem for name, rule in planned.items() if rule == "reference"}
    assert scored == {"correlation", "oracle_frechet", "effectiveness"}
    assert set(planned.values()) == {"score", "reference", *shown}


def test_more_questions_of_a_suite_leave_the_others_alone(finished):
    planned = changed(finished, "questions: {reverse: {images: 13}}")
    answered = [name for name, rule in planned.items() if rule in ("questions", "answer")]
    assert answered
    assert all("reverse" in name for name in answered)


def test_models_are_trained_apart(finished):
    planned = changed(finished, "models: {vae: {training: {steps: 61}}}")
    assert {name.split("/")[4] for name, rule in planned.items() if rule == "train"} == {"vae"}
    assert {name.split("/")[4] for name, rule in planned.items() if rule == "answer"} == {"vae"}


def test_speed_knobs_change_no_result(finished):
    # A new chunk size changes the names of the files; no training and no score is repeated.
    planned = changed(finished, "answers: {chunk_size: 50}")
    assert not {"train", "train_once", "questions"} & set(planned.values())
    planned = plan(finished, "--configfile", PRESETS / "smoke.yaml", "--cores", "1")[0]
    assert planned == {}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder with the results of a smoke run."""
    folder = tmp_path_factory.mktemp("ran")
    shutil.copy(ROOT / "config.yaml", folder)
    with forked_steps():
        snakemake(folder, "--configfile", PRESETS / "smoke.yaml")
    return folder


@pytest.mark.slow
@pytest.mark.network
def test_smoke_run_ends_with_a_report_between_floor_and_ceiling(ran):
    settings = load_settings(read_config([ROOT / "config.yaml", PRESETS / "smoke.yaml"]))
    page = (ran / "results" / "smoke" / "report.html").read_text()
    assert settings.report.title in page
    # The suite `null` is a name here, not a missing value.
    path = ran / "results" / "smoke" / "morphomnist" / "scores" / "scores.csv"
    scores = pd.read_csv(path, keep_default_na=False, na_values={"value": [""]})
    assert set(scores["method"]) == set(settings.methods)
    assert set(scores["suite"]) == {"do", "null", "reverse", "flip"}
    mean = scores.groupby(["method", "suite", "metric"])["value"].mean()
    # `copy` is perfect where nothing should change, `truth` is perfect everywhere.
    assert mean["copy", "null", "l1"] == mean["truth", "null", "l1"] == 0
    assert mean["truth", "do", "truth_l1"] == 0
    assert mean["copy", "do", "truth_l1"] > 0
    # `copy` flips no decision.
    assert mean["copy", "flip", "flip_rate"] == 0
    assert mean["truth", "do", "measured_thickness_truth"] == 0
    absent = scores[scores["value"].isna()]
    assert (absent["reason"].str.len() > 0).all()


@pytest.mark.slow
@pytest.mark.network
def test_smoke_run_done_leaves_nothing_to_do(ran):
    assert plan(ran, "--configfile", PRESETS / "smoke.yaml")[0] == {}


@pytest.mark.slow
@pytest.mark.network
def test_snakemake_has_a_report_of_its_own(ran):
    snakemake(ran, "--configfile", PRESETS / "smoke.yaml", "--report", "own.html")
    page = (ran / "own.html").read_text()
    assert "all answers were scored by the same metrics" in page
    for name in ("report.html", "main.csv", "distance.png"):
        assert name in page
    # The page can be read without a network.
    assert not re.findall(r'(?:src|href)="http', page)

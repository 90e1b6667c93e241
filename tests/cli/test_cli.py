import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from counterfactory import __version__
from counterfactory.cli import main
from counterfactory.config import Settings, schema

ROOT = Path(__file__).parents[2]


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "counterfactory", *words], capture_output=True, text=True, **options
    )


def test_help_is_fast_and_imports_nothing_heavy():
    # Processor time, because the wall clock also tells what else this machine is doing.
    assert min(_processor_seconds("--help") for _ in range(3)) < 0.3
    code = "import sys; import counterfactory.cli; "
    code += (
        "print([name for name in ('torch', 'numpy', 'pandas', 'pydantic', 'yaml') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def _processor_seconds(*words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run(*words).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_every_command_has_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    ([a-z][a-z-]+)\b", capsys.readouterr().out, re.M)
    assert {"digits", "synthesise", "train", "weights"} <= set(commands)
    assert {"ask", "answer", "score", "summarise", "tables", "figures", "report"} <= set(commands)
    for command in commands:
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0


def test_every_command_of_the_rules_exists():
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    for command in set(re.findall(r"python -m counterfactory ([a-z-]+)", rules)):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0, command


def test_a_mistake_of_the_user_is_one_line_and_status_2(tmp_path):
    done = run(
        "train",
        "hvae",
        "--data",
        str(tmp_path),
        "--out",
        str(tmp_path),
        "--settings",
        '{"training": {"stesp": 1}}',
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert (
        done.stderr
        == "counterfactory train: config: models.hvae.training.stesp is not a key; did you mean 'steps'?\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["settings", "--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["settings", "data.trane"], "data.trane: no such key"),
        (["train", "hvae", "--settings", "{"], "--settings: not valid JSON"),
        (["train", "hvae", "--settings", "[]"], "--settings: must hold keys and values"),
        (["train", "hvea"], "hvea: no such image model"),
    ],
)
def test_mistakes(words, said, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_settings_prints_what_holds(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    over = tmp_path / "over.yaml"
    over.write_text(
        "methods: [vae]\nquestions: {flip: {images: 0}}\n"
        "data: {train: 7}\nmodels: {vae: {training: {batch_size: 7}}}\n"
    )
    assert main(["settings", "data.train", "--config", "config.yaml", str(over)]) == 0
    assert capsys.readouterr().out == "7\n"
    assert main(["settings"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == Settings().model_dump(mode="json")


def test_schema_goes_to_a_file_or_to_stdout(capsys, tmp_path):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()
    assert main(["schema", "--out", str(tmp_path / "schema.json")]) == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == schema()

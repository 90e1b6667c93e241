import errno
import json
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from counterfactory import __version__
from counterfactory.cli import MODULES, main, parser
from counterfactory.config import Settings, schema
from counterfactory.core.errors import BadFile

ROOT = Path(__file__).parents[2]


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "counterfactory", *words], capture_output=True, text=True, **options
    )


def test_help_is_fast_and_imports_nothing_heavy():
    # Processor time, because wall-clock time depends on the load of the machine.
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
    shown = capsys.readouterr().out.partition("\nnames\n")[0]
    commands = re.findall(r"^  ([a-z][a-z-]+)\b", shown, re.M)
    assert {"digits", "synthesise", "train", "weights"} <= set(commands)
    assert {"questions", "answer", "score", "summarise", "tables", "figures", "report"} <= set(commands)
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
        (["train", "hvae", "--settings", "[]"], "--settings: must contain keys and values"),
        (["train", "hvae", "--settings", "gone.json"], "--settings gone.json: no such file"),
        (["train", "hvea"], "hvea: no such model; did you mean 'hvae'?"),
        (["answer", "hvea", "do", "0-1"], "hvea: no such method; did you mean 'hvae'?"),
        (["answer", "hvae", "doo", "0-1"], "no such suite; did you mean"),
        (["score", "axiom", "copy"], "axiom: no such metric; did you mean 'axioms'?"),
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


@pytest.mark.parametrize(
    "key", ["identity", "models.hvae.network", "data.train", "attributes.thick", "models.gan.encoder.steps"]
)
def test_one_key_is_explained_as_a_configuration_of_its_own(key, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["settings", key, "--commented"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# ")
    found, given = yaml.safe_load(text), Settings().model_dump(mode="json")
    for name in key.split("."):
        assert list(found) == [name]
        found, given = found[name], given[name]
    assert found == given


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["identity", "--reference"], "identity: --reference concerns all keys; leave out one of the two"),
        (["identity", "--syntax"], "identity: --syntax concerns all keys; leave out one of the two"),
        (["--syntax", "--reference"], "--syntax and --reference: choose one"),
        (["--commented", "--out", "x.json"], "--out writes JSON, and --commented prints to the terminal"),
        (["identiti", "--commented"], "identiti: no such key"),
    ],
)
def test_no_option_of_the_command_settings_is_ignored(words, said, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["settings", *words]) == 2
    assert said in capsys.readouterr().err


def test_schema_goes_to_a_file_or_to_stdout(capsys, tmp_path):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()
    assert main(["schema", "--out", str(tmp_path / "schema.json")]) == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == schema()


def test_help_lists_the_stages_and_every_name(capsys):
    from counterfactory.data.registry import DATASETS
    from counterfactory.methods.registry import METHODS
    from counterfactory.metrics.registry import METRICS
    from counterfactory.models.registry import MODELS

    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    stages = re.findall(r"^[a-z]+$", shown, re.M)
    order = ["data", "models", "questions", "answers", "scores", "report", "settings", "names"]
    assert stages == [stage for stage in order if stage in stages] and len(stages) >= 8
    names = re.findall(r"\w+", shown.partition("\nnames\n")[2])
    assert {*DATASETS, *METHODS, *METRICS, *MODELS} <= set(names)
    assert max(map(len, shown.splitlines())) <= 120


def test_every_example_is_a_valid_command():
    for module in MODULES:
        for command in module.COMMANDS:
            if command.example:
                program, name, *words = shlex.split(command.example)
                assert (program, name) == ("counterfactory", command.name)
                parser().parse_args([name, *words])


@pytest.mark.parametrize(("word", "remedy"), [("trian", "did you mean 'train'?"), ("xyzzy", "choose from ")])
def test_an_unknown_command_is_one_line_with_the_nearest_one(word, remedy, capsys):
    with pytest.raises(SystemExit) as stop:
        main([word])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert f"{word}: no such command" in error and remedy in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["synthesise", "--confounded", "maybe"], "--confounded: is maybe; choose from true, false"),
        (
            ["answer", "copy", "do", "0-1", "--seed", "-1"],
            "--seed: is -1; it must be a whole number of at least 0",
        ),
        (["answer", "copy", "do", "0-1", "--threads", "two"], "--threads: is two; it must be a whole number"),
        (["schema", "--out", ""], "--out: is empty; name a file or folder"),
        (["train"], "the following arguments are required: model"),
        (["train", "vae", "--minutes", "nan"], "--minutes: is nan; it must be a finite number"),
        (["train", "vae", "--no-such\noption"], "unrecognized arguments: --no-such?option"),
    ],
)
def test_a_bad_argument_is_one_line(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert error.startswith("counterfactory") and said in error and "--help` explains" in error


def raising(error):
    def run(*_, **__):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/full/x.npy"),
            "/full/x.npy: No space left on device",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: Permission denied"),
        (MemoryError(), "not enough memory; give the step more memory"),
        (BadFile("x.npy: damaged; delete it"), "x.npy: damaged; delete it"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte"), "not enough memory"),
    ],
)
def test_an_error_of_the_system_is_one_line_and_status_1(error, message, capsys, monkeypatch):
    monkeypatch.setattr("counterfactory.config.schema", raising(error))
    assert main(["schema"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"counterfactory schema: {message}") and shown.count("\n") == 1


def test_a_bug_keeps_its_traceback(monkeypatch):
    for bug in (KeyError("x"), OSError("no number"), ValueError("y")):
        monkeypatch.setattr("counterfactory.config.schema", raising(bug))
        with pytest.raises(type(bug)):
            main(["schema"])


def test_interrupts_and_closed_pipes_are_quiet(monkeypatch, capsys):
    monkeypatch.setattr("counterfactory.config.schema", raising(KeyboardInterrupt()))
    assert main(["schema"]) == 130
    assert capsys.readouterr().err == ""
    command = f"{sys.executable} -m counterfactory schema | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == "" and done.stdout == "{\n"


def test_all_mistakes_of_the_settings_are_listed(capsys):
    assert main(["train", "hvae", "--settings", '{"training": {"stesp": 1, "ema": 2}}']) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("counterfactory train: config: models.hvae.training.") for line in lines)


def test_settings_can_be_a_file(tmp_path, capsys):
    path = tmp_path / "settings.json"
    path.write_text('{"training": {"stesp": 1}}')
    assert main(["train", "hvae", "--settings", str(path)]) == 2
    assert "models.hvae.training.stesp is not a key" in capsys.readouterr().err


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["settings", "data.train"]) == 0
    assert capsys.readouterr().out == "20000\n"
    assert main(["settings", "--reference"]) == 0
    assert "``learning_rate``" in capsys.readouterr().out

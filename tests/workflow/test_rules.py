"""Each rule: its shell command is valid and passes everything that the step depends on."""

import argparse
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from counterfactory.cli import MODULES, parser
from counterfactory.methods.registry import METHODS
from counterfactory.metrics.registry import METRICS
from tests.workflow.test_workflow import PRESETS, ROOT, snakemake

# All methods and metrics, so that every rule has a job.
EVERYTHING = {"methods": list(METHODS), "scores": {"metrics": list(METRICS)}}
# Options that only some jobs of a step have; a time limit is never set by a rule.
OPTIONAL = {
    "weights": {"net", "landmarks"},
    "train": {"attributes", "minutes"},
    "questions": {"attributes"},
    "score": {"reference"},
    "summarise": {"pooled"},
    "settings": {"key"},
}
SHELL = re.compile(
    r"^ *Shell command: \(?(python -m counterfactory .*?)(?: && .*)? 2>&1 \| tee ", re.MULTILINE
)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Output of a dry run with all methods and metrics."""
    folder = tmp_path_factory.mktemp("everything")
    shutil.copy(ROOT / "config.yaml", folder)
    (folder / "oracle.pt").touch()
    imported = {"oracle": {"weights": str(folder / "oracle.pt")}}
    (folder / "everything.yaml").write_text(json.dumps({**EVERYTHING, **imported}))
    over = ["--configfile", PRESETS / "smoke.yaml", folder / "everything.yaml"]
    return snakemake(folder, "--dry-run", "--printshellcmds", "--quiet", "host", *over).stdout


@pytest.fixture(scope="module")
def commands(planned):
    """The shell command of each job as a list of words, and as parsed arguments."""
    found = []
    for line in SHELL.findall(planned):
        words = shlex.split(line)[3:]
        found.append((words, parser().parse_args(words)))
    return found


def test_every_rule_has_a_job(planned):
    written = "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    rules = set(re.findall(r"^ *(?:use rule \w+ as|rule) (\w+)", written, re.MULTILINE))
    counts = dict(re.findall(r"^(\w+) +(\d+)$", planned.split("Job stats:")[1], re.MULTILINE))
    assert set(counts) - {"total", "all"} == rules
    assert len(SHELL.findall(planned)) == int(counts["total"]) - 1  # `all` runs nothing


def test_rules_and_commands_are_the_same_steps(commands):
    by_hand = {"schema", "export-dime", "perturb", "inspect", "imagine", "bundle"}
    every = {command.name for module in MODULES for command in module.COMMANDS}
    assert {words[0] for words, _ in commands} == every - by_hand


def test_every_placeholder_was_filled_in(commands):
    for words, _ in commands:
        for word in words:
            found = re.fullmatch(r"(?:--\w+=)?([{\[].*)", word)
            if found:
                json.loads(found[1])
            else:
                assert not re.search(r"[{}<>]|\bNone\b", word), words


def test_nothing_is_left_to_the_configuration(commands):
    """A step that reads config.yaml itself would not run again when the file changes."""
    for words, args in commands:
        left = {name for name, value in vars(args).items() if value is None}
        # The step that writes the resolved configuration reads it from a file that is named by its content.
        assert left - OPTIONAL.get(words[0], set()) == {"config"} - ({"config"} if args.config else set()), (
            words
        )


def test_what_is_written_lies_where_results_go(commands):
    for words, args in commands:
        assert isinstance(args, argparse.Namespace)
        assert Path(args.out).parts[:2] == ("results", "smoke"), words

"""A file in the working folder that has the name of a module is not imported by a step."""

import subprocess
import sys
from pathlib import Path

from tests.workflow.test_workflow import ROOT

pytest_plugins = ["tests.workflow.test_workflow"]


def test_steps_import_nothing_from_the_working_folder(folder):
    (folder / "random.py").write_text("open('imported', 'w').close()\nraise SystemExit('imported')\n")
    (folder / "over.yaml").write_text("answers: {vgg19_weights: away/vgg19.pth}\n")
    # The program and not `python -m snakemake`, which itself looks in the working folder first.
    program = Path(sys.executable).with_name("snakemake")
    where = ["--snakefile", ROOT / "Snakefile", "--directory", folder, "--cores", "1"]
    target = "results/morphomnist/models/vgg19/model.safetensors"
    command = [program, *where, target, "--configfile", folder / "over.yaml"]
    done = subprocess.run(
        map(str, command), capture_output=True, text=True, cwd=folder, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / target).exists() and not (folder / "imported").exists()

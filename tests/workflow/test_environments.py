"""The workflow in unusual environments: other users, homes and locales, copies of results, two runs at once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow import tiny
from tests.workflow.test_workflow import ROOT, plan, snakemake

PROGRAM = Path(sys.executable).with_name("snakemake")
TARGET = "results/pendulum/questions/do.parquet"
COMPILERS = ("gcc", "g++", "c++", "cc", "clang", "cpp")
MODULE = """
module pictures:
    snakefile: "{root}/Snakefile"
    config: {config}

use rule * from pictures as pictures_*
"""
# The package is installed as an entry in the module path, which this removes again.
NOT_INSTALLED = "import sys\nsys.path[:] = [part for part in sys.path if part != {src!r}]\n"


@pytest.fixture
def place(tmp_path):
    (tmp_path / "tiny.yaml").write_text(tiny.CONFIG)
    return tmp_path


def plain_path(folder):
    """Returns a PATH with the programs of the system but for compilers."""
    (folder / "bin").mkdir()
    for path in (*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()):
        if not any(path.name.startswith(name) or f"-{name}" in path.name for name in COMPILERS):
            (folder / "bin" / path.name).unlink(missing_ok=True)
            (folder / "bin" / path.name).symlink_to(path)
    return str(folder / "bin")


def run(command, folder, environment):
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
    )


def isolated(script):
    """Returns the command that runs a shell script as a user without a name, in a mount namespace of its own."""
    inner = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
    return ["unshare", "--mount", "sh", "-ec", script, "sh", *inner]


@pytest.mark.slow
@pytest.mark.parametrize("home", ["/", "own"])
def test_no_compiler_no_name_no_locale_and_a_read_only_checkout(place, home):
    read_only = f"mount --bind {ROOT} {ROOT} && mount -o remount,ro,bind {ROOT}"
    if run(isolated(read_only + ' && "$@"') + ["true"], place, None).returncode:
        pytest.skip("namespaces are not allowed here")
    environment = {"PATH": plain_path(place), "LC_ALL": "C", "HOME": str(place) if home == "own" else home}
    environment["XDG_CACHE_HOME"] = "relative"  # not used
    if home == "/":  # as root, Snakemake would write its cache there
        environment["XDG_CACHE_HOME"] = str(place / "cache")
    model = "results/pendulum/models/vae/seed0/model.safetensors"
    (place / "compiled.yaml").write_text("training: {compile: always}\n")
    words = [PROGRAM, "-s", ROOT / "Snakefile", "-d", place, "-c1", TARGET, model]
    words += ["--configfile", "tiny.yaml", "compiled.yaml"]
    done = run(isolated(read_only + f' && cd {place} && exec "$@"') + words, place, environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (place / TARGET).is_file() and (place / model).is_file()
    assert "Traceback" not in done.stderr


def test_without_a_writable_home_a_temporary_one_is_the_remedy(place):
    """The command of docs/howto/settings.md."""
    (remedy,) = [
        line
        for line in (ROOT / "docs" / "howto" / "settings.md").read_text().splitlines()
        if line.startswith("HOME=")
    ]
    command = remedy.replace("snakemake", f"{PROGRAM} -s {ROOT}/Snakefile -n --configfile tiny.yaml")
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/proc/none", "TMPDIR": str(place)}
    done = run(["sh", "-c", f"{command} {TARGET}"], place, environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("installed", [True, False])
def test_steps_of_a_module_run_the_modules_code(place, installed):
    root = place / "checkout"  # another one than that of the environment
    for name in ("src", "workflow", "envs"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, root / name)
    (place / "Snakefile").write_text(MODULE.format(root=root, config=yaml.safe_load(tiny.CONFIG)))
    environment = {"PATH": f"{PROGRAM.parent}:/usr/bin:/bin", "HOME": str(place)}
    if not installed:
        (place / "hidden").mkdir()
        (place / "hidden" / "sitecustomize.py").write_text(NOT_INSTALLED.format(src=str(ROOT / "src")))
        environment["PYTHONPATH"] = str(place / "hidden")
        code = "import counterfactory"
        assert run([sys.executable, "-P", "-c", code], place, environment).returncode
    done = run([PROGRAM, "-c1", TARGET], place, environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (place / TARGET).is_file()


@pytest.mark.slow
def test_results_copied_without_their_times(place, forked):
    """The remedy of docs/howto/code.md."""
    folder = place / "first"
    folder.mkdir()
    shutil.copy(place / "tiny.yaml", folder)
    config = ["--configfile", "tiny.yaml"]
    assert snakemake(folder, TARGET, *config).returncode == 0
    assert plan(folder, TARGET, *config)[0] == {}
    copy = place / "second"
    shutil.copytree(folder, copy, copy_function=shutil.copy)  # without times
    # Whatever the order of the copied times is, the files count as up to date after this.
    snakemake(copy, "--touch", TARGET, *config)
    assert plan(copy, TARGET, *config)[0] == {}


def test_a_second_run_in_the_same_folder_is_refused(place):
    code = "from counterfactory.core.run_lock import hold_alive_lock as hold; hold(); print(1, flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        locks = place / ".snakemake" / "locks"
        locks.mkdir(parents=True)
        (locks / "0.output.lock").write_text(f"{TARGET}\n")
        done = snakemake(place, TARGET, "--configfile", "tiny.yaml", check=False)
    finally:
        other.communicate(b"\n")
    assert done.returncode == 1 and "Directory cannot be locked" in done.stderr
    assert "Traceback" not in done.stderr
    # No step has run: there are only the settings that planning writes, under names that are hashes of their content.
    files = [path.relative_to(place / "results") for path in (place / "results").rglob("*") if path.is_file()]
    assert all(path.parts[1] == "settings" and path.suffix == ".json" for path in files)
    assert (locks / "0.output.lock").exists()

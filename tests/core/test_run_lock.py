import subprocess
import sys

from counterfactory.core.run_lock import hold_alive_lock

HOLD = (
    "import sys; from counterfactory.core.run_lock import hold_alive_lock; "
    "print(hold_alive_lock(sys.argv[1]), flush=True); sys.stdin.read()"
)


def start(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


def lock(folder):
    path = folder / ".snakemake" / "locks" / "0.input.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("file\n")
    return path


def test_locks_of_a_killed_run_are_removed_and_those_of_a_living_one_stay(tmp_path):
    path = lock(tmp_path)
    first, removed = start(tmp_path)
    assert removed == "True" and not path.exists()
    path = lock(tmp_path)
    second, removed = start(tmp_path)
    assert removed == "False" and path.exists()
    first.kill()
    first.wait()
    third, removed = start(tmp_path)
    assert removed == "False" and path.exists()
    for process in (second, third):
        process.kill()
        process.wait()
    fourth, removed = start(tmp_path)
    assert removed == "True" and not path.exists()
    fourth.kill()
    fourth.wait()


def test_a_folder_that_cannot_be_written_is_left_alone(tmp_path):
    (tmp_path / ".snakemake").write_text("a file")
    assert hold_alive_lock(tmp_path) is False

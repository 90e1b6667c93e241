"""Steps of a workflow as forks of one process, which has imported the package: without 3 s of imports for each step.

Snakemake starts `python -m counterfactory ...` for each step, as always. `hook/sitecustomize.py` in that process sends
the arguments, the working folder, the environment and the three standard streams to the process of this module, which
forks; the fork runs the step and its exit status is returned. The run of the smoke preset in `test_workflow.py` has a
process of its own for each step.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

HOOK = Path(__file__).parent / "hook"


@contextlib.contextmanager
def forked_steps(source: Path | None = None) -> Iterator[dict[str, str]]:
    """Starts the process, and ends it.

    Arguments:
        source: The folder of the package; by default the installed package.

    Yields:
        The environment variables with which snakemake must be started.
    """
    paths = [str(source)] if source else []
    with tempfile.TemporaryDirectory() as folder:
        address = os.path.join(folder, "steps")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        server = subprocess.Popen(
            [sys.executable, __file__, address],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        try:
            assert server.stdout is not None and server.stdout.readline() == b"ready\n"
            yield {"PYTHONPATH": os.pathsep.join([*paths, str(HOOK)]), "FORKED_STEPS": address}
        finally:
            server.terminate()
            server.communicate()


def run(call: dict) -> int:
    """Runs a step in this process, and returns its exit status."""
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = ["counterfactory", *call["words"]]
    try:
        runpy.run_module("counterfactory", run_name="__main__")
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve(address: str) -> None:
    """Imports the package, and forks for each call until it is terminated."""
    import torch._dynamo  # noqa: F401 (the first step of an optimiser imports it)

    import counterfactory

    for module in pkgutil.walk_packages(counterfactory.__path__, "counterfactory."):
        # A module that cannot be imported fails in the steps that need it; some require packages of an extra.
        if not module.name.endswith("__main__"):
            with contextlib.suppress(Exception):
                importlib.import_module(module.name)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(16)
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    listening.close()
                    return answer(connection)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def answer(connection: socket.socket) -> None:
    """Receives a call, runs it in a fork, and sends its exit status."""
    text, files, *_ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 16)
    step = os.fork()
    if step == 0:
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        status = run(json.loads(text))
        # What an interpreter does at its end, except to destroy the imported modules, which takes a second.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(step, 0)[1])
    connection.send(bytes([status if status >= 0 else 128 - status]))
    os._exit(0)


if __name__ == "__main__":
    # Nothing is imported from the folder of this file.
    sys.path.pop(0)
    serve(sys.argv[1])

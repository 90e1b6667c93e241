"""Commands as forks of a process that has imported their program: without seconds of imports for each command.

A program is a module that `python -m` runs: `snakemake`, or `counterfactory` for the steps of a workflow. Its process
is started once for a session of tests. It receives the arguments, the working folder, the environment and the three
standard streams of a command, and forks; the fork runs the command and its exit status is returned.

Steps: Snakemake starts `python -m counterfactory ...` for each step, as always; `hook/sitecustomize.py` in that
process passes the command on. Imports and hashes of the code are made before the fork. Commands with processes of their
own, as users start them, are tested in `test_processes.py`, `test_environments.py`, `test_elsewhere.py` and
`test_safe_path.py`.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

HOOK = Path(__file__).parent / "hook"


@contextlib.contextmanager
def forks(program: str, source: Path | None = None) -> Iterator[str]:
    """Starts the process of a program, and ends it.

    Arguments:
        program: `snakemake` or `counterfactory`.
        source: The folder of the package; by default the installed package.

    Yields:
        The address of the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        address = os.path.join(folder, "calls")
        environment = os.environ | {"PYTHONPATH": str(source or ""), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, program, address]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            # The process ends with its standard input, that is, with this process at the latest.
            yield address


@functools.cache
def address_of(program: str) -> str:
    """Returns the address of the session's process of a program, which is started if there is none."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(forks(program))


def variables(address: str, source: Path | None = None) -> dict[str, str]:
    """Returns the environment variables with which the steps of a workflow are passed on to `address`."""
    paths = [str(source)] if source else []
    return {"PYTHONPATH": os.pathsep.join([*paths, str(HOOK)]), "FORKED_STEPS": address}


@contextlib.contextmanager
def forked_steps() -> Iterator[None]:
    """The steps of the workflows that are started within this context are forks."""
    with mock.patch.dict(os.environ, variables(address_of("counterfactory"))):
        yield


def call(program: str, words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `python -m <program> <words>` in `folder`, as :func:`subprocess.run` does, but in a fork."""
    with (
        open(os.devnull) as nothing,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as said,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        files = [nothing.fileno(), out.fileno(), said.fileno()]
        connection.connect(address_of(program))
        text = json.dumps({"words": words, "folder": str(folder), "environment": dict(os.environ)})
        socket.send_fds(connection, [text.encode() + b"\n"], files)
        status = connection.recv(1)
        for file in (out, said):
            file.seek(0)
        texts = (out.read().decode(), said.read().decode())
    return subprocess.CompletedProcess([program, *words], status[0] if status else 1, *texts)


def run(program: str, call: dict) -> int:
    """Runs a command in this process, and returns its exit status."""
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = [program, *call["words"]]
    try:
        runpy.run_module(program, run_name="__main__")
    except SystemExit as stop:
        if not isinstance(stop.code, str):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def prepare(program: str) -> None:
    """Imports a program, and computes what each of its commands would compute."""
    if program == "snakemake":
        import snakemake.cli  # noqa: F401

        import counterfactory.config.cross_checks
        import counterfactory.core.remaining
        from counterfactory.core.code_hash import code_hash
        from counterfactory.data import registry
        from counterfactory.methods.registry import METHODS, module_of
        from counterfactory.metrics.registry import METRICS
        from counterfactory.metrics.registry import module_of as metric_module
        from counterfactory.models.registry import MODELS

        code_hash(
            *(model.train for model in MODELS.values()),
            *(f"{module_of(name)}:load" for name in METHODS),
            *(metric_module(name) for name in METRICS),
            *(registry.module_of(name) for name in registry.DATASETS),
            *("methods.run:answer", "metrics.run:score", "metrics.summary:summarise", "metrics.pooled:pool"),
            *("report.tables:write_tables", "report.figures:write_figures", "report.html:write_report"),
        )
        return
    import torch._dynamo  # noqa: F401 (the first step of an optimiser imports it)

    import counterfactory

    for module in pkgutil.walk_packages(counterfactory.__path__, "counterfactory."):
        # A module that cannot be imported fails in the steps that need it; some require packages of an extra.
        if not module.name.endswith("__main__"):
            with contextlib.suppress(Exception):
                importlib.import_module(module.name)


def serve(program: str, address: str) -> None:
    """Forks for each call until the standard input ends."""
    prepare(program)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(16)
        print("ready", flush=True)
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    listening.close()
                    return answer(program, connection)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def answer(program: str, connection: socket.socket) -> None:
    """Receives a call, runs it in a fork, and sends its exit status."""
    text, files, *_ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 16)
    command = os.fork()
    if command == 0:
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        status = run(program, json.loads(text))
        # What an interpreter does at its end, except to destroy the imported modules, which takes a second.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    connection.send(bytes([status if status >= 0 else 128 - status]))
    os._exit(0)


if __name__ == "__main__":
    # Nothing is imported from the folder of this file.
    sys.path.pop(0)
    serve(*sys.argv[1:])

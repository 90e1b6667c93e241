"""Common settings of all tests: one thread for each process, and the order of files on several processes."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
# More would be processes of their own, each of which imports PyTorch.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import pytest

# Tests can both import from this module and use its fixtures, in any order.
pytest.register_assert_rewrite("tests.squares")

ROOT = Path(__file__).parent
# The files that take longest, longest first: started last, they would keep one process busy while the others are idle.
LONGEST = (
    "workflow/test_workflow.py",
    "workflow/test_published_presets.py",
    "workflow/test_faces.py",
    "workflow/test_fuzz.py",
    "explorer/test_explorer.py",
    "training/test_compiling.py",
    "workflow/test_environments.py",
    "workflow/test_processes.py",
    "workflow/test_branches.py",
    "data/test_morphomnist.py",
    "api/test_bundle.py",
)
# Files of the same value share fixtures, which are made once in the process that gets all of these files.
TOGETHER = {
    "tests/workflow/test_fuzz.py": "tiny",
    "tests/explorer/test_explorer.py": "tiny",
    "tests/explorer/test_settings.py": "tiny",
    "tests/api/": "api",
    "tests/report/": "report",
}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _subnormals() -> Iterator[None]:
    """Compiled code may flush subnormal numbers to zero from then on; later tests must not depend on that."""
    import torch

    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run at the smallest scale; a test that changes files copies it."""
    from tests.workflow import tiny

    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny.make()
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--differences", action="store_true", help="print the differences from the outputs of the originals"
    )


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Prints the largest difference of every fixture that the tests have compared, with `--differences`."""
    if not config.getoption("differences"):
        return
    from tests.fixtures.differences import table

    terminalreporter.section("differences from the originals")
    for line in table():
        terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    # Otherwise pytest-xdist starts with the files of most tests, which are the fast ones.
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts files: the longest, those with slow tests, the others. Within a file the order is kept."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    order = {ROOT / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (order.get(item.path, len(order)), item.path not in slow))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Distributes files as `--dist loadfile` does, but keeps those of `TOGETHER` on one process."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return next((name for start, name in TOGETHER.items() if file.startswith(start)), file)

    return Scheduling(config, log)

"""Common settings of all tests: one thread, so that several test runs do not compete for the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

# Tests can both import from this module and use its fixtures, in any order.
pytest.register_assert_rewrite("tests.squares")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)

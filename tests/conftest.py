"""What all tests share: one thread, so that several runs of the tests do not fight for the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

# Tests may import from it as well as take its fixtures, in any order.
pytest.register_assert_rewrite("tests.squares")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)

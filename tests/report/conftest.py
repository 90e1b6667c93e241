"""Fixtures with synthetic results."""

import shutil
from pathlib import Path

import pytest

from tests.report.pretend import make_figures, make_tables, pretend_results


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic results of one seed."""
    return pretend_results(tmp_path_factory.mktemp("one") / "morphomnist")


@pytest.fixture(scope="session")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic results of two seeds."""
    return pretend_results(tmp_path_factory.mktemp("two") / "morphomnist", seeds=(0, 1), images=24, sweep=1)


@pytest.fixture(scope="session")
def tables(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the synthetic results of one seed."""
    return make_tables(results, tmp_path_factory.mktemp("tables") / "tables")


@pytest.fixture(scope="session")
def figures(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The figures of the synthetic results of one seed."""
    return make_figures(results, tmp_path_factory.mktemp("figures") / "figures")


@pytest.fixture(scope="session")
def few(results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Changes of the inputs of figures with which three are drawn: none of answers and none of trainings."""
    folder = tmp_path_factory.mktemp("few")
    shutil.copy(results / "questions" / "do.parquet", folder)
    return {"questions": folder, "logs": []}

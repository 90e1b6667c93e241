"""Fixtures of the tests of the workflow."""

import pytest

from tests.workflow.forked import forked_steps


@pytest.fixture
def forked(monkeypatch):
    """The steps of workflows are forks of one process."""
    with forked_steps() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield

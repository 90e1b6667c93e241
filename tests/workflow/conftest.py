"""Fixtures of the tests of the workflow."""

import pytest

from tests.workflow.forked import forked_steps


@pytest.fixture
def forked():
    """The steps of workflows are forks of one process."""
    with forked_steps():
        yield

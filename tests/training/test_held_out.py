"""Held-out rows: every row is in one part, and the split is a function of the seed."""

import numpy as np

from counterfactory.training.held_out import hold_out


def test_hold_out():
    train, valid = hold_out(101, 0.1, 0)
    assert len(valid) == 10 and sorted([*train, *valid]) == list(range(101))
    assert np.array_equal(valid, hold_out(101, 0.1, 0)[1])
    assert not np.array_equal(valid, hold_out(101, 0.1, 1)[1])
    assert [len(part) for part in hold_out(3, 0.01, 0)] == [2, 1]

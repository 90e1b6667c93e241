"""Measures the CPU seconds of trainings per step, and computes how many steps fill some minutes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from counterfactory.training import loop

__all__ = ["Cost", "cost_of", "metered", "steps_for"]


@dataclass(frozen=True)
class Cost:
    """The CPU seconds of a training.

    Arguments:
        step: One step of its first phase, with the share of a step of the others that belongs to it.
        rest: All that does not depend on the number of steps.
        total: The whole training.
    """

    step: float
    rest: float
    total: float


def steps_for(minutes: float, cost: Cost) -> int:
    """Returns the largest number of steps of a training that takes no more than some CPU minutes; 0 if there is none.

    Arguments:
        minutes: The CPU minutes of the whole training.
        cost: The cost of another training of the same recipe.
    """
    return max(0, int((60 * minutes - cost.rest) / cost.step))


@contextmanager
def metered() -> Iterator[list[list[float]]]:
    """Records the CPU time after each step; the context is one list for each training loop that runs in it."""
    phases: list[list[float]] = []

    class Meter(loop.Clock):
        """The clock of the training loop, which calls it once per step."""

        def __init__(self, seconds: float) -> None:
            super().__init__(seconds)
            phases.append([])

        def save_is_due(self) -> bool:
            phases[-1].append(time.process_time())
            return super().save_is_due()

    with mock.patch.object(loop, "Clock", Meter):
        yield phases


def cost_of(total: float, phases: list[list[float]]) -> Cost:
    """Returns the cost of a training.

    Arguments:
        total: The CPU seconds of the training.
        phases: The CPU times after the steps of each of its phases. The first quarter of the steps does not count,
            because it contains what happens once, nor does the last step, which contains the validation.
    """
    per_step, count = 0.0, len(phases[0])
    for times in phases:
        counted = times[len(times) // 4 : -1]
        if len(counted) > 1:
            per_step += (counted[-1] - counted[0]) / (len(counted) - 1) * len(times) / count
    return Cost(per_step or total / count, total - per_step * count, total)

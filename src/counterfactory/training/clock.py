"""The time of a training: its duration, when its state is saved, and when its time slice ends."""

import os
import time

from ..core.errors import UserError
from .distributed import any_of_all

__all__ = ["UNTIL", "Clock"]

UNTIL = "COUNTERFACTORY_TRAIN_UNTIL"
"""The environment variable with the end of the time slice, in seconds since 1970: a training then saves its state and
stops."""

SAVE_PERIOD = 20.0  # seconds between two saved states
CHECK_STEPS = 10  # steps between two checks whether the time slice is over


class Clock:
    """Measures the time of a training.

    Arguments:
        seconds: The time that the training took before it was resumed.

    Raises:
        UserError: If the environment variable :data:`UNTIL` is not a number.
    """

    def __init__(self, seconds: float) -> None:
        try:
            self._until = float(os.environ.get(UNTIL) or 0)
        except ValueError:
            raise UserError(f"{UNTIL}: {os.environ[UNTIL]!r} is not a time; set seconds since 1970") from None
        self._started, self._saved = time.monotonic() - seconds, time.monotonic()

    def seconds(self) -> float:
        """Returns the duration of the training in seconds, over all its time slices."""
        return time.monotonic() - self._started

    def save_is_due(self) -> bool:
        """Returns whether the last saved state is older than :data:`SAVE_PERIOD`."""
        return time.monotonic() - self._saved > SAVE_PERIOD

    def saved(self) -> None:
        """Records that the state was saved."""
        self._saved = time.monotonic()

    def is_over(self, step: int) -> bool:
        """Returns whether the time slice is over in any process; checked every :data:`CHECK_STEPS` steps."""
        return bool(self._until and step % CHECK_STEPS == 0 and any_of_all(time.time() > self._until))

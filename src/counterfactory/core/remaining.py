r"""Estimates the remaining time of a whole run of the workflow, and shows it while the run's jobs start and end.

A count of jobs says little, since a training takes a thousand times as long as a table. Each job therefore has an
expected amount of work :math:`w_j` (seconds on one core). With the finished jobs F, their durations :math:`d_j`, and
the jobs R that have been running for :math:`t_j` seconds, the speed is the work per second of a job,

.. math:: v = \frac{p + \sum_{j \in F} w_j}{p + \sum_{j \in F} d_j},

with a prior :math:`p` of some seconds at the expected speed. A running job has done at most 95 % of its work,
:math:`a_j = \min(v t_j, 0.95 w_j)`. The remaining work is divided by the speed and by the mean number of jobs that have
run at once. The estimate is at least the longest remaining time of a running job.

A running job that has taken longer than expected at this speed, :math:`t_j > w_j / v`, shows that the speed is lower.
It counts among F with its present time. Before :data:`EARLY` of the work is done, no time is shown: the first jobs are
short, and their speed says little about that of the trainings.
"""

import logging
import sys
from collections.abc import Mapping
from threading import Event, Lock, Thread
from time import monotonic
from typing import TextIO

__all__ = ["Remaining", "RemainingTime", "spoken"]

PRIOR = 20.0  # seconds
MOST = 0.95  # share of its work that a running job is assumed to have done at most
EARLY = 0.1  # share of the work before which no remaining time is shown
AFTER_JOB = 10.0  # least seconds between two lines
PERIOD = 30.0  # seconds after which a line is shown although no job ended


def spoken(seconds: float) -> str:
    """Formats a remaining time in words, such as `about 12 min left`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min left" if hours else f"about {minutes} min left"


class Remaining:
    """The estimate of the remaining time.

    Arguments:
        work: The expected work of each job in seconds, by the number of the job.
        now: The time of the start, in seconds.
    """

    def __init__(self, work: Mapping[int, float], now: float) -> None:
        self.work, self.began = dict(work), now
        self.total = sum(self.work.values())
        self._running: dict[int, float] = {}
        self._finished: set[int] = set()
        self._done = self._spent = 0.0

    def start(self, job: int, now: float) -> None:
        """Records that a job has started, also for another attempt."""
        if job in self.work and job not in self._finished:
            self._running[job] = now

    def finish(self, job: int, now: float) -> None:
        """Records that a job has finished."""
        if job not in self.work or job in self._finished:
            return
        self._finished.add(job)
        self._spent += now - self._running.pop(job, now)
        self._done += self.work[job]

    def estimate(self, now: float) -> tuple[float, float]:
        """Returns the remaining seconds, and the share of the work that is done, from 0 to 1."""
        spent = {job: now - start for job, start in self._running.items()}
        speed = (PRIOR + self._done) / (PRIOR + self._spent)
        late = [job for job, time in spent.items() if speed * time > self.work[job]]
        speed = (PRIOR + self._done + sum(self.work[job] for job in late)) / (
            PRIOR + self._spent + sum(spent[job] for job in late)
        )
        parts = {job: min(speed * time, MOST * self.work[job]) for job, time in spent.items()}
        left = self.total - self._done - sum(parts.values())
        elapsed = max(now - self.began, 1e-9)
        at_once = max(1.0, (self._spent + sum(spent.values())) / elapsed)
        longest = max((self.work[job] - part for job, part in parts.items()), default=0.0)
        share = 1.0 - left / self.total if self.total else 1.0
        return max(left / at_once, longest) / speed, share

    def line(self, now: float) -> str:
        """Returns the line that is shown, or nothing if all jobs are finished."""
        if len(self._finished) == len(self.work):
            return ""
        seconds, share = self.estimate(now)
        done = f"{int(100 * share)} % of the work done"
        return f"{spoken(seconds)}, {done}" if share >= EARLY else done


class RemainingTime(logging.Handler):
    """A handler of Snakemake's logger: shows the remaining time when jobs end, and at least every :data:`PERIOD`.

    Arguments:
        work: The expected work of each job in seconds, by Snakemake's number of the job.
        stream: The output; stderr by default.
    """

    def __init__(self, work: Mapping[int, float], stream: TextIO | None = None) -> None:
        super().__init__()
        self.remaining = Remaining(work, monotonic())
        self.stream = stream
        self._shown = monotonic()
        self._guard, self._ended = Lock(), Event()
        Thread(target=self._watch, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Updates the estimate from an event of Snakemake."""
        event, now = getattr(getattr(record, "event", None), "name", ""), monotonic()
        if event == "JOB_STARTED":
            with self._guard:
                for job in getattr(record, "jobs", ()):
                    self.remaining.start(job, now)
        elif event == "JOB_FINISHED":
            with self._guard:
                self.remaining.finish(getattr(record, "job_id", -1), now)
            self._show(now, AFTER_JOB)

    def close(self) -> None:
        """Ends the lines."""
        self._ended.set()
        super().close()

    def _watch(self) -> None:
        while not self._ended.wait(1.0):
            self._show(monotonic(), PERIOD)

    def _show(self, now: float, period: float) -> None:
        """Shows a line, if none was shown for `period` seconds."""
        with self._guard:
            if self._ended.is_set() or now - self._shown < period:
                return
            self._shown = now
            line = self.remaining.line(now)
        if line:
            print(line, file=self.stream or sys.stderr, flush=True)

"""The remaining time of a run: the estimate, and the lines that are shown."""

import io
import logging
from types import SimpleNamespace

import pytest

from counterfactory.core import remaining as module
from counterfactory.core.remaining import Remaining, RemainingTime, spoken


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "less than a minute left"),
        (61, "about 1 min left"),
        (725, "about 12 min left"),
        (7800, "about 2 h 10 min left"),
    ],
)
def test_durations_are_in_words(seconds, text):
    assert spoken(seconds) == text


def test_jobs_of_expected_length_one_after_another():
    run = Remaining({1: 100, 2: 300, 3: 600}, now=0)
    assert run.estimate(0) == (1000, 0)
    run.start(1, 0)
    assert run.estimate(50) == pytest.approx((950, 0.05))
    run.finish(1, 100)
    run.start(2, 100)
    assert run.estimate(100) == pytest.approx((900, 0.1))
    run.finish(2, 400)
    run.start(3, 400)
    assert run.line(700) == "about 5 min left, 70 % of the work done"
    run.finish(3, 1000)
    assert run.line(1000) == "" and run.estimate(1000) == pytest.approx((0, 1))


def test_a_slower_machine_and_jobs_at_once():
    run = Remaining(dict.fromkeys(range(8), 100.0), now=0)
    for job in (0, 1):
        run.start(job, 0)
    for job in (0, 1):
        run.finish(job, 200)
        run.start(job + 2, 200)
    # Half the expected speed, two jobs at once: 600 s of work take 600 s.
    assert run.estimate(200) == pytest.approx((600, 0.25), rel=0.1)


def test_a_job_that_takes_longer_than_expected_never_ends_the_estimate():
    run = Remaining({1: 100}, now=0)
    run.start(1, 0)
    seconds, share = run.estimate(10_000)
    assert seconds > 0 and share == pytest.approx(0.95)


def test_no_time_is_shown_before_a_tenth_of_the_work_is_done():
    run = Remaining({1: 50, 2: 950}, now=0)
    run.start(1, 0)
    assert run.line(40) == "4 % of the work done"
    run.finish(1, 50)
    run.start(2, 50)
    assert run.line(95) == "9 % of the work done"
    assert run.line(105) == "about 15 min left, 10 % of the work done"


def test_a_running_job_that_is_late_lowers_the_speed():
    run = Remaining({1: 10, 2: 100, 3: 1000}, now=0)
    run.start(1, 0)
    run.finish(1, 10)
    run.start(2, 10)
    before, _ = run.estimate(110)
    assert before == pytest.approx(1005)
    # It takes four times as long as expected, so the last one will too. The estimate rises before the job ends.
    late, share = run.estimate(410)
    speed = (20 + 10 + 100) / (20 + 10 + 400)
    assert late == pytest.approx(1005 / speed) and share == pytest.approx(105 / 1110)
    run.finish(2, 410)
    run.start(3, 410)
    assert run.estimate(410)[0] == pytest.approx(1000 / speed)


def test_failed_jobs_start_again_and_unknown_ones_are_ignored():
    run = Remaining({1: 10}, now=0)
    run.start(1, 0)
    run.start(1, 50)
    run.start(7, 50)
    run.finish(7, 60)
    run.finish(1, 60)
    run.finish(1, 60)
    assert run.estimate(60) == pytest.approx((0, 1))


def test_lines_follow_the_events(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    out = io.StringIO()
    logger = logging.Logger("events")
    handler = RemainingTime({1: 30, 2: 570}, out)
    logger.addHandler(handler)

    def event(name, **values):
        logger.info("", extra={"event": SimpleNamespace(name=name), **values})

    logger.info("no event")
    event("JOB_STARTED", jobs=[1])
    clock[0] = 5
    event("JOB_FINISHED", job_id=1)  # too early for a line
    event("JOB_STARTED", jobs=[2])
    clock[0] = 20
    handler._show(20, module.PERIOD)
    assert out.getvalue() == ""
    clock[0] = 36
    handler._show(36, module.PERIOD)
    assert out.getvalue().startswith("about ") and out.getvalue().count("\n") == 1
    event("JOB_FINISHED", job_id=2)
    handler.close()
    clock[0] = 99
    handler._show(99, module.PERIOD)
    assert out.getvalue().count("\n") == 1

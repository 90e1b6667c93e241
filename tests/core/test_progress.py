"""Progress: every item is yielded, a log has few lines, a terminal has a bar."""

import io

import pytest

from counterfactory.core import progress as module
from counterfactory.core.progress import clock, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def time(monkeypatch):
    """A clock that is advanced by the tests only."""
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (12.4, "0:12"), (59.6, "1:00"), (754, "12:34"), (3600, "1:00:00"), (-1, "0:00")],
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_yields_every_item_once(stream):
    assert list(progress("abc", stream=stream())) == ["a", "b", "c"]
    assert list(progress([], stream=stream())) == []
    assert list(progress((i for i in range(3)), stream=stream())) == [0, 1, 2]


def test_log_has_a_line_every_period_and_one_at_the_end(time):
    stream = io.StringIO()
    for _ in progress(range(400), label="label", stream=stream):
        time(0.125)
    assert stream.getvalue().splitlines() == [
        "label  120/400  30 %  0:15 elapsed  0:35 left",
        "label  240/400  60 %  0:30 elapsed  0:20 left",
        "label  360/400  90 %  0:45 elapsed  0:05 left",
        "label  400/400  100 %  0:50 elapsed",
    ]


def test_short_work_is_one_line(time):
    stream = io.StringIO()
    for _ in progress(range(120), total=400, label="label", unit="steps", stream=stream):
        time(0.1)
    assert stream.getvalue() == "label  120/400 steps  30 %  0:12 elapsed\n"


def test_resumed_work_estimates_from_its_own_speed(time):
    stream = io.StringIO()
    for _ in progress(range(300, 400), start=300, stream=stream):
        time(0.25)
    assert stream.getvalue().splitlines() == [
        "360/400  90 %  0:15 elapsed  0:10 left",
        "400/400  100 %  0:25 elapsed",
    ]


def test_unknown_total(time):
    stream = io.StringIO()
    for _ in progress((i for i in range(5)), label="files", stream=stream):
        time(1)
    assert stream.getvalue() == "files  5  0:05 elapsed\n"


def test_says_where_it_stopped(time):
    stream = io.StringIO()
    with pytest.raises(KeyError):
        for i in progress(range(10), stream=stream):
            if i == 4:
                raise KeyError
    assert stream.getvalue() == "4/10  40 %  0:00 elapsed\n"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_notes_are_shown_and_numbers_are_read_only_then(stream):
    class Lazy:
        reads = 0

        def __float__(self) -> float:
            Lazy.reads += 1
            return 0.48218

    Lazy.reads = 0
    steps = progress(range(1000), stream=stream)
    for _ in steps:
        steps.set(loss=Lazy(), phase="warm-up")
    assert Lazy.reads == 1
    assert "loss 0.4822" in stream.getvalue()
    assert "phase warm-up" in stream.getvalue()


def test_bar_on_a_terminal():
    stream = Terminal()
    list(progress(range(20), label="bar", unit="steps", stream=stream))
    assert "bar: 100%" in stream.getvalue()
    assert "20/20" in stream.getvalue()


def test_converged_work_ends_at_100_percent(time):
    stream = io.StringIO()
    steps = progress(range(40), label="label", unit="steps", stream=stream)
    for step in steps:
        time(1)
        if step == 10:
            steps.converged()
            break
    assert stream.getvalue() == "label  10/40 steps  100 %  converged  0:11 elapsed\n"

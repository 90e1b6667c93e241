"""Progress of long computations: a bar on a terminal, otherwise a plain line from time to time.

If stderr is not a terminal, one line is written at most every :data:`PERIOD` seconds, and one at the end::

    train hvae  120/400 steps  30 %  0:12 elapsed  0:28 left  loss 0.482

The log of an hour's work then has a few hundred lines, and `tail -f` shows the current state.
"""

import sys
from collections.abc import Iterable, Iterator, Sized
from time import monotonic
from typing import Generic, SupportsFloat, TextIO, TypeVar

from tqdm import tqdm

__all__ = ["PERIOD", "Progress", "clock", "progress"]

PERIOD = 15.0  # seconds between two lines of a log
REFRESH = 0.2  # seconds between two updates of a bar

Item = TypeVar("Item")


def clock(seconds: float) -> str:
    """Formats a duration in seconds as `m:ss`, or `h:mm:ss` from one hour on."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class Progress(Generic[Item]):
    """An iterator that shows its progress; created by :func:`progress`."""

    def __init__(
        self, iterable: Iterable[Item], total: int | None, label: str, unit: str, start: int, stream: TextIO
    ) -> None:
        self.iterable, self.total, self.label, self.unit, self.start = iterable, total, label, unit, start
        self.stream = stream
        self.done = start
        self.notes: dict[str, SupportsFloat | str] = {}
        self._began = monotonic()
        self._converged = False

    def set(self, **notes: SupportsFloat | str) -> None:
        """Sets notes that are shown behind the progress, such as `loss=0.3`. A note stays until it is replaced.

        Numbers are formatted only when they are shown, so that a tensor on a GPU can be set at every step without
        synchronization.
        """
        self.notes.update(notes)

    def converged(self) -> None:
        """Marks the work as complete before the last item: the final line shows 100 % and `converged`."""
        self._converged = True

    def __iter__(self) -> Iterator[Item]:
        self._began = last = monotonic()
        bar = self._bar() if self.stream.isatty() else None
        period = PERIOD if bar is None else REFRESH
        try:
            for item in self.iterable:
                yield item
                self.done += 1
                now = monotonic()
                if now - last >= period:
                    last = now
                    self._show(bar)
        finally:
            # Also after a `break` or an error: the last line then shows where the work stopped.
            self._show(bar, final=True)

    def line(self, final: bool = False) -> str:
        """Returns the current plain line; `final` omits the remaining time."""
        parts = [self.label] if self.label else []
        count = f"{self.done}" if self.total is None else f"{self.done}/{self.total}"
        parts.append(f"{count} {self.unit}".rstrip())
        if self._converged:
            parts.append("100 %  converged")
        elif self.total:
            parts.append(f"{100 * self.done // self.total} %")
        elapsed = monotonic() - self._began
        parts.append(f"{clock(elapsed)} elapsed")
        made = self.done - self.start
        if not final and self.total and made > 0:
            parts.append(f"{clock(elapsed / made * (self.total - self.done))} left")
        return "  ".join([*parts, *self._noted()])

    def _noted(self) -> list[str]:
        return [
            f"{name} {value}" if isinstance(value, str) else f"{name} {float(value):.4g}"
            for name, value in self.notes.items()
        ]

    def _bar(self) -> tqdm:
        return tqdm(
            total=self.total,
            initial=self.start,
            desc=self.label or None,
            unit=f" {self.unit}" if self.unit else " it",
            file=self.stream,
            dynamic_ncols=True,
        )

    def _show(self, bar: tqdm | None, final: bool = False) -> None:
        if bar is None:
            print(self.line(final), file=self.stream, flush=True)
            return
        if self.notes:
            bar.set_postfix_str("  ".join(self._noted()), refresh=False)
        bar.update(self.done - bar.n)
        if self._converged:
            bar.total = bar.n
        if final:
            bar.refresh()
            bar.close()


def progress(
    iterable: Iterable[Item],
    total: int | None = None,
    label: str = "",
    unit: str = "",
    start: int = 0,
    stream: TextIO | None = None,
) -> Progress[Item]:
    """Returns an iterator over `iterable` that shows its progress on stderr.

    Example:
        >>> steps = progress(range(400), label="train hvae", unit="steps")
        >>> for step in steps:
        ...     steps.set(loss=0.482)

    Arguments:
        iterable: The items.
        total: The count of complete work; by default `start` + `len(iterable)` if that is known.
        label: The name of the work.
        unit: The unit of the count, in the plural.
        start: The initial count, for resumed work.
        stream: The output; stderr by default.
    """
    if total is None and isinstance(iterable, Sized):
        total = start + len(iterable)
    return Progress(iterable, total, label, unit, start, sys.stderr if stream is None else stream)

"""Progress of long work: a bar on a terminal, otherwise a plain line now and then.

A log file is not a terminal: there one line is written to stderr at most every :data:`PERIOD` seconds, and
one at the end, as in::

    train hvae  120/400 steps  30 %  0:12 elapsed  0:28 left  loss 0.482

so that a log of an hour's work is a few hundred lines and `tail -f` always shows where the work stands.
"""

import sys
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Generic, SupportsFloat, TextIO, TypeVar

from tqdm import tqdm

__all__ = ["PERIOD", "Progress", "clock", "progress"]

PERIOD = 15.0  # seconds between two lines of a log
REFRESH = 0.2  # seconds between two looks at the notes of a bar

Item = TypeVar("Item")


def clock(seconds: float) -> str:
    """Writes a duration in seconds as `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class Progress(Generic[Item]):
    """Iterates over `iterable` and shows how far it is; made by :func:`progress`."""

    def __init__(
        self, iterable: Iterable[Item], total: int | None, label: str, unit: str, start: int, stream: TextIO
    ) -> None:
        self.iterable, self.total, self.label, self.unit, self.start = iterable, total, label, unit, start
        self.stream = stream
        self.done = start
        self.notes: dict[str, SupportsFloat | str] = {}
        self._began = monotonic()

    def set(self, **notes: SupportsFloat | str) -> None:
        """Sets what is noted behind the progress, such as `loss=0.3`; a note stays until it is set anew.

        Numbers are turned into text only when they are shown, so a tensor on an accelerator may be given at
        every step without waiting for it.
        """
        self.notes.update(notes)

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
            # Also reached by a `break` or an error: the last line then says where the work stopped.
            self._show(bar, final=True)

    def line(self, final: bool = False) -> str:
        """Returns the plain line of this moment; `final` leaves out the time left."""
        parts = [self.label] if self.label else []
        count = f"{self.done}" if self.total is None else f"{self.done}/{self.total}"
        parts.append(f"{count} {self.unit}".rstrip())
        if self.total:
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
        iterable: What to iterate over.
        total: The count at which the work is done; by default `start` + `len(iterable)` where that is known.
        label: What is being done.
        unit: What is counted, in the plural.
        start: The count already done before, for resumed work.
        stream: Where to write; stderr by default.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = start + len(iterable)
    return Progress(iterable, total, label, unit, start, sys.stderr if stream is None else stream)

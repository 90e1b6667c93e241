"""Removes tables and figures of an older configuration that the step no longer writes.

The step keeps the list of its files in `.written.json` in its folder. Other files in the folder are not changed.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..core.errors import UserError
from ..core.files import read_json, write_json

__all__ = ["MANIFEST", "remove_stale"]

MANIFEST = ".written.json"


def remove_stale(out: Path, written: Iterable[str]) -> None:
    """Removes the files that the previous run of a step wrote in `out` and this one did not, and lists those written.

    Arguments:
        out: The folder of the step.
        written: The paths of all files that the step has written, relative to `out`.
    """
    names = sorted(written)
    before: object = []
    with suppress(UserError):  # the first run, or a damaged list
        before = read_json(out / MANIFEST)
    for name in before if isinstance(before, list) else []:
        path = out / str(name)
        if name in names or not path.resolve().is_relative_to(out.resolve()):
            continue
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # only if it is empty
    write_json(out / MANIFEST, names)

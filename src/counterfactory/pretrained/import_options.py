"""The options of an import: what a file of weights does not determine, such as the number of attention heads.

An option is given by the user or, where the file contains it, by the file; it is never guessed. Each reader checks the
type and raises a one-line error that names the option.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..core.errors import UserError
from ..core.names import shortened

__all__ = ["Options"]

Value = TypeVar("Value")


@dataclass
class Options:
    """The options of an import, by name. Each one that is read is marked as used.

    Arguments:
        values: The options of the user.
        known: Options that the file itself contains, such as the settings that causal-gen stores; used where `values`
            has none. One of a wrong type counts as missing.
        kind: What is imported, for error messages.
    """

    values: Mapping[str, Any]
    known: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "these weights"
    used: dict[str, Any] = field(default_factory=dict)

    def choice(self, name: str, why: str, choices: Sequence[str]) -> str:
        """Returns an option that is one of `choices`.

        Arguments:
            name: Its name.
            why: What it is and why the weights do not determine it, one phrase.
            choices: The possible values.

        Raises:
            UserError: If it is missing, of another type, contradicts the file, or is none of the choices.
        """
        known = ", ".join(map(_shown, choices))

        def convert(value: Any) -> str:
            if not isinstance(value, str) or value not in choices:
                raise ValueError(f"choose from {known}")
            return value

        return self._get(name, why, convert, f" ({known})")

    def flag(self, name: str, why: str) -> bool:
        """Returns an option that is true or false. See :meth:`choice`."""

        def convert(value: Any) -> bool:
            if not isinstance(value, bool):
                raise ValueError("choose from true, false")
            return value

        return self._get(name, why, convert, " (true, false)")

    def whole(self, name: str, why: str, least: int = 1, most: int = 100_000) -> int:
        """Returns an option that is a whole number from `least` to `most`. See :meth:`choice`."""

        def convert(value: Any) -> int:
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(f"give a whole number from {least} to {most}")
            return value

        return self._get(name, why, convert)

    def number(self, name: str, why: str) -> float:
        """Returns an option that is a finite number. See :meth:`choice`."""

        def convert(value: Any) -> float:
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30:
                return float(value)
            raise ValueError("give a number")

        return self._get(name, why, convert)

    def text(self, name: str, why: str) -> str:
        """Returns an option that is a text. See :meth:`choice`."""

        def convert(value: Any) -> str:
            if not isinstance(value, str) or not value.strip():
                raise ValueError("give a text")
            return value

        return self._get(name, why, convert)

    def names(self, name: str, why: str) -> list[str]:
        """Returns an option that is a list of names, or a text of names separated by commas. See :meth:`choice`."""

        def convert(value: Any) -> list[str]:
            parts = value.split(",") if isinstance(value, str) else value
            if not isinstance(parts, list | tuple) or not all(isinstance(one, str) for one in parts):
                raise ValueError("give names, separated by commas")
            found = [one.strip() for one in parts]
            if not found or not all(found):
                raise ValueError("give names, separated by commas")
            return found

        return self._get(name, why, convert)

    def _get(self, name: str, why: str, convert: Callable[[Any], Value], choices: str = "") -> Value:
        try:
            known = [convert(self.known[name])] if name in self.known else []
        except ValueError:
            known = []
        if name in self.values:
            try:
                value = convert(self.values[name])
            except ValueError as error:
                raise UserError(f"option {name}: is {_shown(self.values[name])}; {error}") from None
            if known and known[0] != value:
                raise UserError(
                    f"option {name}: is {_shown(value)}, but the file says {_shown(known[0])}; leave the option out"
                )
        elif known:
            value = known[0]
        else:
            raise UserError(f"option {name}: {self.kind} need it{choices}: {why}; add --option {name}=VALUE")
        self.used[name] = value
        return value

    def has(self, name: str) -> bool:
        """Returns whether the user or the file gives the option."""
        return name in self.values or name in self.known

    def finish(self) -> dict[str, Any]:
        """Returns the options that were used.

        Raises:
            UserError: If the user gave an option that was not used.
        """
        for name in self.values:
            if name not in self.used:
                known = ", ".join(self.used) or "none"
                raise UserError(
                    f"option {shortened(name)}: {self.kind} have no such option; leave it out (used: {known})"
                )
        return dict(self.used)


def _shown(value: Any) -> str:
    """Returns a value as one would write it, on one line and shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return shortened(", ".join(value)) if value else "[]"
    if isinstance(value, int) and not math.log2(abs(value) + 1) < 200:
        return "a very large number"
    return shortened(value)

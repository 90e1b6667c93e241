"""Notes of tables on models whose weights were imported: the file, its SHA-256 and the options."""

from collections.abc import Mapping
from typing import Any

__all__ = ["imported_notes"]


def imported_notes(descriptions: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Returns one note for each imported model, with what could not be confirmed; none for models that were trained.

    Arguments:
        descriptions: The `model.json` of each model, by the name to be shown.
    """
    notes = []
    for name, meta in descriptions.items():
        origin = meta.get("imported")
        if not isinstance(origin, Mapping):
            continue
        options = origin.get("options") or {}
        given = ", ".join(f"{key}: {_shown(value)}" for key, value in options.items())
        notes.append(
            f"{name}: not trained here; weights imported from {origin.get('file')} (SHA-256 "
            f"{origin.get('sha256')}{'; ' + given if given else ''})."
        )
        doubt = (meta.get("denoising_error") or {}).get("note")
        if doubt:
            notes[-1] += f" {doubt[0].upper()}{doubt[1:]}."
    return tuple(dict.fromkeys(notes))


def _shown(value: Any) -> str:
    """Returns the value of an option, a long list shortened."""
    if isinstance(value, list):
        names = [str(one) for one in value]
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return str(value).lower() if isinstance(value, bool) else str(value)

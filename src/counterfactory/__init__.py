"""Image counterfactuals: every method answers the same questions, and the same metrics score every answer.

:func:`load` opens the results of a data set, to ask about single images (:mod:`counterfactory.api`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import load

__all__ = ["__version__", "load"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports `load` when it is first used, so that importing the package stays fast."""
    if name == "load":
        from .api import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

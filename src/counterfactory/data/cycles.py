"""Finds cycles among causal edges; imports neither numpy nor pandas."""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from ..core.errors import UserError

__all__ = ["check_acyclic"]


def check_acyclic(edges: Iterable[tuple[str, str]], key: str) -> None:
    """Refuses edges that form a cycle.

    Arguments:
        edges: Pairs (cause, effect).
        key: The key of the configuration that holds them.

    Raises:
        UserError: If a variable is a cause of itself, directly or through others.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for cause, effect in edges:
        sorter.add(effect, cause)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise UserError(f"{key}: the edges form a cycle, {cycle}; remove one") from None

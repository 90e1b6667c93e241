"""Computes causes, effects, ancestors, descendants and a topological order in the causal graph of a data set.

The graph consists of the variables and edges of a :class:`counterfactory.data.dataset.Dataset`. It must be acyclic:
every variable is a function of its causes and of its own exogenous noise, computed in a topological order (Pearl, 2009,
*Causality*, section 1.4).
"""

from collections.abc import Callable
from graphlib import TopologicalSorter

from ..core.errors import UserError
from .cycles import check_acyclic
from .dataset import Dataset

__all__ = ["ancestors", "causes", "descendants", "effects", "topological_order"]


def topological_order(dataset: Dataset) -> tuple[str, ...]:
    """Returns the names of the variables, every cause before its effects.

    The order is unique: among the variables whose causes are all in the order, the first in `dataset.names` comes next.

    Raises:
        UserError: If a name is used twice, an edge names no variable, or the edges form a cycle.
    """
    names = dataset.names
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{dataset.name}: two variables are called {name}; rename one")
    sorter: TopologicalSorter[str] = TopologicalSorter({name: () for name in names})
    for cause, effect in dataset.edges:
        for name in (cause, effect):
            if name not in names:
                raise UserError(
                    f"{dataset.name}: the edge {cause} -> {effect} names {name}, which is not a variable; "
                    f"it has {', '.join(names)}"
                )
        sorter.add(effect, cause)
    check_acyclic(dataset.edges, dataset.name)
    sorter.prepare()

    order: list[str] = []
    ready: set[str] = set()
    while sorter.is_active():
        ready.update(sorter.get_ready())
        name = min(ready, key=names.index)
        ready.remove(name)
        order.append(name)
        sorter.done(name)
    return tuple(order)


def causes(dataset: Dataset, name: str) -> tuple[str, ...]:
    """Returns the direct causes of `name`, in the order of `dataset.names`."""
    dataset.variable(name)
    return tuple(other for other in dataset.names if (other, name) in dataset.edges)


def effects(dataset: Dataset, name: str) -> tuple[str, ...]:
    """Returns the direct effects of `name`, in the order of `dataset.names`."""
    dataset.variable(name)
    return tuple(other for other in dataset.names if (name, other) in dataset.edges)


def ancestors(dataset: Dataset, name: str) -> frozenset[str]:
    """Returns all variables with a directed path to `name`, without `name` itself."""
    return _reach(dataset, name, causes)


def descendants(dataset: Dataset, name: str) -> frozenset[str]:
    """Returns all variables with a directed path from `name`, without `name` itself."""
    return _reach(dataset, name, effects)


def _reach(
    dataset: Dataset, name: str, neighbours: Callable[[Dataset, str], tuple[str, ...]]
) -> frozenset[str]:
    """Returns all variables that repeated steps to `neighbours` reach."""
    reached: set[str] = set()
    waiting = list(neighbours(dataset, name))
    while waiting:
        other = waiting.pop()
        if other not in reached:
            reached.add(other)
            waiting.extend(neighbours(dataset, other))
    return frozenset(reached)

"""Facts about a run on which the sentences of the page depend: what is simulated, rendered, imported or reduced."""

from collections.abc import Mapping
from typing import Any

from ..data.registry import DEFAULT_DATASET, noun_of
from .causal_graph import Graph
from .layout import Table
from .vocabulary import CEILING

__all__ = ["imported_judges", "run_facts"]


def run_facts(config: Mapping[str, Any], graph: Graph | None, tables: Mapping[str, Table]) -> dict[str, Any]:
    """Returns the facts by the name that the template uses.

    Arguments:
        config: The configuration of the run.
        graph: The data set, or its declaration; None if it is not known.
        tables: The tables by key.

    Returns:
        `noun`: what an image shows. `simulated`: whether true counterfactuals can be rendered. `truth`: whether they
        were. `has_classes`: whether a variable is categorical. `imported_judges`: the variables whose judge was
        imported. `other_judges`: whether another one was trained.
    """
    simulated = bool(getattr(graph, "simulated", True))
    methods = config.get("methods")
    variables = graph.variables if graph is not None else ()
    imported = imported_judges(config)
    judges = tables.get("judges")
    return {
        "noun": noun_of(config.get("dataset", DEFAULT_DATASET)),
        "simulated": simulated,
        "truth": simulated and (methods is None or CEILING in methods),
        "has_classes": any(variable.kind == "categorical" for variable in variables),
        "imported_judges": imported,
        "other_judges": judges is not None and any(row.key not in imported for row in judges.rows),
    }


def imported_judges(config: Mapping[str, Any]) -> list[str]:
    """Returns the variables whose judge was not trained in this run but imported."""
    weights = config.get("judges", {}).get("weights") or {}
    return [name for name, file in weights.items() if file is not None]

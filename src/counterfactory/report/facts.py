"""Facts about a run on which the sentences of the page depend: what is simulated, rendered, imported or read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import reading
from ..core.files import read_table
from ..data.registry import DEFAULT_DATASET, noun_of
from ..data.variable import SPLITS
from .causal_graph import Graph
from .layout import Table
from .vocabulary import CEILING

__all__ = ["NOTES", "data_notes", "devices", "imported_judges", "run_facts", "split_sizes"]

NOTES = "notes.txt"
"""The file in which a data set of own images lists the rows that it left out and the images that it converted."""


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


def split_sizes(data: Path | None) -> dict[str, int]:
    """Returns the number of images of each split that was written.

    The configuration only limits these numbers: a table of images may have fewer rows.

    Arguments:
        data: The folder of the data set; None: it is not known. A split without a file is left out.

    Raises:
        UserError: If a file of attributes is damaged.
    """
    sizes: dict[str, int] = {}
    if data is None:
        return sizes
    for split in SPLITS:
        path = data / split / "attributes.parquet"  # one row per image
        if path.exists():
            sizes[split] = len(read_table(path))
    return sizes


def data_notes(data: Path | None) -> list[str]:
    """Returns the summary at the head of the notes of a data set: one line for each kind of row left out or converted.

    Arguments:
        data: The folder of the data set; None: it is not known. Only some data sets have notes.

    Raises:
        UserError: If the file is not a text file.
    """
    if data is None or not (data / NOTES).exists():
        return []
    with reading(data / NOTES, "not a text file"):
        return (data / NOTES).read_text(encoding="utf-8").partition("\n\n")[0].splitlines()


def devices(cost: Table | None) -> list[str]:
    """Returns the devices on which answers were computed, from the table of costs."""
    keys = [column.key for column in cost.columns] if cost is not None else []
    if cost is None or "device" not in keys:
        return []
    texts = [row.cells[keys.index("device")].text for row in cost.rows]
    return list(dict.fromkeys(name for text in texts for name in text.split(", ") if name))

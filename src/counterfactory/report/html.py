"""Writes the report as one self-contained HTML page.

The page embeds all tables and images. It loads no other file, runs no script, supports light and dark mode, and is
readable on a phone.
"""

import base64
import os
import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..core.errors import UserError, reading
from ..core.files import read_json, write_text
from ..core.provenance import describe
from ..data.registry import DATASETS, DEFAULT_DATASET
from .causal_graph import Graph, causal_graph
from .caveats import caveats
from .facts import NOTES, data_notes, devices, run_facts, split_sizes
from .layout import Column, Table, footnotes, format_cell, format_number
from .narrative import cards, explanation_sentences, intervention_sentences
from .steps import read_steps
from .vocabulary import CEILING, FLOOR, method_title
from .write import ARROWS

__all__ = ["icon", "write_report"]

PAGE = Path(__file__).parent
EXPLORER, WORKFLOW = "explorer.html", "workflow.html"
"""The files beside the page that it links to: the explorer, and the report that Snakemake writes on demand."""

_IMAGES = {".svg": "image/svg+xml", ".png": "image/png"}


def write_report(
    tables: Path | str,
    figures: Path | str,
    config: Mapping[str, Any],
    benchmarks: Path | str | None,
    out: Path | str,
    provenance: Mapping[str, Any] | None = None,
    graph: Graph | None = None,
    front: Path | str | None = None,
    data: Path | str | None = None,
) -> None:
    """Writes the page.

    Arguments:
        tables: The folder written by :func:`counterfactory.report.tables.write_tables`.
        figures: The folder written by :func:`counterfactory.report.figures.write_figures`.
        config: The configuration of the run; `report.title` is the title of the page.
        benchmarks: The folder of Snakemake's benchmark files, for the time of each step.
        out: The page.
        graph: The variables and the causal edges, which the page draws; None: those that the data set declares.
        front: A second copy of the page in another folder, whose links are those of that folder.
        provenance: Revision, versions and machine; None: those of :func:`counterfactory.core.provenance.describe`.
        data: The folder of the data set, for the number of images of each split and for its notes; None: the page names
            neither.

    Raises:
        UserError: If a table or figure is missing or damaged. Benchmark files are skipped with a warning instead.
    """
    tables, figures = Path(tables), Path(figures)
    data = None if data is None else Path(data)
    with reading(tables / "index.json", "not a list of tables"):
        listed = [Table.from_dict(fields) for fields in read_json(tables / "index.json")]
    by_key = {table.key: table for table in listed}
    with reading(figures / "index.json", "not a list of figures"):
        pictures = {
            picture["key"]: picture | {"panels": _inline(picture, figures)}
            for picture in read_json(figures / "index.json")
        }
    steps = read_steps(benchmarks) if benchmarks is not None else []
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "link": _link,
        "format_cell": format_cell,
        "number": format_number,
        "duration": _duration,
    }
    environment.globals |= {"groups": _groups, "footnotes": footnotes, "arrows": ARROWS}
    published = [table for table in listed if table.key.startswith("published_")]
    # Published explanations are of faces; they are shown in the section on explanations.
    published_flips = [
        table for table in published if table.columns and table.columns[0].key.startswith("flip_")
    ]
    config = dict(config)
    declared = graph or DATASETS.get(config.get("dataset", DEFAULT_DATASET))
    methods = config.get("methods", [])
    cost = _cost(tables, "cost")
    notes = _address(data / NOTES, Path(out).parent) if data is not None else ""
    page = environment.get_template("page.html.j2").render(
        title=config.get("report", {}).get("title", "Image counterfactuals"),
        style=Markup((PAGE / "page.css").read_text(encoding="utf-8")),
        icon=icon(),
        graph=causal_graph(declared) if declared is not None and declared.variables else "",
        explorer=EXPLORER,
        workflow=WORKFLOW,
        workflow_command=f"snakemake --report {Path(out).parent / WORKFLOW}",
        workflow_exists=(Path(out).parent / WORKFLOW).exists(),
        **run_facts(config, declared, by_key),
        config=config,
        config_text=yaml.safe_dump(
            config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=88
        ),
        provenance=dict(describe() if provenance is None else provenance),
        methods=[method_title(name) for name in methods if name not in (FLOOR, CEILING)],
        tables=by_key,
        sizes=split_sizes(data),
        notes=notes,
        data_notes=data_notes(data),
        devices=devices(cost),
        cost=cost,
        flip_cost=_cost(tables, "explanations_cost"),
        # A table without a single value, such as distances to true counterfactuals that do not exist, says nothing.
        main=[table for table in listed if table.key.startswith("main_") and _has_values(table)],
        interventions=[
            table for table in listed if table.key.startswith("do_") or table.key == "reversibility"
        ],
        published=[table for table in published if table not in published_flips],
        published_flips=published_flips,
        pictures=pictures,
        sweeps=[picture for key, picture in pictures.items() if key.startswith("sweep_")],
        flips=[table for table in listed if table.key == "flip" or table.key.startswith("flip_")],
        examples=[picture for key, picture in pictures.items() if key.startswith("flip_")],
        queries=[table for table in listed if table.key.startswith("query_")],
        cards=cards(by_key.get("distance")),
        sentences=intervention_sentences(by_key),
        explanation_sentences=explanation_sentences(by_key),
        caveats=caveats(by_key, config, bool(getattr(declared, "simulated", True))),
        steps=steps,
        seconds=sum(step.seconds for step in steps),
        longest=max((step.seconds for step in steps), default=0.0),
    )
    write_text(out, page)
    if front is not None:
        for name in (EXPLORER, WORKFLOW):
            there = _address(Path(out).parent / name, Path(front).parent)
            page = page.replace(f'href="{name}', f'href="{there}')
        if data is not None:
            page = page.replace(f'href="{notes}"', f'href="{_address(data / NOTES, Path(front).parent)}"')
        write_text(front, page)


def _address(file: Path, folder: Path) -> str:
    """Returns the address of a file in a page of a folder."""
    return quote(Path(os.path.relpath(file, folder)).as_posix())


def _has_values(table: Table) -> bool:
    return any(cell.value is not None or cell.text for row in table.rows for cell in row.cells)


def _cost(tables: Path, key: str) -> Table | None:
    """Returns a table of costs, if it exists."""
    path = tables / f"{key}.json"
    if not path.exists():
        return None
    with reading(path, "not a table of costs"):
        return Table.from_dict(read_json(path))


def _inline(picture: Mapping[str, Any], figures: Path) -> list[dict[str, Any]]:
    """Returns the panels of a figure with their images as data URIs."""
    panels = []
    for panel in picture["panels"]:
        path = figures / panel["file"]
        try:
            content = base64.b64encode(path.read_bytes()).decode()
        except OSError:
            raise UserError(f"{path}: no such file; write the figures again") from None
        panels.append({**panel, "uri": f"data:{_IMAGES[path.suffix]};base64,{content}"})
    return panels


def icon() -> str:
    """Returns the icon of the page as a data URI; without an icon, browsers request a file."""
    rings = "".join(
        f'<circle cx="{x}" cy="16" r="8.5" fill="none" stroke="{colour}" stroke-width="4"/>'
        for x, colour in ((11.5, "#d9792b"), (20.5, "#2f7fd6"))
    )
    return "data:image/svg+xml," + quote(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{rings}</svg>'
    )


def _groups(columns: tuple[Column, ...]) -> list[tuple[str, int, str, str]]:
    """Returns the shared headings: title, number of columns, and the unit and direction that all of them share."""
    found = []
    for group, members in groupby(columns, key=lambda column: column.group):
        alike = [(column.unit, column.better) for column in members]
        unit, better = alike[0] if group and len(alike) > 1 and len(set(alike)) == 1 else ("", "")
        found.append((group, len(alike), unit, better))
    return found


def _link(text: str) -> Markup:
    """Returns escaped text with its addresses as links."""
    parts = re.split(r"(https://[^\s)]+[^\s).,;])", text)
    return Markup("").join(
        Markup('<a href="{0}">{1}</a>').format(part, part.removeprefix("https://")) if k % 2 else escape(part)
        for k, part in enumerate(parts)
    )


def _duration(seconds: float) -> str:
    """Returns a duration such as `41 s`, `5 min 10 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"

"""Writes all figures of a run.

Each figure is written as `<key>.png` and `<key>.svg`, its panels as `<key>/<panel>.svg`. `index.json` holds the titles,
captions and alternative texts for the page, in the order of reading.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..core.files import write_json
from ..data.dataset import load_dataset
from .cells import read_scores
from .checks import read_judges
from .cost_quality import quality_picture, scale_picture
from .costs import cost_picture, cost_table, read_costs
from .distance import distance_picture, distance_table
from .effectiveness import effectiveness_picture
from .examples import example_pictures, worst_picture
from .explanations import explanation_costs
from .flip_answers import read_flip_answers
from .graph import graph_picture
from .names import empty_reason
from .queries import query_pictures, read_queries
from .results import Results
from .stale import remove_stale
from .structure import read_structure, structure_pictures
from .style import MUTED, AnyFigure, Panel, Picture, method_colours, save_picture
from .sweeps import sweep_pictures
from .training import training_pictures

__all__ = ["write_figures"]


def write_figures(results: Results, out: Path | str, names: Sequence[str] = (), images: int = 8) -> None:
    """Writes all figures.

    Arguments:
        results: The paths of the results.
        out: The folder of figures.
        names: Figures that must exist afterwards (:func:`counterfactory.report.names.figure_names`). Those without
            content are written as an image of the reason, and are not in `index.json`.
        images: The number of images in a grid of images.

    Raises:
        UserError: If a file is missing or damaged. Files of costs are skipped with a warning instead.
    """
    out = Path(out)
    questions, answers, data = results.questions, results.answers, results.data
    dataset, scores = load_dataset(data), read_scores(results.scores, results.pooled)
    methods = scores.methods
    colours = method_colours(methods)
    distance = distance_table(scores, dataset, read_judges(results.judges))
    costs = read_costs(results.costs)
    flips = read_flip_answers(questions, answers, data, results.rows, methods)
    pictures = [
        distance_picture(distance, scores, colours),
        *sweep_pictures(questions, answers, data, dataset, methods, images),
        effectiveness_picture(results.rows, questions / "do.parquet", dataset, methods, colours),
        *(example_pictures(flips, dataset, images) if flips else ()),
        graph_picture(scores, results.rows, dataset, colours),
        scale_picture(flips, colours) if flips else None,
        quality_picture(scores, explanation_costs(costs, methods), dataset, colours),
        worst_picture(flips) if flips else None,
        *query_pictures(read_queries(results.queries), dataset, data),
        *structure_pictures(read_structure(results.structure), dataset),
        *training_pictures(results.logs, colours),
        cost_picture(cost_table(costs, order=methods), colours),
    ]
    index = [save_picture(picture, out) for picture in pictures if picture is not None and picture.panels]
    drawn = {picture["key"] for picture in index}
    empty = [save_picture(_empty_picture(name), out) for name in names if name not in drawn]
    write_json(out / "index.json", index)
    every = [*index, *empty]
    files = {f"{picture['key']}.{kind}" for picture in every for kind in ("png", "svg")}
    panels = {panel["file"] for picture in every for panel in picture["panels"]}
    remove_stale(out, files | panels | {"index.json"})


def _empty_picture(name: str) -> Picture:
    """Returns a figure that states why the figure `name` has no content."""
    reason = empty_reason(name)
    return Picture(
        name, name, reason, (Panel("empty", reason, partial(_draw_text, text=reason), 0.6),), 1, "none"
    )


def _draw_text(figure: AnyFigure, text: str) -> None:
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=6, color=MUTED, wrap=True)

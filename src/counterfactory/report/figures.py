"""The figures: what was answered, how well, by what training, at what cost.

`write_figures` writes under one folder, for each figure, `<key>.png` and `<key>.svg`, its panels as
`<key>/<panel>.svg`, and in `index.json` what the page must know: titles, captions, alt texts, in the order
of reading.
"""

from collections.abc import Sequence
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
from .flip_answers import read_explained
from .graph import graph_picture
from .queries import query_pictures, read_queries
from .structure import read_structure, structure_pictures
from .style import method_colours, save_picture
from .sweeps import sweep_pictures
from .training import training_pictures

__all__ = ["write_figures"]


def write_figures(
    scores: Path | str,
    rows: Sequence[Path | str],
    questions: Path | str,
    answers: Path | str,
    data: Path | str,
    judges: Sequence[Path | str],
    logs: Sequence[Path | str],
    costs: Sequence[Path | str],
    out: Path | str,
    images: int = 8,
    queries: Sequence[Path | str] = (),
    structure: Sequence[Path | str] = (),
) -> None:
    """Writes all figures.

    Arguments:
        scores: The tidy table, `scores/scores.csv`.
        rows: The scores of single questions, `scores/<metric>/seed<k>.parquet`; those of
            effectiveness (predicted and measured) and of explanations are drawn.
        questions: The folder of questions: `do.parquet` for the targets, `sweep.parquet` for the grids of
            images, `flip.parquet` for the explanations.
        answers: The folder of answers; those to the suites `sweep` and `flip` are shown.
        data: The data set's folder.
        judges: The files `models/judges/<variable>/model.json`.
        logs: The files `models/<name>/seed<k>/log.csv` and `models/judges/<variable>/log.csv`.
        costs: The files `answers/<method>/seed<k>/<suite>/<chunk>.cost.json`.
        out: The folder of figures.
        images: How many images a grid of images shows.
        queries: The files `queries/seed<k>/scores/<query>.parquet`, with the answers in the folder above.
        structure: The files `queries/seed<k>/structure/shown.parquet`.

    Raises:
        UserError: If a file is missing or damaged.
    """
    out, questions = Path(out), Path(questions)
    dataset, table = load_dataset(data), read_scores(scores)
    colours = method_colours(table.methods)
    distance = distance_table(table, dataset, read_judges(judges))
    spent = read_costs(costs)
    explained = read_explained(questions, Path(answers), Path(data), list(rows), table.methods)
    pictures = [
        distance_picture(distance, table, colours),
        *sweep_pictures(questions, Path(answers), Path(data), dataset, table.methods, images),
        effectiveness_picture(rows, questions / "do.parquet", dataset, table.methods, colours),
        *(example_pictures(explained, dataset, images) if explained else ()),
        graph_picture(table, rows, dataset, colours),
        scale_picture(explained, colours) if explained else None,
        quality_picture(table, explanation_costs(spent, table.methods), dataset, colours),
        worst_picture(explained) if explained else None,
        *query_pictures(read_queries(queries), dataset, Path(data)),
        *structure_pictures(read_structure(structure), dataset),
        *training_pictures(logs, colours),
        cost_picture(cost_table(spent, order=table.methods), colours),
    ]
    index = [save_picture(picture, out) for picture in pictures if picture is not None and picture.panels]
    write_json(out / "index.json", index)

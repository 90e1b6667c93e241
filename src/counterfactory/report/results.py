"""Paths of one run's results, the input of tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Results"]


@dataclass(frozen=True)
class Results:
    """Paths of one run's results; patterns are relative to `<results>/<dataset>`.

    Arguments:
        scores: The table of all scores, `scores/scores.csv`.
        pooled: The scores pooled over several training seeds, `scores/pooled.csv`; empty for one seed.
        data: The folder of the data set; its `dataset.json` holds the variables, their units and kinds.
        judges: `models/judges/<variable>/model.json`.
        scm: `models/scm/seed<k>/model.json`.
        models: `models/<name>/seed<k>/model.json` of the image models.
        identity: `models/identity/model.json`. A published network has no verification table.
        logs: `models/<name>/seed<k>/log.csv` and `models/judges/<variable>/log.csv`.
        costs: `answers/<method>/seed<k>/<suite>/<chunk>.cost.json`.
        rows: Scores of single questions, `scores/<metric>/seed<k>.parquet`.
        questions: The folder of questions, with one file `<suite>.parquet` per suite.
        answers: The folder of answers.
        queries: `queries/seed<k>/scores/<query>.parquet`; the answers are in the folder above.
        structure: `queries/seed<k>/structure/shown.parquet`.
    """

    scores: Path
    data: Path
    pooled: Sequence[Path] = ()
    judges: Sequence[Path] = ()
    scm: Sequence[Path] = ()
    models: Sequence[Path] = ()
    identity: Sequence[Path] = ()
    logs: Sequence[Path] = ()
    costs: Sequence[Path] = ()
    rows: Sequence[Path] = ()
    questions: Path = Path("questions")
    answers: Path = Path("answers")
    queries: Sequence[Path] = ()
    structure: Sequence[Path] = ()

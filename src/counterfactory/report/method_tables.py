"""Builds tables with one row per method and one column per score."""

from collections.abc import Iterable, Sequence

from ..data.dataset import Dataset
from .cells import Scores, Select
from .layout import Column, Row, Table, embolden_columns
from .vocabulary import CEILING, describe_score, method_role, method_title

__all__ = ["PROTOCOLS", "Part", "cycles_title", "method_table", "score_column", "table_note"]

PROTOCOLS = {
    "marginal": "values drawn from the training marginal",
    "other_bin": "values forced into another bin",
    "fixed": "one value in all images",
    "": "",
}
"""How the protocols of the suite `do` choose values, as shown in notes."""

Part = tuple[Select, str, str | None]
"""One column: the score, the heading that it shares with its neighbours, its own heading (None: the score's title)."""


def score_column(select: Select, dataset: Dataset, group: str = "", title: str | None = None) -> Column:
    """Returns the column of a score. Its key contains suite, intervention, protocol and cycles, and so is unique.

    Arguments:
        select: The score.
        dataset: The data set, for units and directions.
        group: The heading that the column shares with its neighbours.
        title: Its own heading; None: the score's title.
    """
    score = describe_score(select.metric, dataset)
    parts = [part for part in (*select.interventions[:2], select.protocol or "") if part and part != "none"]
    question = f"_{'_'.join(parts)}" if parts and len(select.interventions) == 1 else ""
    times = "" if select.suite == "do" else f"_{select.cycles}"
    key = f"{select.suite}{question}_{select.metric}{times}"
    return Column(
        key, score.title if title is None else title, group, score.unit, score.better, score.decimals
    )


def method_table(
    key: str,
    title: str,
    scores: Scores,
    dataset: Dataset,
    parts: Iterable[Part],
    caption: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """Returns a table with one row per method and one column per score that at least one method has.

    Methods that were not scored in any of the columns have no row.

    Arguments:
        key: The table's key, also the name of its files.
        title: Its title.
        scores: The scores.
        dataset: The data set.
        parts: Its columns.
        caption: Its caption.
        notes: The notes below it.
    """
    parts = [part for part in parts if scores.has(part[0])]
    columns = tuple(score_column(select, dataset, group, head) for select, group, head in parts)
    selects = [select for select, _, _ in parts]
    rows = tuple(
        Row(method_title(name), scores.cells(selects, name), method_role(name), name)
        for name in scores.methods
    )
    rows = tuple(
        row
        for row in rows
        if any(cell.value is not None or cell.reason != "not scored" for cell in row.cells)
    )
    return embolden_columns(Table(key, title, columns, rows, caption, notes=tuple(notes)))


def table_note(scores: Scores, level: float) -> str:
    """Returns the note on arrows, intervals and bold print.

    Arguments:
        scores: The scores; the intervals of one seed cover questions, those of several seeds also training.
        level: The coverage of the bootstrap intervals.
    """
    seeds = len(scores.seeds)
    uncertainty = (
        f"{100 * level:g} % bootstrap intervals over questions; one training seed, so that they do not contain the "
        "variation over trainings"
        if seeds == 1
        else f"{100 * level:g} % intervals over questions and {seeds} training seeds"
    )
    references = "floor and ceiling are" if CEILING in scores.methods else "the floor is"
    competing = sum(method_role(name) == "method" for name in scores.methods)
    bold = (
        " Bold: the best of the methods with the largest number of answers, and all whose paired difference from it is "
        f"within noise (bootstrap over the same questions); {references} excluded."
        if competing > 1
        else ""
    )
    return f"↓ lower is better, ↑ higher is better; {uncertainty}.{bold}"


def cycles_title(cycles: int) -> str:
    """Returns the heading of a number of cycles, such as `10 cycles`."""
    return f"{cycles} cycle{'s' * (cycles > 1)}"

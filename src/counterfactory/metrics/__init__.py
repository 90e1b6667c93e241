"""The marks: every answer is marked alike, one file a metric.

A metric is a module `metrics/<name>.py` and a line in :mod:`counterfactory.metrics.registry`. It has one
function,

    load(judges: Path, weights: Path, settings: Any, device: str) -> Marker

which reads what the metric needs (judges, pretrained weights) and returns a function from one answered suite
(:class:`counterfactory.metrics.answered.Answered`) to its marks. Metrics know neither methods nor each other,
and a mark that cannot be computed is absent with a reason, never zero.
"""

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from .answered import Answered, Mark

__all__ = ["mark"]


def mark(
    metric: str,
    method: str,
    seed: int,
    settings: Any,
    data: Path | str,
    questions: Mapping[str, Path | str],
    answers: Path | str,
    out: Path | str,
    truth: Path | str | None = None,
    judges: Path | str | None = None,
    weights: Path | str | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Marks all answers of one method and training seed by one metric.

    Writes one row a question and mark, with the columns `dataset`, `method`, `seed`, `question`, `suite`,
    `intervention`, `protocol`, `cycles`, `metric`, `value` (NaN where absent) and `reason` (why it is
    absent).

    Arguments:
        metric: The metric's name.
        method: The method's name, for the table.
        seed: The method's training seed, for the table.
        settings: The configuration's section `marks`.
        data: The data set's folder.
        questions: The table of questions of each suite asked; suites that the metric does not mark are passed
            over.
        answers: The folder of the answers, with a folder for each suite.
        out: The parquet file to write.
        truth: The answers of the method `truth`, likewise, for the metrics that compare with them.
        judges: The folder of the judges, with a folder for each variable.
        weights: The folder of the pretrained weights.
        device: Where networks run.
        threads: The number of threads networks run on.

    Raises:
        UserError: If there is no such metric, or something it needs is missing or damaged.
    """
    # Imported here: what is imported at the top belongs to the code hash of everything in this package, and a
    # line added to the registry would then retrain the judges and redo all marks.
    from .registry import METRICS

    if metric not in METRICS:
        near = get_close_matches(metric, METRICS, n=1, cutoff=0.0)
        raise UserError(f"marks.metrics: {metric}: no such metric; the nearest is {', '.join(near)}")
    needs = METRICS[metric]
    import pandas as pd

    from ..data.dataset import load_dataset
    from ..files import write_table
    from .answered import load_answered

    dataset = load_dataset(data)
    wanted = {"judges": needs.judges, "weights": needs.weights, "truth": needs.truth and dataset.simulated}
    for option, given in (("judges", judges), ("weights", weights), ("truth", truth)):
        if wanted[option] and given is None:
            raise UserError(f"mark {metric}: needs {option}; give its folder")
    module = import_module(f"{__name__}.{metric}")
    torch = sys.modules.get("torch")  # not every metric imports it
    if torch is not None:
        torch.set_num_threads(threads)
    marker = module.load(judges=judges, weights=weights, settings=settings, device=device)
    tables = []
    for suite in needs.suites:
        if suite in questions:
            answered = load_answered(suite, data, questions[suite], answers, truth if needs.truth else None)
            tables += [_table(answered, one) for one in marker(answered)]
    if not tables:
        raise UserError(
            f"mark {metric}: none of its suites ({', '.join(needs.suites)}) is asked, or it has no mark there"
        )
    table = pd.concat(tables, ignore_index=True)
    for position, (name, value) in enumerate((("dataset", dataset.name), ("method", method), ("seed", seed))):
        table.insert(position, name, value)
    write_table(out, table)


def _table(answered: "Answered", mark: "Mark") -> "pd.DataFrame":
    """Lays out one mark of a suite, a row a question; questions without an answer are absent."""
    import numpy as np

    questions = answered.questions if mark.rows is None else answered.questions.iloc[mark.rows]
    there = questions["answered"].to_numpy(bool)
    values = np.where(there, np.asarray(mark.values, dtype=np.float64), np.nan)
    # Where the method answered and a mark is still missing, the metric says why.
    reasons = np.where(there, mark.reason or "no finite mark", "the method does not answer this question")
    table = questions[["question", "suite", "intervention", "protocol", "cycles"]].reset_index(drop=True)
    return table.assign(metric=mark.metric, value=values, reason=np.where(np.isfinite(values), "", reasons))

"""The scores: every answer is scored alike, one file a metric and training seed.

A metric is a module `metrics/<name>.py` and a line in :mod:`counterfactory.metrics.registry`. It has one
function,

    load(resources: Resources) -> Scorer

which reads what the metric needs (judges, classifier, pretrained weights) from where
:class:`counterfactory.metrics.resources.Resources` tells and returns a function from one answered suite
(:class:`counterfactory.metrics.inputs.Answered`) to its scores: one a question
(:class:`~counterfactory.metrics.inputs.Score`), or one of a whole set of answers
(:class:`~counterfactory.metrics.inputs.SetScore`). A metric that holds all methods against something costly, such as
features of real images, has a second one,

    compute_reference(resources: Resources, questions: Path, out: Path) -> None

which writes that once. One that asks for weights that others trained lists its scores of each suite, `SCORES`, to say
that they are absent where a file of weights is not there (:class:`counterfactory.core.errors.MissingWeights`). Metrics do
not know methods, and a score that cannot be computed is absent with a reason, never zero.
"""

import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingWeights, UserError

if TYPE_CHECKING:
    import pandas as pd

    from .inputs import Answered, Score, SetScore
    from .registry import Metric

__all__ = ["compute_reference", "score"]


def score(
    metric: str,
    methods: Sequence[str],
    seed: int,
    settings: Any,
    data: Path | str,
    questions: Mapping[str, Path | str],
    answers: Path | str,
    out: Path | str,
    models: Path | str | None = None,
    reference: Path | str | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Scores all answers of the methods of one training seed by one metric.

    Writes one row a question and score, with the columns `dataset`, `method`, `seed`, `question`, `suite`,
    `intervention`, `protocol`, `cycles`, `metric`, `value` (NaN where absent) and `reason` (why it is
    absent). A score of a whole set of answers is one row, with :data:`counterfactory.metrics.summary.WHOLE` in place
    of the question, and in such a table there are also `low`, `high` and `n`. One process scores all methods, so that
    what they are scored with is read and computed once: suite by suite, so that the images of one suite are held at a
    time. Rows stand method by method.

    Arguments:
        metric: The metric's name.
        methods: The methods' names.
        seed: The methods' training seed; the classifier under observation has the same.
        settings: The configuration's section `scores`.
        data: The data set's folder.
        questions: The table of questions of each suite asked; suites that the metric does not score, or a method does
            not answer, are passed over.
        answers: The folder of all answers, `<method>/seed<k>/<suite>/` in it; those of the method `truth` are there
            too for the metrics that compare with them.
        out: The parquet file to write.
        models: The folder of the data set's models, for the metrics that ask judges, classifiers or pretrained
            weights.
        reference: What :func:`compute_reference` wrote, for the metrics that have such a step.
        device: Where networks run.
        threads: The number of threads networks run on.

    Raises:
        UserError: If there is no such metric or method, or something it needs is missing or damaged.
    """
    needs = _needs(metric)
    asked = {
        method: [suite for suite in needs.suites if suite in questions and suite in _suites(method)]
        for method in methods
    }
    import pandas as pd

    from ..core.files import write_table
    from ..data.dataset import load_dataset, load_split
    from .inputs import absent, load_answers, load_asked
    from .resources import Resources

    dataset = load_dataset(data)
    wanted = {"models": needs.judges or bool(needs.models), "reference": needs.reference}
    for option, given in (("models", models), ("reference", reference)):
        if wanted[option] and given is None:
            raise UserError(f"score {metric}: needs {option}; give its path")
    resources = Resources(
        settings, Path(data), Path(models or ""), seed, Path(reference) if reference else None, device
    )
    module = _module(metric, threads)
    try:
        scorer = module.load(resources)
    except MissingWeights as error:
        print(f"score {metric}: absent: {error}", file=sys.stderr)
        scorer = partial(absent, module.SCORES, str(error))
    test = load_split(data, "test")
    truth = Path(answers, "truth", "seed0") if needs.truth else None
    tables: dict[str, list[pd.DataFrame]] = {method: [] for method in asked}
    for suite in needs.suites:
        those = [method for method, suites in asked.items() if suite in suites]
        if not those:
            continue
        shared = load_asked(suite, dataset, test, questions[suite], truth)
        for method in those:
            answered = load_answers(shared, Path(answers, method, f"seed{seed}"))
            for one in scorer(answered):
                table = _table(answered, one)
                for position, (name, value) in enumerate(
                    (("dataset", dataset.name), ("method", method), ("seed", seed))
                ):
                    table.insert(position, name, value)
                tables[method].append(table)
    if not any(tables.values()):
        raise UserError(
            f"score {metric}: none of its suites ({', '.join(needs.suites)}) is asked, or it has no score there"
        )
    rows = [table for of_method in tables.values() for table in of_method]
    write_table(out, pd.concat(rows, ignore_index=True))


def compute_reference(
    metric: str,
    settings: Any,
    data: Path | str,
    models: Path | str,
    questions: Path | str,
    out: Path | str,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Computes once what a metric holds all methods against, such as the features of the real images asked about.

    Arguments:
        metric: The metric's name.
        settings: The configuration's section `scores`.
        data: The data set's folder.
        models: The folder of the data set's models.
        questions: The table of questions of the suite that the metric scores.
        out: The file to write, which :func:`score` is given as `reference`.
        device: Where networks run.
        threads: The number of threads networks run on.

    Raises:
        UserError: If the metric is unknown or has no such step, or something it needs is missing or damaged.
    """
    if not _needs(metric).reference:
        raise UserError(f"reference {metric}: this metric computes nothing beforehand; score with it at once")
    from .resources import Resources

    resources = Resources(settings, Path(data), Path(models), device=device)
    _module(metric, threads).compute_reference(resources, Path(questions), Path(out))


def _needs(metric: str) -> "Metric":
    """Returns the metric's line in the registry."""
    # Imported here: what is imported at the top belongs to the code hash of everything in this package, and a
    # line added to the registry would then retrain the judges and redo all scores.
    from .registry import METRICS

    if metric not in METRICS:
        near = get_close_matches(metric, METRICS, n=1, cutoff=0.0)
        raise UserError(f"scores.metrics: {metric}: no such metric; the nearest is {', '.join(near)}")
    return METRICS[metric]


def _suites(method: str) -> tuple[str, ...]:
    """Returns the suites that a method answers."""
    from ..methods.registry import METHODS

    if method not in METHODS:
        near = get_close_matches(method, METHODS, n=1, cutoff=0.0)
        raise UserError(f"methods: {method}: no such method; the nearest is {', '.join(near)}")
    return METHODS[method].suites


def _module(metric: str, threads: int) -> ModuleType:
    """Imports a metric."""
    module = import_module(f"{__package__}.{metric}")
    torch = sys.modules.get("torch")  # not every metric imports it
    if torch is not None:
        torch.set_num_threads(threads)
    return module


def _table(answered: "Answered", score: "Score | SetScore") -> "pd.DataFrame":
    """Lays out one score of a suite: a row a question, or one row for a whole set of answers."""
    import numpy as np
    import pandas as pd

    from .inputs import SetScore
    from .summary import WHOLE

    if isinstance(score, SetScore):
        intervention, protocol, cycles = score.group
        row = {"question": WHOLE, "suite": answered.suite, "intervention": intervention, "protocol": protocol}
        row |= {"cycles": cycles, "metric": score.metric, "value": score.value, "reason": score.reason}
        return pd.DataFrame([row | {"low": score.low, "high": score.high, "n": score.n}])
    questions = answered.questions if score.rows is None else answered.questions.iloc[score.rows]
    there = questions["answered"].to_numpy(bool)
    values = np.where(there, np.asarray(score.values, dtype=np.float64), np.nan)
    # Where the method answered and a score is missing, the metric says why; and where it told of that very question.
    said = np.asarray(score.reason, dtype=object)
    unanswered = answered.unanswered if score.rows is None else answered.unanswered[score.rows]
    reasons = np.where(
        there | ((said != "") & (said.ndim > 0)), np.where(said == "", "no finite score", said), unanswered
    )
    table = questions[["question", "suite", "intervention", "protocol", "cycles"]].reset_index(drop=True)
    return table.assign(metric=score.metric, value=values, reason=np.where(np.isfinite(values), "", reasons))

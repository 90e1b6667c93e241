"""Scores the answers of all methods by one metric, and computes reference statistics.

A metric is a module `metrics/<name>.py` and a line in :data:`counterfactory.metrics.registry.METRICS`. The module has
the function

- `load(resources: Resources) -> Scorer`: loads what the metric requires, such as judges or pretrained weights, and
  returns the scorer: a function from the answers to one suite (:class:`counterfactory.metrics.inputs.SuiteAnswers`) to
  a list of scores, each of one value per question (:class:`counterfactory.metrics.inputs.Score`) or of a set of answers
  (:class:`counterfactory.metrics.inputs.SetScore`).

It may also have

- `compute_reference(resources: Resources, questions: Mapping[str, Path], out: Path) -> None`: writes statistics that
  are the same for all methods and expensive to compute, such as features of real images. `questions` has the table of
  questions of each suite that the metric scores;
- `SCORES: dict[str, tuple[str, ...]]`: the names of its scores of each suite. If a weights file is missing
  (:class:`counterfactory.core.errors.MissingWeights`), these scores are missing with that reason. By default the metric
  has one score of its own name.

Metrics do not depend on methods. A score that cannot be computed is missing with a reason, never zero.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ..core.errors import MissingWeights, UserError
from ..core.files import write_table
from ..core.names import unknown_name
from ..core.plugins import imported
from ..data.dataset import load_dataset, load_split
from ..methods.registry import METHODS
from .inputs import Score, Scorer, SetScore, SuiteAnswers, absent, load_answers, load_questions
from .registry import METRICS, module_of
from .resources import Resources
from .summary import WHOLE

__all__ = ["compute_reference", "score"]

Entry = TypeVar("Entry")


def score(
    metric: str,
    methods: Sequence[str],
    questions: Mapping[str, Path],
    answers: Path,
    resources: Resources,
    out: Path,
) -> None:
    """Scores the answers of some methods with one training seed by one metric.

    The table has one row per question and score, with the columns `dataset`, `method`, `seed`, `question`, `suite`,
    `intervention`, `protocol`, `cycles`, `metric` (the name of the score), `value` (NaN if missing) and `reason` (why
    it is missing). A score of a set of answers is one row with :data:`counterfactory.metrics.summary.WHOLE` as its
    question; a table with such scores also has the columns `low`, `high` and `n`. Rows are ordered by method.

    All methods are scored in one process, suite by suite: models, factual images and true counterfactuals are read
    once, and the images of one suite are in memory at a time.

    Arguments:
        metric: The name of the metric.
        methods: The names of the methods.
        questions: The table of questions of each suite. Suites that the metric does not score, or a method does not
            answer, are skipped.
        answers: The folder of all answers, `<method>/seed<k>/<suite>/` in it, with those of the method `truth` if the
            metric compares with them.
        resources: The settings, data, models, training seed, reference and device.
        out: The parquet file to write.

    Raises:
        UserError: If there is no such metric or method, or a required file is missing or damaged.
    """
    needs = _entry(METRICS, metric, "scores.metrics", "metric")
    suites = {name: _entry(METHODS, name, "methods", "method").suites for name in methods}
    if needs.reference and resources.reference is None:
        raise UserError(f"{metric}: requires --reference; run `counterfactory reference {metric}` first")
    dataset = load_dataset(resources.data)
    scorer = _scorer(metric, resources)
    test = load_split(resources.data, "test")
    truth = answers / "truth" / "seed0" if needs.truth else None
    tables: dict[str, list[pd.DataFrame]] = {method: [] for method in methods}
    for suite in needs.suites:
        answering = [method for method in methods if suite in suites[method]]
        if suite not in questions or not answering:
            continue
        shared = load_questions(suite, dataset, test, questions[suite], truth)
        for method in answering:
            one = load_answers(shared, answers / method / f"seed{resources.seed}")
            first = {"dataset": dataset.name, "method": method, "seed": resources.seed}
            tables[method] += [_table(one, found, first) for found in scorer(one)]
    rows = [table for of_method in tables.values() for table in of_method]
    if not rows:
        raise UserError(
            f"{metric}: there are no questions of its suites ({', '.join(needs.suites)}), or none has a score;"
            " add the suites to --questions"
        )
    whole = pd.concat(rows, ignore_index=True)
    whole.attrs = {"metric": metric}  # compared with the folder of the file by the summary
    write_table(out, whole)


def compute_reference(metric: str, questions: Mapping[str, Path], resources: Resources, out: Path) -> None:
    """Computes the reference statistics of a metric, such as the features of real images.

    Arguments:
        metric: The name of the metric.
        questions: The table of questions of each suite; those that the metric does not score are skipped.
        resources: The settings, data, models and device.
        out: The file to write, the `reference` of :class:`counterfactory.metrics.resources.Resources`.

    Raises:
        UserError: If the metric is unknown or has no reference, or a required file is missing or damaged.
    """
    needs = _entry(METRICS, metric, "scores.metrics", "metric")
    if not needs.reference:
        raise UserError(f"{metric}: this metric has no reference; run `counterfactory score {metric}`")
    scored = {suite: questions[suite] for suite in needs.suites if suite in questions}
    if not scored:
        raise UserError(f"{metric}: there are no questions of its suites ({', '.join(needs.suites)})")
    _module(metric, resources.threads).compute_reference(resources, scored, out)


def _entry(table: Mapping[str, Entry], name: str, key: str, what: str) -> Entry:
    """Returns one line of a registry."""
    if name not in table:
        raise unknown_name(f"{key}: {name}", f"no such {what}", table)
    return table[name]


def _module(metric: str, threads: int) -> ModuleType:
    """Imports a metric."""
    module = imported(module_of(metric))
    torch = sys.modules.get("torch")  # some metrics do not import it
    if torch is not None:
        torch.set_num_threads(threads)
    return module


def _scorer(metric: str, resources: Resources) -> Scorer:
    """Loads a metric. If a weights file is missing, the scorer returns missing scores with that reason."""
    module = _module(metric, resources.threads)
    try:
        return module.load(resources)
    except MissingWeights as error:
        print(f"score {metric}: absent: {error}", file=sys.stderr)
        names = getattr(module, "SCORES", {suite: (metric,) for suite in METRICS[metric].suites})
        return partial(absent, names, str(error))


def _table(answers: SuiteAnswers, score: Score | SetScore, first: Mapping[str, Any]) -> pd.DataFrame:
    """Returns one score as a table, with one row per question or one row for a set of answers.

    Arguments:
        answers: The answers that were scored.
        score: The score.
        first: The values of the first columns, the same in all rows.
    """
    if isinstance(score, SetScore):
        intervention, protocol, cycles = score.group
        row: dict[str, Any] = {**first, "question": WHOLE, "suite": answers.suite}
        row |= {"intervention": intervention, "protocol": protocol, "cycles": cycles, "metric": score.metric}
        row |= {"value": score.value, "reason": score.reason}
        return pd.DataFrame([row | {"low": score.low, "high": score.high, "n": score.n}])
    questions = answers.questions if score.rows is None else answers.questions.iloc[score.rows]
    answered = questions["answered"].to_numpy(bool)
    values = np.where(answered, np.asarray(score.values, dtype=np.float64), np.nan)
    # The metric gives the reasons of answered questions. For an unanswered question its reason counts only if it is one
    # of this question, and not one for all.
    given = np.asarray(score.reason, dtype=object)
    unanswered = answers.unanswered if score.rows is None else answers.unanswered[score.rows]
    own = answered | ((given != "") & (given.ndim > 0))
    reasons = np.where(own, np.where(given == "", "no finite score", given), unanswered)
    table = questions[["question", "suite", "intervention", "protocol", "cycles"]].reset_index(drop=True)
    table = table.assign(metric=score.metric, value=values, reason=np.where(np.isfinite(values), "", reasons))
    for position, (name, value) in enumerate(first.items()):
        table.insert(position, name, value)
    return table

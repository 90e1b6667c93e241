r"""CD (correlation difference): whether the changes of attributes correlate as their labels do in the train split.

With :math:`r_{\mathrm{train}}(q, a)` Pearson's correlation between the flipped attribute q and the attribute a over
the labels of the train split, and :math:`\delta_a = o_a(\hat x) - o_a(x) \in \{-1, 0, 1\}` the change of the oracle's
prediction,

.. math:: \mathrm{CD} = \sum_a \left| r_{\mathrm{train}}(q, a) - r(\delta_a, \delta_q) \right|

over the flipped answers (Jeanneret et al., 2022, arXiv:2203.15636). It is one number per set of answers: between 0 and
2 per attribute other than q, whose own term is 0. Lower is better. CD is defined by the correlations of the labels and
not by the causal graph, so it also penalizes a change that the graph forbids and the labels lack.

Differences from the published code:

- q is the attribute of the question. The published code always uses the attribute for smiling.
- The correlation with an attribute that never changes is 0, as in ACE (Jeanneret et al., 2023, arXiv:2303.09962). In
  the published code it is undefined, and so is the sum (`scores.correlation.constant: nan`).

Variables with more than two classes are excluded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from ..core.errors import BadFile, UserError, reading
from ..core.files import writing
from ..core.noise import derive_seed
from ..data.attributes import attribute_labels
from ..data.dataset import load_dataset, load_split
from ..models.classifier.model import AttributeClassifier, load_classifier
from .bootstrap import bootstrap_statistic
from .inputs import Group, Scorer, SetScore, SuiteAnswers, sets
from .jpeg import jpeg_round_trip
from .mnac import attributes_of
from .predictions import predict
from .resources import Resources

if TYPE_CHECKING:
    from ..config import BootstrapSettings

__all__ = [
    "compute_reference",
    "correlation_difference",
    "correlation_scores",
    "correlations",
    "load",
    "read_correlations",
]


def compute_reference(resources: Resources, questions: Mapping[str, Path], out: Path) -> None:
    """Writes the correlations of the labels of the train split, which are the same for all methods.

    Arguments:
        resources: The data, and the oracle, which defines the attributes.
        questions: Not used.
        out: The safetensors file to write: `correlations`, float64 (A, A), in the order of the oracle's attributes.
    """
    attributes = attributes_of(load_classifier(resources.oracle, expected="oracle"))
    labels = attribute_labels(load_dataset(resources.data), load_split(resources.data, "train"), attributes)
    with writing(out) as temporary:
        save_file({"correlations": correlations(labels.to_numpy(np.float64))}, temporary)


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `cd`; reads `scores.correlation` and `scores.bootstrap`.

    Raises:
        UserError: If a model or the reference is missing or damaged, or they have different attributes.
    """
    settings = resources.settings.correlation
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    oracle = load_classifier(resources.oracle, resources.device, "oracle")
    train = read_correlations(resources.reference, len(oracle.attributes))
    bootstrap = resources.settings.bootstrap
    return lambda answers: correlation_scores(
        answers, classifier, oracle, train, bootstrap, settings.constant, settings.jpeg
    )


def correlation_scores(
    answers: SuiteAnswers,
    classifier: AttributeClassifier,
    oracle: AttributeClassifier,
    train: np.ndarray,
    bootstrap: "BootstrapSettings",
    constant: Literal["zero", "nan"] = "zero",
    jpeg: bool = False,
) -> list[SetScore]:
    """Returns `cd` of the flipped answers of each set of questions.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
        oracle: The network that predicts the attributes.
        train: The correlations of the labels of the train split, (A, A), in the order of the oracle's attributes.
        bootstrap: The section `scores.bootstrap` of the configuration.
        constant: The correlation with an attribute that never changes: 0 or undefined.
        jpeg: Whether images are compressed as JPEG first, as for the scripts of DiME.
    """
    predictions = predict(answers, classifier)
    names = list(oracle.attributes)
    scores = []
    for group, rows in sets(answers.questions):
        flipped = rows[predictions.flipped[rows]]
        query = answers.questions["attribute"].iloc[rows[0]]
        changes, reason = np.empty((0, len(names))), ""
        if query not in names:
            reason = "the flipped variable is not a binary attribute, so it has no correlations"
        elif not len(flipped):
            reason = predictions.why_none(rows)
        elif not np.isfinite(train[names.index(query)]).any():
            reason = f"all train images have the same label of {query}"
        else:
            factual, images = answers.factual[flipped], answers.images[flipped]
            if jpeg:
                factual, images = jpeg_round_trip(factual), jpeg_round_trip(images)
            before, after = oracle.predict(factual), oracle.predict(images)
            changes = np.stack([after[name] - before[name] for name in names], axis=1)
            if np.ptp(changes[:, names.index(query)]) == 0:
                reason = (
                    f"the oracle's prediction of {query} changes alike in all {len(flipped)} flipped answers:"
                    " nothing can correlate with it"
                )
        if reason:
            scores.append(SetScore("cd", group, np.nan, 0, reason=reason))
            continue
        scores.append(_score(group, changes, train, names.index(query), constant, answers.suite, bootstrap))
    return scores


def correlation_difference(
    changes: np.ndarray | Sequence[Sequence[int]],
    train: np.ndarray,
    query: int,
    constant: Literal["zero", "nan"] = "zero",
) -> float:
    """Returns CD.

    Arguments:
        changes: The change of each attribute, -1, 0 or 1, with shape (N, A).
        train: The correlation of the train labels of each attribute with those of `query`, with shape (A,). NaN, of an
            attribute with equal labels, counts as 0.
        query: The column of the flipped attribute.
        constant: The correlation with an attribute that never changes: 0 or undefined.

    Returns:
        The sum of absolute differences, 0 or more; NaN if a correlation is undefined.
    """
    found = correlations(np.asarray(changes, np.float64), query)
    if constant == "zero":
        found = np.nan_to_num(found)
    difference = np.abs(np.nan_to_num(train) - found)
    difference[query] = 0.0
    return float(difference.sum())


def correlations(values: np.ndarray, column: int | None = None) -> np.ndarray:
    """Returns Pearson's correlations between columns.

    Arguments:
        values: With shape (N, A).
        column: The one column that all columns are correlated with; None: all pairs.

    Returns:
        Correlations in [-1, 1] with shape (A,) or (A, A), NaN where a column is constant.
    """
    centred = values - values.mean(0)
    # Rounding leaves a constant column with a norm slightly above 0.
    lengths = np.where(np.ptp(values, axis=0) == 0, np.nan, np.linalg.norm(centred, axis=0))
    unit = centred / lengths
    return np.clip(unit.T @ (unit if column is None else unit[:, column]), -1.0, 1.0)


def _score(
    group: Group,
    changes: np.ndarray,
    train: np.ndarray,
    query: int,
    constant: Literal["zero", "nan"],
    suite: str,
    bootstrap: "BootstrapSettings",
) -> SetScore:
    value = correlation_difference(changes, train[query], query, constant)
    if not np.isfinite(value):
        still = int((np.ptp(changes, axis=0) == 0).sum())
        reason = f"{still} of {len(train)} attributes never change, so CD is undefined (constant: nan)"
        return SetScore("cd", group, np.nan, 0, reason=reason)
    # The seed depends on the set only: the resamples of all methods are the same.
    seed = derive_seed(bootstrap.seed, suite, *group, "cd")
    low, high = bootstrap_statistic(
        lambda drawn: correlation_difference(changes[drawn], train[query], query, constant),
        len(changes),
        bootstrap.resamples,
        bootstrap.level,
        seed,
    )
    return SetScore("cd", group, value, len(changes), max(low, 0.0), high)


def read_correlations(path: Path | None, count: int) -> np.ndarray:
    """Reads what :func:`compute_reference` wrote.

    Arguments:
        path: The safetensors file.
        count: The number A of attributes of the oracle.

    Returns:
        The correlations of the labels of the train split, float64 (A, A).

    Raises:
        UserError: If the file is missing or cannot be read.
        BadFile: If it is damaged, of another metric, or of an oracle with other attributes.
    """
    if path is None:
        raise UserError("correlation: requires --reference; run `counterfactory reference correlation` first")
    with reading(path, "not the correlations of labels", step="run `counterfactory reference correlation`"):
        found = load_file(path)["correlations"]
    if found.shape != (count, count):
        raise BadFile(
            f"{path}: not the correlations of the {count} attributes of the oracle; delete it and run again"
        )
    return found

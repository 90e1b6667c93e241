r"""CD: whether a flip drags other attributes along that go with it in the training data.

With :math:`r_{\mathrm{train}}(q, a)` Pearson's correlation of the attribute q to be flipped and the attribute a over
the labels of the train split, and :math:`\delta_a = o_a(\hat x) - o_a(x) \in \{-1, 0, 1\}` the change of the oracle's
prediction,

.. math:: \mathrm{CD} = \sum_a \left| r_{\mathrm{train}}(q, a) - r(\delta_a, \delta_q) \right|

over the flipped answers (correlation difference: Jeanneret et al., 2022, arXiv:2203.15636). It is one number for a set,
from 0 to 2 for each attribute but q itself, whose term is 0. It calls a method good whose changes hang together as the
labels do, whether the graph says that they should or not. The published code counts the attribute of smiling, whatever
is flipped, and an attribute that never changes has no correlation and spoils the sum. Here q is what was flipped, and
such a correlation is 0, as in ACE (Jeanneret et al., 2023, arXiv:2303.09962); `constant: nan` is the published way.
The classes of a categorical variable are no binary attributes and take no part.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from ..core.errors import BadFile
from ..core.files import writing
from ..core.noise import derive_seed
from ..data.attributes import attribute_labels
from ..data.dataset import load_dataset, load_split
from ..models.classifier.model import load_classifier
from .bootstrap import bootstrap_statistic
from .inputs import Answered, Scorer, SetScore, sets
from .jpeg import jpeg_round_trip
from .mnac import Oracle, attributes_of
from .predictions import Classifier, predict
from .resources import Resources

__all__ = ["correlation_difference", "correlation_scores", "correlations", "compute_reference", "load"]


def compute_reference(resources: Resources, questions: Path, out: Path) -> None:
    """Writes the correlations of the labels of the train split, the same for all methods.

    Arguments:
        resources: The data and the oracle, whose attributes they are.
        questions: Not used.
        out: The safetensors file to write: `correlations`, float64 (A, A), in the order of the oracle's attributes.
    """
    attributes = attributes_of(load_classifier(resources.oracle))
    labels = attribute_labels(load_dataset(resources.data), load_split(resources.data, "train"), attributes)
    with writing(out) as temporary:
        save_file({"correlations": correlations(labels.to_numpy(np.float64))}, temporary)


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `cd`; reads `scores.correlation` and `scores.bootstrap`."""
    settings = resources.settings.correlation
    classifier = load_classifier(resources.classifier, resources.device)
    oracle = load_classifier(resources.oracle, resources.device)
    try:
        train = load_file(resources.reference)["correlations"]
    except Exception as error:
        kind = type(error).__name__
        raise BadFile(f"{resources.reference}: cannot be read ({kind}); delete it and run again") from None
    bootstrap = resources.settings.bootstrap
    return lambda answered: correlation_scores(
        answered, classifier, oracle, train, bootstrap, settings.constant, settings.jpeg
    )


def correlation_scores(
    answered: Answered,
    classifier: Classifier,
    oracle: Oracle,
    train: np.ndarray,
    bootstrap: Any,
    constant: Literal["zero", "nan"] = "zero",
    jpeg: bool = False,
) -> list[SetScore]:
    """Returns the score of the flipped answers of each intervention.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
        oracle: What tells attributes.
        train: The correlations of the labels of the train split, (A, A), in the order of the oracle's attributes.
        bootstrap: The configuration's section `scores.bootstrap`.
        constant: What the correlation with an attribute that never changes is.
        jpeg: Whether images are looked at after JPEG, as published.
    """
    said = predict(answered, classifier)
    names = list(oracle.attributes)
    scores = []
    for group, rows in sets(answered.questions):
        flipped = rows[said.flipped[rows]]
        query = answered.questions["attribute"].iloc[rows[0]]
        changes, reason = np.empty((0, len(names))), ""
        if query not in names:
            reason = "no binary attribute was to be flipped, whose correlations could be compared"
        elif not len(flipped):
            reason = said.why_none(rows)
        elif not np.isfinite(train[names.index(query)]).any():
            reason = f"all train images have the same side of {query}"
        else:
            one, other = answered.factual[flipped], answered.images[flipped]
            if jpeg:
                one, other = jpeg_round_trip(one), jpeg_round_trip(other)
            before, after = oracle.predict(one), oracle.predict(other)
            changes = np.stack([after[name] - before[name] for name in names], axis=1)
            if np.ptp(changes[:, names.index(query)]) == 0:
                reason = (
                    f"the oracle sees {query} change alike in all {len(flipped)} flipped answers: nothing can"
                    " correlate with it"
                )
        if reason:
            scores.append(SetScore("cd", group, np.nan, 0, reason=reason))
            continue
        scores.append(_score(group, changes, train, names.index(query), constant, answered.suite, bootstrap))
    return scores


def _score(
    group: tuple[str, str, int],
    changes: np.ndarray,
    train: np.ndarray,
    query: int,
    constant: Literal["zero", "nan"],
    suite: str,
    bootstrap: Any,
) -> SetScore:
    value = correlation_difference(changes, train[query], query, constant)
    if not np.isfinite(value):
        still = int((np.ptp(changes, axis=0) == 0).sum())
        reason = f"{still} of {len(train)} attributes never change; as published, that leaves no number"
        return SetScore("cd", group, np.nan, 0, reason=reason)
    # Named by the set alone, so that all methods are resampled alike.
    seed = derive_seed(bootstrap.seed, suite, *group, "cd")
    low, high = bootstrap_statistic(
        lambda drawn: correlation_difference(changes[drawn], train[query], query, constant),
        len(changes),
        bootstrap.resamples,
        bootstrap.level,
        seed,
    )
    return SetScore("cd", group, value, len(changes), max(low, 0.0), high)


def correlation_difference(
    changes: np.ndarray | Sequence[Sequence[int]],
    train: np.ndarray,
    query: int,
    constant: Literal["zero", "nan"] = "zero",
) -> float:
    """Returns CD.

    Arguments:
        changes: The change of each attribute, -1, 0 or 1, with shape (N, A).
        train: The correlation of each attribute's train labels with those of `query`, with shape (A,); NaN, where
            all labels of an attribute are the same, counts as 0.
        query: The column of the attribute that was to be flipped.
        constant: What the correlation with an attribute that never changes is: 0, or no number.

    Returns:
        The sum of absolute differences.
    """
    seen = correlations(np.asarray(changes, np.float64), query)
    if constant == "zero":
        seen = np.nan_to_num(seen)
    difference = np.abs(np.nan_to_num(train) - seen)
    difference[query] = 0.0
    return float(difference.sum())


def correlations(values: np.ndarray, column: int | None = None) -> np.ndarray:
    """Returns Pearson's correlations of columns.

    Arguments:
        values: With shape (N, A).
        column: The one column that the others are held against; None: each against each.

    Returns:
        Correlations in [-1, 1] with shape (A,) or (A, A), NaN where a column has one value only.
    """
    centred = values - values.mean(0)
    # Rounding leaves a trace of a constant column.
    lengths = np.where(np.ptp(values, axis=0) == 0, np.nan, np.linalg.norm(centred, axis=0))
    unit = centred / lengths
    return np.clip(unit.T @ (unit if column is None else unit[:, column]), -1.0, 1.0)

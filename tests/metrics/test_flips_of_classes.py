"""Graph consistency of flips whose quantity is a class or an annotated label, in a world of a kind and a size."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.data.dataset import Dataset, Variable
from counterfactory.metrics import graph_consistency
from counterfactory.metrics.graph_consistency import FLIPPED, UNMEASURED, consistency_scores
from tests.metrics.flips import StubClassifier, answer_flips

VARIABLES = (
    Variable("kind", "categorical", classes=3),
    Variable("size", "continuous", "px", low=0.0, high=200.0),
    Variable("hidden", "continuous", "px", low=0.0, high=200.0),
)
LABEL = Variable("sunny", "categorical", classes=2)
DATASET = Dataset("toy", VARIABLES, (("kind", "size"), ("hidden", "size")), (1, 1, 2), True, (LABEL,))
TEST = pd.DataFrame(
    {"kind": [0, 0, 1], "size": [5.0, 6.0, 17.0], "hidden": [1.0, 1.0, 1.0], "sunny": [0, 1, 0]}
)
OF = {
    "high": {"of": "kind", "above": 0.5},
    "deep": {"of": "hidden", "above": 1.5},
    "sunny": {"of": "sunny", "above": 0.5},
    "large": {"of": "size", "above": 10.0},
}


def images(kinds, sizes):
    """Returns images of a kind and a size; the kind 9 cannot be measured."""
    return np.array([[[[kind, size]]] for kind, size in zip(kinds, sizes, strict=True)], np.uint8)


@pytest.fixture(params=[True, False], ids=["measured kind", "hidden kind"])
def measured(request, monkeypatch):
    def parents(attributes, do):
        values = {name: np.where(np.isnan(do[name]), attributes[name], do[name]) for name in do}
        assert np.isin(values["kind"], [0, 1, 2]).all()
        change = 10.0 * (values["kind"] - attributes["kind"]) + values["hidden"] - attributes["hidden"]
        values["size"] = np.where(np.isnan(do["size"]), attributes["size"] + change, do["size"])
        return values

    def measure(shown, threads=1):
        kind = np.where(shown[:, 0, 0, 0] == 9, np.nan, shown[:, 0, 0, 0])
        table = pd.DataFrame({"kind": kind, "size": shown[:, 0, 0, 1].astype(float)})
        return table if request.param else table[["size"]]

    world = SimpleNamespace(counterfactual_parents=parents, measure=measure)
    monkeypatch.setattr(graph_consistency, "world", lambda name: world)
    return request.param


def scores_of(name, answers, goal=1.0):
    factual = images(TEST["kind"], TEST["size"])

    def probability(shown):
        same = [(one == factual).all((1, 2, 3)).any() for one in shown]
        return np.where(same, 1.0 - goal, goal)

    answered = answer_flips(factual, answers, attribute=name, dataset=DATASET)
    found = consistency_scores(answered, StubClassifier(**{name: probability}), OF, TEST)
    return {score.metric: score for score in found}


def test_a_threshold_on_a_class_is_followed_from_the_class_that_is_shown(measured):
    scores = scores_of("high", images([2, 1, 9], [25, 16, 30]))
    assert ("due_kind" in scores) == measured and "due_hidden" not in scores
    due, off = scores["due_size"], scores["inconsistency_size"]
    if measured:
        # From kind 0 to 2 and to 1; the third answer shows no kind.
        np.testing.assert_array_equal(due.values, [20.0, 10.0, np.nan])
        np.testing.assert_array_equal(off.values, [0.0, 0.0, np.nan])
        assert set(scores["due_kind"].reason) == {FLIPPED} and np.isnan(scores["moved_kind"].values).all()
        assert due.reason[2] == UNMEASURED
    else:
        assert np.isnan(due.values).all() and np.isnan(off.values).all()
        assert set(due.reason) == set(off.reason) == {UNMEASURED}
    np.testing.assert_array_equal(scores["moved_size"].values, [20.0, 10.0, 13.0])
    assert np.isfinite(scores["moved_size"].values).all()


def test_a_cause_that_is_not_measured_leaves_its_effects_unknown(measured):
    scores = scores_of("deep", images([0, 0, 2], [25, 6, 17]))
    changed = np.array([True, False, True])  # the second answer is the input
    assert np.isnan(scores["due_size"].values).all() and scores["due_size"].reason[0] == UNMEASURED
    if measured:
        np.testing.assert_array_equal(scores["due_kind"].values[changed], 0.0)
        np.testing.assert_array_equal(scores["inconsistency_kind"].values[changed], [0.0, 1.0])


@pytest.mark.parametrize("goal", [1.0, 0.0])
def test_an_annotated_label_has_no_effects(measured, goal):
    scores = scores_of("sunny", images([0, 1, 2], [7, 8, 9]), goal)
    np.testing.assert_array_equal(scores["due_size"].values, 0.0)
    np.testing.assert_array_equal(scores["inconsistency_size"].values, [2.0, 2.0, 8.0])
    np.testing.assert_array_equal(
        scores["moved_size"].values, np.array([2.0, 2.0, -8.0]) * (1 if goal else -1)
    )
    if measured:
        np.testing.assert_array_equal(scores["inconsistency_kind"].values, [0.0, 1.0, 1.0])


def test_a_continuous_quantity_changes_as_measured(measured):
    scores = scores_of("large", images([0, 0, 2], [15, 16, 27]))
    assert np.isnan(scores["due_size"].values).all() and set(scores["due_size"].reason) == {FLIPPED}
    if measured:
        np.testing.assert_array_equal(scores["due_kind"].values, 0.0)
        np.testing.assert_array_equal(scores["inconsistency_kind"].values, [0.0, 0.0, 1.0])

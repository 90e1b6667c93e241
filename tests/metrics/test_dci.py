"""DCI: scores of importances by hand, and of codes with known importances."""

import numpy as np
import pytest

from counterfactory.metrics.dci import completeness, dci, disentanglement
from counterfactory.metrics.inputs import load_suite


def test_one_dimension_per_variable_is_perfect():
    importances = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert disentanglement(importances) == completeness(importances) == 1.0


def test_equal_importances_score_zero():
    assert disentanglement(np.ones((4, 2))) == pytest.approx(0.0)
    assert completeness(np.ones((4, 2))) == pytest.approx(0.0)


def test_scores_by_hand():
    """Dimension 0 depends on both variables equally, dimension 1 on variable 0; each has half of the importance."""
    importances = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert disentanglement(importances) == pytest.approx(0.5 * 0.0 + 0.5 * 1.0)
    # Variable 0 has shares 1/3 and 2/3 and three quarters of the importance, variable 1 one dimension.
    entropy = -(1 / 3 * np.log2(1 / 3) + 2 / 3 * np.log2(2 / 3))
    assert completeness(importances) == pytest.approx(0.75 * (1 - entropy) + 0.25)


def test_blocks_of_one_label_are_disentangled_and_not_complete():
    """As with the prior of CausalDiffAE: each variable is encoded in three dimensions equally."""
    importances = np.kron(np.eye(2), np.ones((3, 1)))
    assert disentanglement(importances) == 1.0
    assert completeness(importances) == pytest.approx(1 - np.log(3) / np.log(6))


def answers_with(place, codes: dict[str, np.ndarray], count: int, cycles: int = 1):
    """Returns answers to null interventions by a method with these codes; labels are random."""
    rng = np.random.default_rng(1)
    true = {"thickness": rng.uniform(1, 5, count), "intensity": rng.uniform(64, 255, count)}
    true["digit"] = rng.integers(0, 3, count).astype(float)
    rows = [
        {"index": 0, "cycles": cycles, **{f"true_{name}": column[k] for name, column in true.items()}}
        for k in range(count)
    ]
    questions = place.write_questions("null", rows)
    folder = place.write_answers("any", questions, np.repeat(place.images[:1], count, axis=0))
    one = load_suite("null", place.data, place.questions["null"], folder)
    for name, make in codes.items():
        one.questions[name] = make(true)
    return one


CODES = {
    "code_0": lambda true: true["thickness"],
    "code_1": lambda true: -true["intensity"],
    "code_2": lambda true: 10 * true["digit"],
}


def test_codes_equal_to_the_labels(place):
    scores = {score.metric: score for score in dci(answers_with(place, CODES, 150), 1000)}
    assert all(score.n == 150 and score.group == ("none", "", 1) for score in scores.values())
    assert scores["dci_disentanglement"].value > 0.95
    assert scores["dci_completeness"].value > 0.95
    assert scores["dci_informativeness"].value > 0.95


def test_codes_of_noise(place):
    noise = {
        f"code_{k}": lambda true, k=k: np.random.default_rng(k).normal(size=len(true["digit"]))
        for k in range(3)
    }
    scores = {score.metric: score.value for score in dci(answers_with(place, noise, 90), 60)}
    assert scores["dci_informativeness"] < 0.4 and scores["dci_disentanglement"] < 0.3


@pytest.mark.parametrize(
    ("codes", "count", "cycles", "reason"),
    [({}, 40, 1, "no codes"), (CODES, 8, 1, "fewer than 30"), (CODES, 40, 2, "fewer than 30")],
)
def test_no_score_without_codes(place, codes, count, cycles, reason):
    scores = dci(answers_with(place, codes, count, cycles), 1000)
    assert len(scores) == 3 and all(np.isnan(score.value) and score.n == 0 for score in scores)
    assert all(reason in score.reason for score in scores)

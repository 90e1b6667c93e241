"""F1, balanced accuracy and class weights, by hand."""

import numpy as np
import pytest

from counterfactory.models.binary_scores import balanced_accuracy, f1_score, positive_weights

TRUTH = np.array([1, 1, 1, 0, 0, 0, 0, 0])
PREDICTED = np.array([1, 1, 0, 1, 0, 0, 0, 0])  # 2 true and 1 false positive, 1 false and 4 true negatives


def test_scores_by_hand():
    assert f1_score(PREDICTED, TRUTH) == 2 * 2 / (2 * 2 + 1 + 1)
    assert balanced_accuracy(PREDICTED, TRUTH) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert (PREDICTED == TRUTH).mean() == 0.75
    assert f1_score(TRUTH, TRUTH) == balanced_accuracy(TRUTH, TRUTH) == 1.0


def test_always_no_about_a_rare_label():
    truth, no = np.arange(100) < 2, np.zeros(100)
    assert (truth == no).mean() == 0.98
    assert f1_score(no, truth) == 0.0 and balanced_accuracy(no, truth) == 0.5


def test_what_is_not_defined_is_no_number():
    assert np.isnan(f1_score(np.zeros(3), np.zeros(3)))
    assert f1_score(np.ones(3), np.zeros(3)) == 0.0
    assert np.isnan(balanced_accuracy(np.ones(3), np.zeros(3))) and np.isnan(balanced_accuracy([], []))


def test_weights_balance_both_values_up_to_the_limit():
    labels = np.zeros((100, 5))
    for column, positive in enumerate((20, 50, 80, 2, 0)):
        labels[:positive, column] = 1
    found = positive_weights(labels, 10.0)
    np.testing.assert_allclose(found, [4.0, 1.0, 0.25, 10.0, 10.0])
    assert (found[:3] * labels.sum(0)[:3] == (100 - labels.sum(0))[:3]).all()
    np.testing.assert_array_equal(positive_weights(labels, 1.0), np.ones(5))
    np.testing.assert_allclose(positive_weights(1 - labels, 10.0)[3], 0.1)

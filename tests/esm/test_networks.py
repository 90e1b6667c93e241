"""Exact answers on a discrete network: the published value, the limits, and the kernel's reversibility."""

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from tests.esm.bacon import ACTUAL, BACON
from tests.esm.networks import FunctionalModel, counterfactual, evaluate, kernel_matrix, posterior


@pytest.mark.parametrize(
    ("stickiness", "observed", "intervened"),
    [
        (0.0, 0.4737, 0.90),
        (0.5, 0.4872, 0.95),
        (0.53, 0.4880, 0.953),
        (0.77, 0.4942, 0.977),
        (1 - 1e-7, 0.5, 1.0),
    ],
)
def test_the_bacon_network(stickiness, observed, intervened):
    """At s = 0.5 Lucas and Kemp (2015) report .487."""
    for intervene, bacon in ((False, observed), (True, intervened)):
        answer = counterfactual(BACON, ACTUAL, {"S": 0}, "B", stickiness, intervene)
        assert answer[1] == pytest.approx(bacon, abs=5e-5)
        neighbour = counterfactual(BACON, ACTUAL, {"S": 0}, "N", stickiness, intervene)
        assert neighbour[1] == pytest.approx(0.10, abs=5e-5)
        assert answer.sum() == pytest.approx(1.0)


def test_at_stickiness_one_an_intervention_is_pearls():
    # All noises are kept: there is bacon, and without a smell only the neighbour's own noise remains.
    assert counterfactual(BACON, ACTUAL, {"S": 0}, "B", 1.0, intervene=True)[1] == 1.0
    quiet = {"B": 1, "S": 1, "N": 1}
    assert counterfactual(BACON, quiet, {"B": 0}, "S", 1.0, intervene=True)[0] == 1.0


def test_at_stickiness_one_a_contrary_observation_is_impossible():
    with pytest.raises(UserError, match="probability 0.*lower the stickiness"):
        counterfactual(BACON, ACTUAL, {"S": 0}, "B", 1.0)


def test_at_stickiness_zero_the_actual_world_is_forgotten():
    for evidence in (ACTUAL, {"B": 0}, {}):
        answer = counterfactual(BACON, evidence, {"S": 0}, "B", 0.0)
        assert answer[1] == pytest.approx(0.09 / 0.19)  # P(B, not S) / P(not S)


@pytest.mark.parametrize("stickiness", [0.0, 0.3, 1.0])
def test_the_kernel_is_reversible(stickiness):
    prior = np.array([0.5, 0.2, 0.3])
    flow = prior[:, None] * kernel_matrix(prior, stickiness)
    np.testing.assert_allclose(flow, flow.T)
    np.testing.assert_allclose(flow.sum(0), prior)


def test_noises_of_more_values():
    model = FunctionalModel({"u": (0.2, 0.3, 0.5)}, {"x": lambda v: v["u"], "y": lambda v: 2 - v["x"]})
    np.testing.assert_allclose(posterior(model, {"x": 2}), [0.0, 0.0, 1.0])
    answer = counterfactual(model, {"x": 2}, {}, "y", 0.4)
    np.testing.assert_allclose(answer, [0.4 + 0.6 * 0.5, 0.6 * 0.3, 0.6 * 0.2])
    assert evaluate(model, {"u": np.array([0, 1])}, {"x": 2})["y"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"bread": 1}, {"S": 0}, "B", 0.5), "bread: not a variable"),
        ((ACTUAL, {"S": 0}, "bread", 0.5), "bread: not a variable"),
        (({"B": 0, "S": 1}, {"S": 0}, "B", 0.5), "evidence: .* probability 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        counterfactual(BACON, *arguments)

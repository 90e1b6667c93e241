"""Tests of guidance: the shift of the mean by a gradient, and classifier-free guidance."""

import pytest
import torch

from counterfactory.diffusion.denoiser import denoiser
from counterfactory.diffusion.guidance import classifier_free, guide
from counterfactory.diffusion.schedule import linear, respace

from .gaussian import GaussianDenoiser, noise

FULL = linear(500)
SHORT = respace(FULL, 50)
X, GRADIENT = noise(4, 1, 3, 3), noise(4, 1, 3, 3, seed=1)
INDEX = torch.tensor([0, 3, 20, 49])


def learned_network(x, t, *condition):
    eps = GaussianDenoiser(FULL)(x, t, *condition)
    return torch.cat([eps, torch.tanh(x)], dim=1)


def test_the_mean_moves_by_the_variance_times_the_gradient():
    prediction = denoiser(learned_network, SHORT)(X, INDEX)
    guided = guide(prediction, GRADIENT)
    torch.testing.assert_close(guided.mean, prediction.mean - prediction.log_variance.exp() * GRADIENT)
    assert guided.x0 is prediction.x0 and guided.eps is prediction.eps
    assert guided.log_variance is prediction.log_variance


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("null", [None, torch.tensor([0.7])])
@pytest.mark.parametrize("learned", [True, False])
def test_classifier_free_guidance(weight, null, learned):
    network = learned_network if learned else GaussianDenoiser(FULL)
    condition = torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None]
    t = SHORT.timesteps[INDEX]
    guided = classifier_free(network, weight, null, learned)(X, t, condition)
    conditional = network(X, t, condition)
    unconditional = network(X, t, torch.full_like(condition, 0.0 if null is None else 0.7))
    torch.testing.assert_close(
        guided[:, :1], weight * conditional[:, :1] + (1 - weight) * unconditional[:, :1]
    )
    # The variance is the conditional one.
    assert torch.equal(guided[:, 1:], conditional[:, 1:])
    assert guided.shape == conditional.shape


def test_a_weight_of_one_returns_the_network():
    network = GaussianDenoiser(FULL)
    assert classifier_free(network, 1.0) is network
    classifier_free(network, 2.0, learned=False)(X, SHORT.timesteps[INDEX], X.new_zeros(4, 1))
    assert [shape[0] for _, shape in network.calls] == [8]

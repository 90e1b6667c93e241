"""The predictor: the published size, heads in range, likelihoods by their closed forms."""

import math

import pytest
import torch

from counterfactory.models.judges.network import SCALE_FLOOR, JudgeNetwork


@pytest.mark.parametrize(
    ("options", "parameters"),
    [({}, 40_794), ({"context": 1}, 40_858), ({"classes": 10}, 41_314)],
    ids=["intensity", "thickness", "digit"],
)
def test_published_size(options, parameters):
    assert sum(p.numel() for p in JudgeNetwork(1, **options).parameters()) == parameters


def test_normal_head():
    model = JudgeNetwork(1, width=4).eval()
    q = model(torch.rand(5, 1, 32, 32) * 2 - 1)
    assert q.mean.shape == (5,)
    assert (q.mean.abs() < 1).all() and (q.stddev > SCALE_FLOOR).all()
    value = torch.linspace(-1, 1, 5)
    z = (value - q.mean) / q.stddev
    torch.testing.assert_close(q.log_prob(value), -0.5 * z**2 - q.stddev.log() - 0.5 * math.log(2 * math.pi))


def test_categorical_head():
    q = JudgeNetwork(3, classes=4, width=4).eval()(torch.rand(5, 3, 32, 32))
    torch.testing.assert_close(q.probs.sum(1), torch.ones(5))
    torch.testing.assert_close(
        q.log_prob(torch.arange(4).repeat(2)[:5]).exp(), q.probs[range(5), [0, 1, 2, 3, 0]]
    )


def test_context_is_used_and_must_be_given():
    model = JudgeNetwork(1, width=4, context=2).eval()
    images = torch.rand(3, 1, 32, 32)
    assert not torch.equal(model(images, torch.zeros(3, 2)).mean, model(images, torch.ones(3, 2)).mean)
    with pytest.raises(ValueError, match="2 columns"):
        model(images)
    with pytest.raises(ValueError, match="no columns"):
        JudgeNetwork(1, width=4)(images, torch.zeros(3, 2))


def test_gradients_reach_the_image():
    images = torch.rand(2, 1, 32, 32, requires_grad=True)
    JudgeNetwork(1, width=4).eval()(images).log_prob(torch.zeros(2)).sum().backward()
    assert (images.grad != 0).any()

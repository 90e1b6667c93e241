"""Evidence about images: probabilities by hand, independence of chunks, and inversion of a known generator."""

import math

import numpy as np
import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.esm.images import fact_log_probability, image_log_likelihood, invert

BLOCKS = {"thick": slice(0, 1), "bright": slice(1, 2), "digit": slice(2, 5)}
LOGITS = torch.tensor([[0.0, 2.0, 1.0, 0.0, 0.0], [-1.0, 0.5, 0.0, 3.0, -2.0]])


def test_log_probability_of_facts():
    found = fact_log_probability(LOGITS, BLOCKS, {"thick": 1, "bright": 0, "digit": 0})
    sigmoid = [[1 / (1 + math.exp(-x)) for x in row[:2]] for row in LOGITS.tolist()]
    softmax = [math.exp(row[2]) / sum(map(math.exp, row[2:])) for row in LOGITS.tolist()]
    expected = [math.log(s[0] * (1 - s[1]) * p) for s, p in zip(sigmoid, softmax, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert fact_log_probability(LOGITS, BLOCKS, {}).tolist() == [0.0, 0.0]


def test_log_evidence_with_two_categorical_variables():
    """Facts about digit and colour multiply; each has the softmax of its own logits."""
    logits = torch.tensor([[0.3, 1.0, 0.0, -1.0, 2.0, 0.5, 0.0]])
    blocks = {"thick": slice(0, 1), "digit": slice(1, 4), "colour": slice(4, 7)}
    found = fact_log_probability(logits, blocks, {"digit": 2, "colour": 0, "thick": 0})
    digit = math.exp(-1.0) / (math.exp(1.0) + 1.0 + math.exp(-1.0))
    colour = math.exp(2.0) / (math.exp(2.0) + math.exp(0.5) + 1.0)
    assert found.item() == pytest.approx(math.log(digit * colour / (1 + math.exp(0.3))), rel=1e-6)
    with pytest.raises(UserError, match="colour: 3: not predicted"):
        fact_log_probability(logits, blocks, {"colour": 3})


@pytest.mark.parametrize("facts", [{"thin": 1}, {"thick": 2}, {"digit": 3}, {"digit": -1}])
def test_facts_that_are_not_known_are_refused(facts):
    with pytest.raises(
        UserError, match="not predicted by the classifier, which predicts thick, bright, digit"
    ):
        fact_log_probability(LOGITS, BLOCKS, facts)


def test_the_likelihood_of_a_row_is_its_own_whatever_the_chunk():
    torch.manual_seed(0)
    weight = torch.randn(6, 9)
    sizes = []

    def generate(z):
        sizes.append(len(z))
        return (z @ weight).tanh().view(-1, 1, 3, 3)

    noise = np.random.default_rng(0).standard_normal((10, 6))
    values = [
        image_log_likelihood(generate, lambda x: x.flatten(1).sum(1), chunk=chunk)(noise) for chunk in (4, 64)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    assert sizes == [4, 4, 4, 64]
    expected = np.tanh(noise.astype(np.float32) @ weight.numpy()).sum(1)
    np.testing.assert_allclose(values[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_inversion_finds_the_noise_of_a_generated_image(prior):
    torch.manual_seed(0)
    weight = torch.randn(3, 16)
    drawn = torch.rand(40, 3) * 2 - 1 if prior == "uniform" else torch.randn(40, 3)

    def generate(z):
        return (0.3 * z @ weight).tanh().view(-1, 1, 4, 4)

    truth = 0.9 * drawn[:5] + 0.05
    found = invert(generate, generate(truth), drawn[5:], prior, steps=300)
    torch.testing.assert_close(found, truth, atol=0.03, rtol=0.0)
    one = invert(generate, generate(truth[2:3]), drawn[5:], prior, steps=300)
    torch.testing.assert_close(one, found[2:3], atol=1e-4, rtol=0.0)
    assert not found.requires_grad


def test_inversion_stays_in_a_uniform_prior():
    def generate(z):
        return z.view(-1, 1, 1, 2)

    found = invert(generate, torch.full((1, 1, 1, 2), 3.0), torch.zeros(2, 2), "uniform", steps=100)
    assert 0.9 < found.min() <= found.max() <= 1.0


def test_sharpened_evidence_is_what_the_classifier_says():
    logits = torch.tensor([[0.5, 1.0, 0.0], [-0.5, 0.0, 1.0]])
    blocks = {"a": slice(0, 1), "k": slice(1, 3)}
    soft = fact_log_probability(logits, blocks, {"a": 1})
    sharp = fact_log_probability(logits, blocks, {"a": 1}, sharpness=20.0)
    assert soft.exp().tolist() == pytest.approx([1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(0.5))], rel=1e-6)
    assert sharp.exp().tolist() == pytest.approx([1.0, 0.0], abs=1e-4)
    classes = fact_log_probability(logits, blocks, {"k": 0}, sharpness=20.0)
    assert classes.exp().tolist() == pytest.approx([1.0, 0.0], abs=1e-4)


def test_an_inversion_begins_where_the_encoder_says_if_that_is_nearer():
    def generate(z):
        return z.view(-1, 1, 1, 2)

    images = torch.tensor([[[[0.9, -0.9]]], [[[0.1, 0.1]]]])
    start = torch.zeros(1, 2)
    first = torch.tensor([[0.8, -0.8], [5.0, 5.0]])
    assert invert(generate, images, start, "normal", 0, first=first).tolist() == [
        pytest.approx([0.8, -0.8]),
        [0.0, 0.0],
    ]

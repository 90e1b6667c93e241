"""The classifier of attributes and the identity embedding: shapes, gradients, and information about positions."""

import pytest
import torch

from counterfactory.models.classifier.network import ClassifierNetwork, ConvolutionalTrunk
from counterfactory.models.identity.network import IdentityCNN


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("size", [32, 64])
def test_shapes(size):
    network = ClassifierNetwork(3, attributes=5, classes=4, width=4, halvings=3, features=6).eval()
    images = torch.rand(2, 3, size, size) * 2 - 1
    assert network(images).shape == (2, 9) and network.features(images).shape == (2, 6)
    halves = [(2, 4 * 2**k, size // 2 ** (k + 1), size // 2 ** (k + 1)) for k in range(3)]
    assert [tuple(one.shape) for one in network.stages(images)] == halves


def test_size_is_what_the_layers_say():
    width, halvings, features, outputs = 4, 2, 6, 5
    network = ClassifierNetwork(1, outputs, 0, width, halvings, features)
    convolutions = 16 * (1 * width + width * 2 * width) + 2 * (width + 2 * width)
    linear = 16 * 2 * width * features + 2 * features + features * outputs + outputs
    assert sum(p.numel() for p in network.parameters()) == convolutions + linear


def test_logits_are_linear_in_the_features():
    network = ClassifierNetwork(1, 3, 2, width=2, halvings=2, features=4).eval()
    images = torch.rand(3, 1, 16, 16)
    assert torch.equal(network(images), network.head(network.features(images)))


def test_gradients_reach_the_image_from_every_output():
    network = ClassifierNetwork(1, 3, 2, width=2, halvings=2, features=4).eval().requires_grad_(False)
    images = torch.rand(1, 1, 16, 16, requires_grad=True)
    for value in (network(images).sum(), network.features(images).sum(), network.stages(images)[0].sum()):
        assert torch.autograd.grad(value, images)[0].abs().max() > 0


def test_the_grid_keeps_where_a_stroke_is():
    trunk = ConvolutionalTrunk(1, width=2, halvings=1).eval()
    left, right = torch.zeros(2, 1, 1, 32, 32)
    left[..., 4:8, 4:8], right[..., 4:8, 20:24] = 1.0, 1.0
    assert not torch.allclose(trunk(left), trunk(right), atol=1e-4)


def test_images_do_not_depend_on_each_other_in_use():
    network = IdentityCNN(1, width=2, halvings=2, features=4).eval()
    images = torch.rand(5, 1, 16, 16)
    assert torch.allclose(network(images)[2:3], network(images[2:3]), atol=1e-6)


def test_embeddings_have_norm_one():
    embeddings = IdentityCNN(1, width=2, halvings=2, features=4)(torch.rand(5, 1, 16, 16))
    assert embeddings.shape == (5, 4) and torch.allclose(embeddings.norm(dim=1), torch.ones(5))

"""Descriptors of images by hand, and the linear discriminant of simulated persons."""

import numpy as np
import pytest
import torch

from counterfactory.models.identity.descriptors import _energy, describe
from counterfactory.models.identity.discriminant import fit_discriminant
from counterfactory.models.identity.model import build_identity
from counterfactory.models.identity.roc import area_under_curve


def ramp(angle, size=32):
    """An image whose grey levels have a constant gradient of their square root in a direction (degrees)."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    root = 8.0 + 0.1 * (np.cos(np.radians(angle)) * x + np.sin(np.radians(angle)) * y)
    return (root.square() / 127.5 - 1.0)[None, None].float()


@pytest.mark.parametrize(("angle", "shares"), [(0, {0: 1.0}), (90, {2: 1.0}), (22.5, {0: 0.5, 1: 0.5})])
def test_the_energy_of_a_ramp_is_in_its_directions(angle, shares):
    grey = (127.5 * (ramp(angle) + 1.0)).sqrt()
    inner = _energy(grey)[0, :, 4:-4, 4:-4].double()
    expected = torch.zeros(8, dtype=torch.float64)
    for direction, share in shares.items():
        expected[direction] = 0.2 * share  # central differences over two pixels
    torch.testing.assert_close(inner.mean((1, 2)), expected, atol=1e-4, rtol=0)


def test_descriptors_ignore_contrast_and_depend_on_the_shape_only():
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5
    found = describe(images)
    assert found.shape == (3, 8 * 15 * 15 + 8 * 7 * 7 + 3 * 16 * 16)
    assert describe(images[:, :1, :32, :32]).shape[1] == 8 * 15 * 15 + 8 * 7 * 7 + 16 * 16
    # One image alone has the same descriptor as in a batch, and an even image has no gradient.
    torch.testing.assert_close(describe(images[1:2]), found[1:2], atol=1e-5, rtol=1e-5)
    assert describe(torch.zeros(1, 1, 16, 16)).abs().max() == 0


BETWEEN = np.array([3.0, 1.0] + [0.0] * 18)
WITHIN = np.array([1.0, 1.0] + [3.0] * 4 + [1.0] * 14)


def simulated(rng, persons, each, rotation):
    """Descriptors with the scales `BETWEEN` and `WITHIN` persons, rotated, and the persons."""
    means = rng.standard_normal((persons, 20)) * BETWEEN
    person = np.repeat(np.arange(persons), each)
    values = means[person] + rng.standard_normal((len(person), 20)) * WITHIN
    return values @ rotation + 5.0, person


def test_the_discriminant_finds_the_directions_between_persons():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    values, person = simulated(rng, 600, 5, rotation)
    mean, projection = fit_discriminant(values, person, 5)
    np.testing.assert_allclose(mean.numpy(), values.mean(0), rtol=1e-6)
    first = projection[:, 0].numpy() / np.linalg.norm(projection[:, 0].numpy())
    assert abs(first @ rotation[0]) > 0.99
    # Around its own mean, a person has 4/5 of the variance, to which 0.1 times the mean variance is added. The squared
    # factor is the share between persons of the variance of means of 5 images.
    within = 0.8 * (1.0 + 0.1 * np.square(WITHIN).mean())
    scale = np.linalg.norm(projection[:, :2].numpy(), axis=0) ** 2 * within
    mu = (BETWEEN[:2] ** 2 + 0.2) / within
    np.testing.assert_allclose(scale, 1 - 1 / (5 * mu), atol=0.04)

    # Persons that were not seen: better than the cosine of the descriptors themselves.
    other, person = simulated(rng, 100, 5, rotation)
    same = (person[:, None] == person)[np.triu_indices(500, 1)]

    def auc(embedded):
        embedded = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
        cosines = (embedded @ embedded.T)[np.triu_indices(500, 1)]
        return area_under_curve(cosines[same], cosines[~same])

    other -= mean.numpy()
    assert auc(other @ projection.numpy()) > auc(other) + 0.1


def test_no_difference_between_persons_leaves_one_direction():
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(50), 4)
    values = rng.standard_normal((200, 6))
    values -= np.stack([values[person == one].mean(0) for one in range(50)])[person]
    assert fit_discriminant(values, person, 4)[1].shape == (6, 1)


def test_the_cosine_of_the_embedding_is_the_weighted_mean():
    sizes = {"channels": 3, "width": 2, "halvings": 2, "features": 4}
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    described = describe(images).shape[1]
    network = build_identity(discriminant=[described, 5], **sizes).eval()
    torch.nn.init.normal_(network.projection, generator=torch.Generator().manual_seed(1))
    network.weight.fill_(0.3)
    with torch.no_grad():
        learned, found, both = network.network(images), network.discriminate(images), network(images)
    assert both.shape == (2, network.features) == (2, 9)
    torch.testing.assert_close(both.norm(dim=1), torch.ones(2))
    expected = 0.7 * (learned[0] @ learned[1]) + 0.3 * (found[0] @ found[1])
    torch.testing.assert_close(both[0] @ both[1], expected)

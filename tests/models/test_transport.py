"""Optimal transport of noises between classes: closed forms, moments, exactness where nothing changes, the guard."""

import pytest
import torch
from torch.testing import assert_close

from counterfactory.core.errors import UserError
from counterfactory.data.dataset import Dataset, Variable
from counterfactory.methods.dscm import counterfactual_image
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.models.image.transport import (
    LEAST,
    LEAST_SHRINKAGE,
    Transport,
    fit_transport,
    optimal_map,
    own_noise,
)
from counterfactory.nets.latents import draw_noise

DIGITS = Dataset(
    "toy",
    (Variable("size", "continuous", low=-1.0, high=1.0), Variable("digit", "categorical", classes=3)),
    (),
    (1, 16, 16),
    False,
)
NETWORK = {"channels": 4, "hidden": 8, "latent": 5, "transport": True}


def covariance(seed, size=4):
    root = torch.randn(size, 2 * size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.T / size


def one_hot(classes, count=3):
    """Returns encoded parents: a continuous variable at 0, then the classes."""
    return torch.cat([torch.zeros(len(classes), 1), torch.eye(count)[classes]], 1)


def test_the_map_is_symmetric_and_moves_one_covariance_to_the_other():
    source, target = covariance(0), covariance(1)
    matrix = optimal_map(source, target)
    assert_close(matrix, matrix.T)
    assert_close(matrix @ source @ matrix, target)
    assert torch.linalg.eigvalsh(matrix).min() > 0
    assert_close(optimal_map(target, source) @ matrix, torch.eye(4, dtype=torch.float64))


def test_diagonal_covariances_are_scaled():
    source, target = (
        torch.diag(torch.tensor([1.0, 4.0])).double(),
        torch.diag(torch.tensor([9.0, 1.0])).double(),
    )
    assert_close(optimal_map(source, target), torch.diag(torch.tensor([3.0, 0.5])).double())


def classed(count=6000, shift=1.5, seed=0):
    """Returns noises of three classes with different means and covariances, and their encoded parents."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.arange(count) % 3
    roots = torch.stack([torch.linalg.cholesky(covariance(k)) for k in range(3)]).float()
    noise = torch.randn(count, 4, generator=generator)
    means = shift * torch.eye(3, 4)
    return means[classes] + torch.einsum("nij,nj->ni", roots[classes], noise), one_hot(classes)


def transported(transport, u, parents, parents_after):
    """Returns flat noises (B, D) at the counterfactual parents."""
    [moved] = transport([u], parents, parents_after)
    return moved


def test_moved_noises_have_the_moments_of_the_other_class_and_come_back():
    u, parents = classed()
    transport = Transport(DIGITS, [(4,)], least=0.0)
    assert transport.fit(u, parents) == 0.0
    first = parents[:, 1] == 1
    target = one_hot(torch.full((len(u),), 2))
    moved = transported(transport, u, parents, target)
    there = u[parents[:, 3] == 1]
    assert_close(moved[first].mean(0), there.mean(0), atol=1e-3, rtol=1e-3)
    assert_close(torch.cov(moved[first].T), torch.cov(there.T), atol=5e-3, rtol=1e-2)
    assert_close(transported(transport, moved, target, parents), u, atol=1e-4, rtol=1e-4)


def test_shrinkage_limits_how_much_the_map_amplifies_an_error():
    """Covariances that are shrunk by a differ from the pooled one by 1 - a times as much; the means are reached."""
    u, parents = classed()
    target = one_hot(torch.full((len(u),), 2))
    first, there = parents[:, 1] == 1, u[parents[:, 3] == 1]
    gains = []
    for least in (0.0, 0.3, 1.0):
        transport = Transport(DIGITS, [(4,)], least)
        assert transport.fit(u, parents) == least
        moved = transported(transport, u, parents, target)
        assert_close(moved[first].mean(0), there.mean(0), atol=1e-3, rtol=1e-3)
        assert_close(transported(transport, moved, target, parents), u, atol=1e-4, rtol=1e-4)
        gains.append(torch.linalg.matrix_norm(transport._map(0, 2), 2).item())
    assert gains[0] > gains[1] > gains[2]
    assert gains[2] == pytest.approx(1.0)
    default = Transport(DIGITS, [(4,)])
    assert default.fit(u, parents) == LEAST_SHRINKAGE


def test_noises_of_an_unchanged_class_keep_every_bit():
    u, parents = classed()
    transport = Transport(DIGITS, [(4,)])
    transport.fit(u, parents)
    other = parents.clone()
    other[:, 0] = 0.7  # a continuous variable
    assert torch.equal(transported(transport, u, parents, other), u)
    assert not transport.changed(parents, other).any()


def test_noises_of_several_layers_are_moved_together():
    u, parents = classed()
    flat, layered = Transport(DIGITS, [(4,)]), Transport(DIGITS, [(2, 1, 1), (2,)])
    flat.fit(u, parents)
    layered.fit(u, parents)
    target = one_hot(torch.full((len(u),), 1))
    first, second = layered([u[:, :2, None, None], u[:, 2:]], parents, target)
    assert torch.equal(torch.cat([first.flatten(1), second], 1), transported(flat, u, parents, target))


def test_independent_noises_hardly_move_and_more_latents_than_images_do_not():
    generator = torch.Generator().manual_seed(0)
    u, parents = torch.randn(9000, 4, generator=generator), one_hot(torch.arange(9000) % 3)
    target = one_hot((torch.arange(9000) + 1) % 3)
    transport = Transport(DIGITS, [(4,)])
    transport.fit(u, parents)
    assert (transported(transport, u, parents, target) - u).abs().mean() < 0.05

    count = 3 * LEAST
    few, own = torch.randn(count, 140, generator=generator), one_hot(torch.arange(count) % 3)
    assert Transport(DIGITS, [(140,)]).fit(few, own) in (None, 1.0)


TWO = Dataset(
    "two",
    (
        Variable("first", "categorical", classes=2),
        Variable("size", "continuous", low=-1.0, high=1.0),
        Variable("second", "categorical", classes=2),
    ),
    (("first", "second"),),
    (1, 16, 16),
    False,
)


def two_classes(first, second):
    """Returns encoded parents of `TWO`, with the continuous variable at 0."""
    eye = torch.eye(2)
    return torch.cat([eye[first], torch.zeros(len(first), 1), eye[second]], 1)


def dependent(count=8000, agree=0.9, seed=0):
    """Returns two classes that mostly agree, and noises whose moments depend on the first class only.

    The noise of the first class 1 has the mean (2, 0) and twice the standard deviation in its second coordinate.
    """
    generator = torch.Generator().manual_seed(seed)
    first = torch.arange(count) % 2
    second = torch.where(torch.rand(count, generator=generator) < agree, first, 1 - first)
    noise = torch.randn(count, 2, generator=generator)
    noise[:, 1] *= 1.0 + first
    noise[:, 0] += 2.0 * first
    return noise, first, second


def test_two_dependent_classes_that_both_change_move_the_noises_once():
    u, first, second = dependent()
    parents, after = two_classes(first, second), two_classes(1 - first, 1 - second)
    transport = Transport(TWO, [(2,)], least=0.0)
    assert transport.fit(u, parents) is not None
    moved = transported(transport, u, parents, after)
    # The map of this process from the first class 0 to 1: (u_1 + 2, 2 u_2). Two separate maps move by 3.6 instead.
    rows = first == 0
    known = torch.stack([u[rows, 0] + 2.0, 2.0 * u[rows, 1]], 1)
    assert (moved[rows] - known).abs().mean() < 0.1
    assert_close(transported(transport, moved, after, parents), u, atol=1e-4, rtol=1e-4)
    # The second class has no effect of its own.
    other = two_classes(first, 1 - second)
    assert (transported(transport, u, parents, other) - u).abs().mean() < 0.1


def test_rare_joint_classes_keep_their_noises():
    u, first, second = dependent(4000)
    rare = (first == 0) & (second == 1)
    drop = rare & (rare.cumsum(0) >= LEAST)
    u, first, second = u[~drop], first[~drop], second[~drop]
    parents = two_classes(first, second)
    transport = Transport(TWO, [(2,)])
    assert transport.fit(u, parents) is not None
    assert transport.moved.tolist() == [True, False, True, True]
    to_rare = two_classes(torch.zeros_like(first), torch.ones_like(second))
    for pair in ((parents, to_rare), (to_rare, parents)):
        assert not transport.changed(*pair).any()
        assert torch.equal(transported(transport, u, *pair), u)
    frequent = two_classes(torch.ones_like(first), second)
    assert torch.equal(transport.changed(parents, frequent), (first == 0) & (second == 0)), (
        "moved where both joint classes are frequent"
    )


def test_without_a_frequent_class_nothing_is_moved():
    u, parents = classed(3 * (LEAST - 1))
    transport = Transport(DIGITS, [(4,)])
    assert transport.fit(u, parents) is None and not transport.moved.any()


def test_without_a_categorical_parent_nothing_is_moved():
    continuous = Dataset("c", (Variable("size", "continuous", low=-1.0, high=1.0),), (), (1, 16, 16), False)
    transport = Transport(continuous, [(4,)])
    u, parents = torch.randn(200, 4), torch.rand(200, 1)
    transport.fit(u, parents)
    assert torch.equal(transported(transport, u, parents, parents + 0.1), u)


@pytest.fixture
def mechanism():
    torch.manual_seed(0)
    model = build_image_mechanism("vae", DIGITS, NETWORK).eval()
    images = torch.randint(0, 256, (300, 1, 16, 16), dtype=torch.uint8)
    images[100:200] //= 4
    fit_transport(model, images, one_hot(torch.arange(300) // 100), seed=0)
    return model


def test_a_null_intervention_of_a_mechanism_stays_exact(mechanism):
    x = torch.rand(6, 1, 16, 16) * 2 - 1
    noise = draw_noise(mechanism.noise_shapes, x, torch.Generator().manual_seed(1))
    parents, other = one_hot(torch.tensor([0, 1, 2, 0, 1, 2])), one_hot(torch.tensor([0, 1, 2, 1, 2, 0]))
    found = counterfactual_image(mechanism, x, parents, other, noise)
    assert_close(found[:3], x[:3], atol=1e-5, rtol=0)
    mechanism.transport, moved = None, mechanism.transport
    plain = counterfactual_image(mechanism, x, parents, other, noise)
    assert torch.equal(plain[:3], found[:3])
    mechanism.transport = moved
    if moved.moved.all():
        assert not torch.equal(plain[3:], found[3:])


def test_own_noise_inverts_the_prior(mechanism):
    x, parents = torch.rand(4, 1, 16, 16) * 2 - 1, one_hot(torch.tensor([0, 1, 2, 0]))
    noise = draw_noise(mechanism.noise_shapes, x, torch.Generator().manual_seed(1))
    latents = mechanism.abduct(x, parents, noise)
    for latent, u in zip(latents, own_noise(latents), strict=True):
        assert_close(latent.prior[0] + latent.prior[1].exp() * u, latent.z)


def test_the_moments_are_part_of_the_weights(mechanism):
    again = build_image_mechanism("vae", DIGITS, NETWORK)
    again.load_state_dict(mechanism.state_dict())
    assert torch.equal(again.transport.means, mechanism.transport.means)
    assert torch.equal(again.transport.moved, mechanism.transport.moved)
    assert build_image_mechanism("vae", DIGITS, {**NETWORK, "transport": False}).transport is None


def test_too_many_latents_are_refused():
    with pytest.raises(ValueError, match="at most 1024"):
        Transport(DIGITS, [(2, 32, 32)])
    many = Dataset(
        "many", tuple(Variable(f"v{n}", "categorical", classes=2) for n in range(6)), (), (1, 16, 16), False
    )
    with pytest.raises(ValueError, match="64 joint classes"):
        Transport(many, [(1000,)])
    with pytest.raises(UserError, match=r"models\.vae\.network: transport"):
        build_image_mechanism("vae", DIGITS, {**NETWORK, "latent": 2000})

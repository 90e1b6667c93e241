"""Tests of the causal layer: zero Jacobians without a path, interventions that reach descendants only."""

import pytest
import torch

from counterfactory.data.dataset import Dataset, Variable
from counterfactory.data.graph import ancestors, causes
from counterfactory.models.causaldiffae.causal_layer import CausalLayer

WIDTH = 3
CHAIN = (("a", "b"), ("b", "c"))
DIAMOND = (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))


def dataset(edges, names="abcd") -> Dataset:
    return Dataset("letters", tuple(Variable(name, "continuous") for name in names), edges, (1, 4, 4), False)


def layer(edges, form="recursive", names="abcd", seed=0, mechanism="additive") -> CausalLayer:
    torch.manual_seed(seed)
    made = CausalLayer(dataset(edges, names), WIDTH, 5, form, mechanism)
    for parameter in made.parameters():  # no scale has its initial value
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made


def reaches(made: CausalLayer, count=4) -> torch.Tensor:
    """Returns which noise affects which code, (K, K): entry [i, k] for noise i and code k."""
    jacobian = torch.autograd.functional.jacobian(lambda u: made(u)[0], torch.randn(1, count, WIDTH))
    return (jacobian.squeeze(2) != 0).any(3).any(1).T  # (K, W, K, W) -> (K, K)


@pytest.mark.parametrize("mechanism", ["affine", "additive"])
@pytest.mark.parametrize("edges", [(), CHAIN, DIAMOND, (("d", "a"), ("c", "a"), ("a", "b"))])
def test_the_jacobian_is_zero_exactly_without_a_path(edges, mechanism):
    data = dataset(edges)
    paths = {name: ancestors(data, name) | {name} for name in data.names}
    expected = torch.tensor([[cause in paths[effect] for effect in data.names] for cause in data.names])
    assert reaches(layer(edges, mechanism=mechanism)).equal(expected)


@pytest.mark.parametrize("edges", [CHAIN, DIAMOND])
def test_the_published_form_reaches_direct_effects_only(edges):
    data = dataset(edges)
    near = {name: {*causes(data, name), name} for name in data.names}
    expected = torch.tensor([[cause in near[effect] for effect in data.names] for cause in data.names])
    assert reaches(layer(edges, "one_shot")).equal(expected)


def test_codes_are_noises_plus_the_shift_of_their_causes():
    made = layer(DIAMOND)
    u = torch.randn(6, 4, WIDTH)
    z = made(u)
    assert z[:, 0].equal(u[:, 0])  # a root
    torch.testing.assert_close(z[:, 1], u[:, 1] + made.mechanisms[1](z[:, 0]))
    torch.testing.assert_close(z[:, 3], u[:, 3] + made.mechanisms[3](torch.cat([z[:, 1], z[:, 2]], 1)))
    torch.testing.assert_close(z - made.moments(z)[0], u)


def test_affine_mechanisms_shift_and_scale():
    made = layer(DIAMOND, mechanism="affine")
    u = torch.randn(6, 4, WIDTH)
    z = made(u)
    shift, log_scale = made.mechanisms[3](torch.cat([z[:, 1], z[:, 2]], 1)).chunk(2, dim=1)
    assert log_scale.abs().min() > 0
    torch.testing.assert_close(z[:, 3], shift + (4 * torch.tanh(log_scale / 4)).exp() * u[:, 3])


def test_the_initial_scale_is_one():
    made = CausalLayer(dataset(DIAMOND), WIDTH, 5)
    assert not made.moments(torch.randn(6, 4, WIDTH))[1].any()


@pytest.mark.parametrize("mechanism", ["affine", "additive"])
@pytest.mark.parametrize("form", ["recursive", "one_shot"])
def test_noises_are_recovered(form, mechanism):
    made = layer(DIAMOND, form, mechanism=mechanism)
    u = torch.randn(6, 4, WIDTH)
    torch.testing.assert_close(made.noises(made(u)), u)


@pytest.mark.parametrize("form", ["recursive", "one_shot"])
def test_frozen_mechanisms_propagate_gradients_and_receive_none(form):
    made = layer(DIAMOND, form, mechanism="affine")
    u = torch.randn(6, 4, WIDTH, requires_grad=True)
    assert made(u, frozen=True).equal(made(u))
    (made(u, frozen=True).sum() + made.moments(u, frozen=True)[1].sum()).backward()
    assert u.grad.any() and all(parameter.grad is None for parameter in made.parameters())


def test_additive_mechanisms_preserve_volume():
    made = layer(DIAMOND)
    u = torch.randn(4, WIDTH)
    jacobian = torch.autograd.functional.jacobian(lambda u: made(u[None])[0].flatten(), u).flatten(1)
    assert float(torch.linalg.det(jacobian)) == pytest.approx(1.0, abs=1e-5)


def test_published_codes_in_closed_form():
    made = layer(CHAIN, "one_shot", "abc")
    u = torch.randn(2, 3, WIDTH)
    z = made(u)
    torch.testing.assert_close(z[:, 0], u[:, 0] + made.mechanisms[0](torch.zeros(2, WIDTH)))
    torch.testing.assert_close(z[:, 2], u[:, 2] + made.mechanisms[2](u[:, 1]))
    torch.testing.assert_close(z - made.moments(z)[0], u)


@pytest.mark.parametrize("acted", ["a", "b", "c", "d"])
def test_an_intervention_changes_descendants_only(acted):
    made, names = layer(DIAMOND), "abcd"
    u, do = torch.randn(5, 4, WIDTH), torch.full((5, 4, WIDTH), 2.0)
    mask = torch.zeros(5, 4, dtype=torch.bool)
    mask[:3, names.index(acted)] = True
    before, after = made(u), made(u, do, mask)
    assert after[3:].equal(before[3:])
    for k, name in enumerate(names):
        if name == acted:
            assert (after[:3, k] == 2.0).all()
        elif acted in ancestors(dataset(DIAMOND), name):
            assert (after[:3, k] != before[:3, k]).any(1).all()
        else:
            assert after[:, k].equal(before[:, k])


def test_published_interventions():
    """At a root the noise is set and the code differs by a constant; elsewhere the code is set, without effects."""
    made = layer(CHAIN, "one_shot", "abc")
    u, do = torch.randn(4, 3, WIDTH), torch.full((4, 3, WIDTH), 2.0)
    root = torch.tensor([[True, False, False]]).expand(4, 3)
    after = made(u, do, root)
    torch.testing.assert_close(after[:, 0], 2.0 + made.mechanisms[0](torch.zeros(4, WIDTH)))
    torch.testing.assert_close(after[:, 1], u[:, 1] + made.mechanisms[1](torch.full((4, WIDTH), 2.0)))
    middle = torch.tensor([[False, True, False]]).expand(4, 3)
    after, before = made(u, do, middle), made(u)
    assert (after[:, 1] == 2.0).all() and after[:, 2].equal(before[:, 2])


def test_the_order_of_the_variables_does_not_matter():
    """If effects are listed first, causes are still computed first."""
    edges = (("d", "c"), ("c", "b"), ("b", "a"))
    made = layer(edges)
    assert reaches(made).equal(torch.ones(4, 4).tril().bool())

"""Tests of the C++ kernels: ELBO and gradients agree with PyTorch's operations in float64."""

import copy
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F

from counterfactory.models.image import native
from counterfactory.models.image.hvae import Hvae
from counterfactory.models.image.native.build import gelu_tables
from counterfactory.models.image.train import ElboLoss
from counterfactory.nets.head import Head

PARENTS, SHAPE = 3, (1, 8, 8)
SMALL = {
    "resolutions": [8, 4, 1],
    "widths": [8, 8, 12],
    "encoder_blocks": [2, 1, 1],
    "decoder_blocks": [1, 2, 1],
    "latents": [2, 2, 2],
}
NETWORKS = {
    "exogenous": {},
    "conditional": {"prior": "conditional"},
    "coarse": {"latents": [0, 2, 2]},
    "patch": {"patch": 2, "resolutions": [4, 2, 1]},
    "exposure": {"exposure": [0]},
    "odd": {"widths": [9, 20, 7], "bottleneck": 3, "latents": [3, 3, 3]},
}
needs_compiler = pytest.mark.skipif(not native.available(), reason="no C++ compiler")


def build(**options) -> Hvae:
    torch.manual_seed(0)
    model = Hvae(SHAPE, PARENTS, **{**SMALL, **options})
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return model


def draw(model: Hvae, count: int) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(1)
    x = torch.randint(0, 256, (count, *SHAPE)) / 127.5 - 1
    return x, torch.randn(count, PARENTS), [torch.randn(count, *shape) for shape in model.noise_shapes]


def results(model: Hvae, count: int, kernels: bool = True) -> dict[str, torch.Tensor]:
    """Returns both terms of the ELBO, the latents, and the gradients of a function of all of them."""
    dtype = model.head.location.weight.dtype
    x, parents, noise = draw(model, count)
    parents = parents.to(dtype).requires_grad_()
    hidden = parents * torch.tensor([1.0, 1.0, 0.0])
    model.zero_grad()
    elbo = partial(native.elbo, model) if kernels else model.elbo
    nll, kl, z = elbo(x.to(dtype), parents, [eps.to(dtype) for eps in noise], 0.05, hidden)
    (nll + 2 * kl + sum(latent.square().mean() for latent in z)).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    latents = {f"z{number}": latent.detach() for number, latent in enumerate(z)}
    return {"nll": nll.detach(), "kl": kl.detach(), "parents": parents.grad, **latents, **gradients}


def plain_head(self: Head, *inputs: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    with patch.object(torch.Tensor, "float", torch.Tensor.double):
        return forward(self, *inputs)


forward = Head.forward


@needs_compiler
@pytest.mark.parametrize("count", [16, 32, 80])
@pytest.mark.parametrize("name", NETWORKS)
def test_bound_and_gradients_are_those_of_float64(name, count):
    model = build(**NETWORKS[name])
    with patch.object(Head, "forward", plain_head):
        expected = results(copy.deepcopy(model).double(), count, kernels=False)
    found = results(model, count)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert float((found[key] - value).norm() / value.norm()) < 2e-4, key


@needs_compiler
def test_the_same_bits_every_time():
    model = build()
    one, other = results(model, 32), results(model, 32)
    assert all(torch.equal(one[key], other[key]) for key in one)


@needs_compiler
def test_published_size():
    torch.manual_seed(0)
    model = Hvae((1, 32, 32), PARENTS)
    torch.manual_seed(1)
    x, parents = torch.randint(0, 256, (16, 1, 32, 32)) / 127.5 - 1, torch.randn(16, PARENTS)
    noise = [torch.randn(16, *shape) for shape in model.noise_shapes]
    found = native.elbo(model, x, parents, noise)
    expected = model.elbo(x, parents, noise)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_only_suitable_networks_and_batches():
    x = torch.zeros(16, *SHAPE)
    assert native.suits(build(), x)
    assert not native.suits(build(), x[:15])
    assert not native.suits(build(), x.double())
    assert not native.suits(build(block="light"), x)


def test_tables_are_gelu():
    tables, width = gelu_tables()
    x = torch.linspace(-5.5, 5.5, 20_001, dtype=torch.float64).requires_grad_()
    expected = F.gelu(x)
    (slopes,) = torch.autograd.grad(expected.sum(), x)
    place = x.detach().abs() / width
    segment = place.round().long()
    value, slope = (
        sum(torch.from_numpy(table[k]).double()[segment] * (place - segment) ** k for k in range(6))
        for table in tables
    )
    torch.testing.assert_close(x.detach().clamp(min=0) - value, expected.detach(), rtol=0, atol=1e-7)
    torch.testing.assert_close(torch.where(x > 0, 1 - slope, slope).detach(), slopes, rtol=0, atol=2e-7)


class Unscheduled(SimpleNamespace):
    """Settings of a loss without schedules, augmentation and penalties."""

    beta = beta_start = 1.0
    beta_until = scale_hold = scale_release = conditioning_dropout = free_bits = independence = 0.0
    shift, mirror = 0, False
    likelihood, conditioning_dropout_unit = "exact", "image"


@pytest.mark.parametrize("kernels, count, calls", [(True, 16, 1), (True, 15, 0), (False, 16, 0)])
def test_the_training_loss_uses_the_kernels_for_supported_batches_only(kernels, count, calls):
    model = build()
    batch = {"images": torch.zeros(count, *SHAPE, dtype=torch.uint8), "parents": torch.zeros(count, PARENTS)}
    loss = ElboLoss(Unscheduled(), torch.zeros(PARENTS, dtype=torch.bool), kernels)
    expected = (torch.tensor(0.0), torch.tensor(0.0), [])
    with patch.object(native, "elbo", return_value=expected) as called:
        loss(model, batch, torch.Generator().manual_seed(0), 1.0)
    assert called.call_count == calls

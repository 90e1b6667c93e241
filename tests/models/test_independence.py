"""Tests of the adversarial penalty: the information found, its limit at chance, and the separation of gradients."""

import math

import pytest
import torch

from counterfactory.data.dataset import Dataset, Variable
from counterfactory.models.image.independence import Adversary, dependence

DATASET = Dataset(
    "toy",
    (Variable("height", "continuous", "px", 0.0, 1.0), Variable("kind", "categorical", classes=4)),
    (("height", "kind"),),
    (1, 8, 8),
    False,
)


@pytest.fixture
def parents() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    height = torch.rand(2000, 1, generator=generator) * 2 - 1
    kind = torch.eye(4)[torch.randint(4, (2000,), generator=generator)]
    return torch.cat([height, kind], 1)


def trained(parents: torch.Tensor, latents: torch.Tensor) -> Adversary:
    torch.manual_seed(0)
    adversary = Adversary(DATASET, parents, latents.shape[1], hidden=32)
    optimizer = torch.optim.Adam(adversary.parameters(), 1e-2)
    for _ in range(300):
        error, _ = dependence(adversary, [latents], parents)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return adversary


def test_continuous_variables_are_binned_into_equally_frequent_classes(parents):
    adversary = Adversary(DATASET, parents, latents=3, bins=8)
    counts = torch.bincount(adversary.targets(parents)[0], minlength=8)
    assert counts.tolist() == [250] * 8


def test_noise_has_no_information_and_a_copy_has_all(parents):
    noise = torch.randn(len(parents), 5, generator=torch.Generator().manual_seed(1))
    fresh = torch.randn(len(parents), 5, generator=torch.Generator().manual_seed(2))
    _, information = dependence(trained(parents, noise), [fresh], parents)
    assert information.item() < 0.05
    _, information = dependence(trained(parents, parents), [parents], parents)
    assert information.item() > 0.7 * (math.log(8) + math.log(4))
    assert information.item() <= math.log(8) + math.log(4)


def test_gradients_are_separate(parents):
    adversary = Adversary(DATASET, parents, latents=5)
    latents = [parents.clone().requires_grad_()]
    error, information = dependence(adversary, latents, parents)
    assert torch.autograd.grad(error, latents[0], retain_graph=True, allow_unused=True) == (None,)
    (error + information).backward()
    only_error = [p.grad.clone() for p in adversary.parameters()]
    adversary.zero_grad()
    error, _ = dependence(adversary, latents, parents)
    error.backward()
    assert all(torch.equal(p.grad, g) for p, g in zip(adversary.parameters(), only_error, strict=True))
    assert all(p.requires_grad for p in adversary.parameters())


def test_there_is_no_penalty_below_chance(parents):
    adversary = Adversary(DATASET, parents, latents=5)
    with torch.no_grad():
        adversary.layers[-1].bias.copy_(torch.linspace(-3, 3, 12))  # confidently wrong: worse than chance
        adversary.layers[-1].weight.mul_(0.01)
    latents = torch.randn(len(parents), 5).requires_grad_()
    _, information = dependence(adversary, [latents], parents)
    information.backward()
    assert information.item() == 0.0
    assert not latents.grad.any()

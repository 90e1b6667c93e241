"""Muon updates matrices by the polar factor of their gradient; all other weights are updated by AdamW."""

import pytest
import torch
from torch import nn

from counterfactory.training.optimizers import make_optimizers
from tests.training.toys import settings

RATE = 0.01


def moved(
    weights: dict[str, torch.Tensor], gradients: dict[str, torch.Tensor], optimizer: str, steps: int = 1
):
    """Returns the change of each weight."""
    parameters = {
        name: nn.Parameter(weight.clone(memory_format=torch.preserve_format))
        for name, weight in weights.items()
    }
    optimizers = make_optimizers(list(parameters.values()), settings(optimizer=optimizer, learning_rate=RATE))
    for _ in range(steps):
        for name, parameter in parameters.items():
            parameter.grad = gradients[name].clone()
        for one in optimizers:
            one.step()
    return {name: (parameter - weights[name]).detach() for name, parameter in parameters.items()}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(6, 4), (4, 10), (8, 3, 5, 5)])
def test_a_matrix_moves_against_the_polar_factor_of_its_gradient(shape):
    weight, gradient = drawn(*shape), drawn(*shape, seed=1)
    step = moved({"w": weight}, {"w": gradient}, "muon")["w"].flatten(1)
    u, _, v = torch.linalg.svd(gradient.flatten(1).double(), full_matrices=False)
    rows, columns = step.shape
    step = -step.double() / (0.2 * RATE * max(rows, columns) ** 0.5)
    inner = u.T @ step @ v.T
    # The iteration in bfloat16 gives singular values near 1, not exactly 1.
    assert inner.diagonal().min() > 0.6
    assert inner.diagonal().max() < 1.3
    assert (inner - inner.diagonal().diag()).abs().max() < 0.05
    assert (step - u @ inner @ v).abs().max() < 0.05


def test_the_size_of_a_gradient_does_not_matter_to_a_matrix():
    weight, gradient = drawn(5, 7), drawn(5, 7, seed=1)
    once, larger = (moved({"w": weight}, {"w": scale * gradient}, "muon")["w"] for scale in (1.0, 1024.0))
    torch.testing.assert_close(once, larger)


def test_the_memory_format_does_not_matter_but_for_rounding():
    weight, gradient = drawn(8, 3, 5, 5), drawn(8, 3, 5, 5, seed=1)
    plain = moved({"w": weight}, {"w": gradient}, "muon", 3)["w"]
    last = moved({"w": weight.to(memory_format=torch.channels_last)}, {"w": gradient}, "muon", 3)["w"]
    torch.testing.assert_close(plain, last, atol=0.05 * plain.abs().max().item(), rtol=0)
    assert last.abs().min() > 0


def test_vectors_move_as_adamw_moves_them():
    weights = {"matrix": drawn(4, 6), "bias": drawn(6, seed=2), "scale": drawn(1, seed=3)[0]}
    gradients = {name: 2.0 * weight for name, weight in weights.items()}
    muon, adamw = (moved(weights, gradients, optimizer, 4) for optimizer in ("muon", "adamw"))
    assert torch.equal(muon["bias"], adamw["bias"])
    assert torch.equal(muon["scale"], adamw["scale"])
    assert not torch.equal(muon["matrix"], adamw["matrix"])


def test_what_has_no_gradient_stays():
    matrix = nn.Parameter(drawn(3, 3))
    optimizers = make_optimizers([matrix], settings(optimizer="muon"))
    before = matrix.detach().clone()
    for one in optimizers:
        one.step()
    assert torch.equal(matrix, before)


def test_decay_shrinks_a_matrix_by_the_learning_rate():
    matrix = nn.Parameter(drawn(4, 6))
    before = matrix.detach().clone()
    (muon,) = make_optimizers([matrix], settings(optimizer="muon", learning_rate=0.1, weight_decay=0.5))
    matrix.grad = torch.zeros_like(matrix)
    muon.step()
    torch.testing.assert_close(matrix.detach(), 0.95 * before)


def test_weights_that_no_matrix_can_share_are_refused():
    with pytest.raises(ValueError, match="contiguous"):
        make_optimizers([nn.Parameter(drawn(4, 6, 3, 3).transpose(0, 1))], settings(optimizer="muon"))

"""Tests of upsampling: equality with PyTorch's interpolation, and its gradient under inductor with bfloat16."""

import shutil
import sysconfig
from pathlib import Path

import pytest
import torch
import torch._dynamo
import torch.nn.functional as F
from torch import Tensor, nn

from counterfactory.nets.blocks import enlarge

HEADER = Path(sysconfig.get_paths()["include"]) / "Python.h"


@pytest.mark.parametrize(
    "shape, size", [((2, 3, 1, 1), 4), ((2, 3, 4, 4), 8), ((2, 3, 4, 4), 4), ((2, 3, 3, 3), 7)]
)
@pytest.mark.parametrize("compiling", [False, True])
def test_upsampling_is_nearest_neighbour_interpolation(monkeypatch, shape, size, compiling):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.equal(enlarge(x, size), F.interpolate(x, size=size))
    (gradient,) = torch.autograd.grad(enlarge(x, size).square().sum(), x)
    (expected,) = torch.autograd.grad(F.interpolate(x, size=size).square().sum(), x)
    torch.testing.assert_close(gradient, expected)


class Upsampler(nn.Module):
    """A convolution, upsampling and a learned float32 map: the start of a resolution of the hierarchical VAE."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)
        self.start = nn.Parameter(torch.zeros(1, 4, 8, 8))
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(enlarge(self.first(x), 8) + self.start))


def gradients(model: nn.Module, call, x: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        loss = call(x).float().square().mean()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None or not HEADER.exists(), reason="no C++ compiler, or no headers of Python"
)
def test_gradients_under_inductor_with_bfloat16():
    model, x = Upsampler(), torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    expected = gradients(model, model, x)
    torch._dynamo.reset()
    found = gradients(model, torch.compile(model), x)
    for name, gradient in expected.items():
        assert float((found[name] - gradient).norm() / gradient.norm()) < 0.02, name

"""Training with a compiled network gives the same weights, and compilation ends with the training."""

import shutil
import sysconfig
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch._dynamo.backends.common import aot_autograd

from counterfactory.models.image.hvae import Hvae
from counterfactory.models.image.vae import Vae
from counterfactory.training.compiling import as_written, compiled
from tests.training.toys import log, train


@pytest.fixture
def traced(monkeypatch):
    """Counts the calls of the compiler and replaces it by the identity, which is fast."""
    calls = []

    def backend(graph, _):
        calls.append(graph)
        return graph

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    yield calls
    torch._dynamo.reset()


def test_a_compiled_training_ends_with_the_same_weights_and_log(tmp_path, traced):
    train(tmp_path / "written", learning_rate=0.01)
    train(tmp_path / "no_gpu", learning_rate=0.01, compile="gpu")
    assert not traced
    train(tmp_path / "compiled", learning_rate=0.01, compile="always")
    assert traced
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("written", "compiled"))
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name])
    for one, other in zip(log(tmp_path / "written"), log(tmp_path / "compiled"), strict=True):
        assert {name: float(value) for name, value in one.items()} == pytest.approx(
            {name: float(value) for name, value in other.items()}, rel=1e-4
        )


def test_validation_compiles_nothing_more(tmp_path, traced):
    train(tmp_path / "few", compile="always", steps=2, valid_every=2)
    once = len(traced)
    torch._dynamo.reset()
    traced.clear()
    train(tmp_path / "many", compile="always", steps=6, valid_every=1)
    assert len(traced) == once


def test_parts_are_compiled_where_the_whole_is_never_called(traced):
    whole = nn.Module()
    whole.one, whole.other = nn.Linear(3, 3), nn.Linear(3, 2)
    x = torch.ones(4, 3)
    written = whole.other(whole.one(x))
    with compiled(whole, True):
        torch.testing.assert_close(whole.other(whole.one(x)), written)
        assert len(traced) == 2
        with as_written(True):
            whole.other(whole.one(torch.ones(7, 3)))
    whole.other(whole.one(torch.ones(9, 3)))
    assert len(traced) == 2
    assert "forward" not in vars(whole.one)


def broken(graph, _):
    raise RuntimeError("no compiler here")


def broken_backward(graph, inputs):
    return aot_autograd(fw_compiler=lambda graph, _: graph, bw_compiler=broken)(graph, inputs)


@pytest.mark.parametrize("backend", [broken, broken_backward])
def test_where_the_compiler_fails_the_network_runs_as_written(monkeypatch, backend):
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    model = nn.Linear(3, 2)
    x = torch.ones(4, 3)
    written = model(x)
    with compiled(model, True):
        found = model(x)
        found.sum().backward()
    torch.testing.assert_close(found, written)
    torch.testing.assert_close(model.weight.grad, torch.full((2, 3), 4.0))
    torch._dynamo.reset()


SMALL = {"resolutions": (16, 8), "widths": (8, 16), "encoder_blocks": (1, 1), "decoder_blocks": (1, 1)}


def drawn_mechanism(name: str) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    model = Vae((1, 32, 32), 12) if name == "vae" else Hvae((1, 32, 32), 12, **SMALL, latents=(0, 4), patch=2)
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) * 0.05
    return model


def bound(model: nn.Module) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Returns the negative ELBO of drawn images, and its gradient."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(6, 1, 32, 32, generator=generator) * 2 - 1
    parents = torch.randn(6, 12, generator=generator)
    noise = [torch.randn(6, *shape, generator=generator) for shape in model.noise_shapes]
    nll, kl, _ = model.elbo(x, parents, noise)
    model.zero_grad()
    (nll + kl).backward()
    return (nll + kl).detach(), [weight.grad for weight in model.parameters() if weight.grad is not None]


HEADER = Path(sysconfig.get_paths()["include"]) / "Python.h"
COMPILES = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("g++") is None or not HEADER.exists(), reason="no C++ compiler, or no headers of Python"
    ),
]


@pytest.mark.parametrize("name", ["vae", "hvae"])
@pytest.mark.parametrize("inductor", [False, pytest.param(True, marks=COMPILES)], ids=["traced", "inductor"])
def test_the_compiled_bound_and_its_gradient_are_those_written(request, name, inductor):
    traced = [] if inductor else request.getfixturevalue("traced")
    model = drawn_mechanism(name)
    value, gradient = bound(model)
    # Failures of the compiler must be errors here.
    with compiled(model, True), torch._dynamo.config.patch(suppress_errors=False):
        compiled_value, compiled_gradient = bound(model)
    torch.testing.assert_close(compiled_value, value)
    for one, other in zip(compiled_gradient, gradient, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    # One graph: every break would start more kernels.
    assert inductor or len(traced) == 1


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_what_fine_tuning_asks_is_compiled_too(traced, name):
    model = drawn_mechanism(name)
    x, parents = torch.zeros(2, 1, 32, 32), torch.zeros(2, 12)
    noise = [torch.zeros(2, *shape) for shape in model.noise_shapes]
    latents, location, _ = model.reconstruct(x, parents, noise)
    with compiled(model, True):
        torch.testing.assert_close(model.reconstruct(x, parents, noise)[1], location)
        assert len(traced) == 1
        torch.testing.assert_close(model.predict([one.z for one in latents], parents)[0], location)
        assert len(traced) == 2

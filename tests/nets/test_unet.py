"""Tests of the U-Net: published size, shapes, dependence of outputs on inputs, validation of sizes."""

import math

import pytest
import torch

from counterfactory.nets.unet import UNet, timestep_embedding

SMALL = {"width": 8, "multipliers": [1, 2], "blocks": 1, "groups": 4, "heads": 2}


def build(shape=(1, 8, 8), **changed):
    torch.manual_seed(0)
    return UNet(shape, **{**SMALL, **changed})


def awake(net):
    """Replaces weights that are all zero by noise, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        if not parameter.any():
            parameter.data.normal_(0, 0.2, generator=generator)
    return net.eval()


def images(count=3, shape=(1, 8, 8), seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def test_published_network():
    with torch.device("meta"):
        net = UNet((3, 128, 128), 128, (1, 1, 2, 3, 4), 2, (32, 16, 8), 4)
    assert sum(p.numel() for p in net.parameters()) == 105_198_598
    # Six output channels: noise and interpolation weight of the variance, for three colours each.
    assert net.head.out_channels == 6


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("skips", ["block", "level"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16)])
@pytest.mark.parametrize("learned", [True, False])
def test_shapes(patch, skips, shape, learned):
    net = build(shape, patch=patch, skips=skips, attention=[shape[1] // patch // 2], learned_variance=learned)
    x = images(shape=shape)
    out = net(x, torch.tensor([0, 7, 499]))
    assert out.shape == (3, shape[0] * (2 if learned else 1), *shape[1:]) and out.dtype == torch.float32
    # The output is zero before training.
    assert not out.any()
    out = awake(net)(x, torch.tensor([0, 7, 499]))
    assert torch.isfinite(out).all() and out.std() > 0
    net(x, torch.tensor([0, 7, 499])).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("multipliers", [[1], [1, 2, 2]])
@pytest.mark.parametrize("skips", ["block", "level"])
def test_any_depth(blocks, multipliers, skips):
    net = awake(build(blocks=blocks, multipliers=multipliers, skips=skips))
    assert net(images(), torch.zeros(3)).shape == (3, 2, 8, 8)


@pytest.mark.parametrize("skips", ["block", "level"])
def test_images_are_independent_and_depend_on_their_time_step(skips):
    net = awake(build(skips=skips, attention=[4], patch=1))
    x, t = images(), torch.tensor([3, 3, 400])
    with torch.no_grad():
        out = net(x, t)
        torch.testing.assert_close(out[1:2], net(x[1:2], t[1:2]), rtol=1e-4, atol=1e-5)
        assert (net(x, torch.tensor([3, 9, 400]))[1] - out[1]).abs().max() > 1e-3
        assert (net(x[[0, 1, 1]], t)[2] - out[2]).abs().max() > 1e-3


def test_folding_keeps_the_noise_apart_from_the_variance():
    # A head with constant outputs: noise 1 and variance 2 in every pixel.
    net = build(patch=2)
    with torch.no_grad():
        net.head.bias[:4], net.head.bias[4:] = 1.0, 2.0
    out = net(images(), torch.zeros(3))
    assert (out[:, 0] == 1).all() and (out[:, 1] == 2).all()


def test_embedding_of_time():
    features = timestep_embedding(torch.tensor([0, 1, 250]), 8)
    assert features.shape == (3, 8)
    assert features[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert features[1, 0].item() == pytest.approx(math.cos(1.0))
    assert features[1, 4].item() == pytest.approx(math.sin(1.0))
    # The lowest of 4 frequencies: 10,000 to the power -3/4.
    assert features[2, 7].item() == pytest.approx(math.sin(0.25))


def test_a_condition_reaches_the_image():
    net = awake(build(condition=5))
    x, t, condition = images(), torch.tensor([1, 50, 300]), torch.randn(3, 5)
    with torch.no_grad():
        output = net(x, t, condition)
        assert (output - net(x, t, 2 * condition)).abs().amax((1, 2, 3)).min() > 1e-3
        # None is the condition of zeros.
        assert torch.equal(net(x, t), net(x, t, torch.zeros(3, 5)))
    with pytest.raises(ValueError, match="unconditional"):
        build()(x, t, condition)


def test_bfloat16_is_close_to_float32():
    net = awake(build(patch=2))
    x, t = images(16), torch.linspace(0, 499, 16).long()
    with torch.no_grad():
        exact = net(x, t)
        cast = net.cast(torch.bfloat16)(x, t)
    assert cast.dtype == torch.float32
    assert (
        net.stem.weight.dtype == torch.bfloat16
        and net.time[0].weight.dtype == net.head.weight.dtype == torch.float32
    )
    assert (cast - exact).square().mean().sqrt() < 0.02 * exact.std()


@pytest.mark.parametrize(
    ("shape", "changed", "text"),
    [
        ((1, 8, 6), {}, "8 x 6 px; the U-Net needs equal sides"),
        (
            (1, 9, 9),
            {},
            "multipliers has 2 entries, which with patch 1 need images of a multiple of 2 px, not 9",
        ),
        ((1, 8, 8), {"patch": 3}, "multiple of 6 px, not 8"),
        ((1, 8, 8), {"multipliers": []}, "multipliers is empty"),
        ((1, 8, 8), {"groups": 3}, "groups is 3, which does not divide 8 x 1 channels"),
        ((1, 8, 8), {"width": 9, "groups": 1}, "width is 9; it must be even"),
        ((1, 8, 8), {"attention": [5]}, "attention names 5 px, but the resolutions are 8, 4"),
        ((1, 8, 8), {"attention": [8], "heads": 3}, "heads is 3, which does not divide 8 x 1 channels"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(shape, changed, text):
    with pytest.raises(ValueError, match=text) as error:
        build(shape, **changed)
    assert "\n" not in str(error.value)

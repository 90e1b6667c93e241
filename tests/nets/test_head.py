"""Tests of the output layer of image mechanisms: shapes, scale, exposure, precision."""

import pytest
import torch
import torch.nn.functional as F

from counterfactory.nets.head import Head
from counterfactory.nets.likelihood import LOG_SCALE_FLOOR

FEATURES, PARENTS = 5, 4


def head(exposure: tuple[int, ...] = (), seed: int = 0, **options) -> Head:
    """Returns a head with random weights and biases."""
    torch.manual_seed(seed)
    built = Head(FEATURES, 3, exposure=exposure, **options)
    for parameter in built.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return built.requires_grad_(False)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_shapes(patch):
    location, log_scale = head(patch=patch)(torch.randn(2, FEATURES, 4, 4), torch.randn(2, PARENTS))
    assert location.shape == log_scale.shape == (2, 3, 4 * patch, 4 * patch)


def test_a_patch_is_folded_out_as_it_was_folded_in():
    folded = head(patch=2)
    h = torch.randn(2, FEATURES, 4, 4)
    location, log_scale = folded(h, torch.randn(2, PARENTS))
    torch.testing.assert_close(F.pixel_unshuffle(location, 2), folded.location(h))
    torch.testing.assert_close(F.pixel_unshuffle(log_scale, 2), folded.log_scale(h))


def test_the_scale_gate_interpolates_from_the_initial_scale():
    built = head(log_scale=-1.5, patch=2)
    h, parents = torch.randn(2, FEATURES, 4, 4), torch.randn(2, PARENTS)
    free = built(h, parents)
    assert free[1].std() > 0.01
    for gate in (0.0, 0.25, 1.0):
        built.scale_gate.fill_(gate)
        location, log_scale = built(h, parents)
        torch.testing.assert_close(location, free[0])
        torch.testing.assert_close(log_scale, -1.5 + gate * (free[1] + 1.5))
        if gate == 0:
            assert (log_scale == -1.5).all()


def test_the_log_scale_has_a_floor():
    built = head(log_scale=-20.0)
    assert (built(torch.randn(2, FEATURES, 4, 4), torch.randn(2, PARENTS))[1] == LOG_SCALE_FLOOR).all()


def test_exposure_does_nothing_at_first():
    torch.manual_seed(0)
    plain = Head(FEATURES, 1)
    torch.manual_seed(0)
    exposed = Head(FEATURES, 1, exposure=[0, 1])
    h, parents = torch.randn(2, FEATURES, 4, 4), torch.randn(2, PARENTS)
    for one, other in zip(plain(h, parents), exposed(h, parents), strict=True):
        assert torch.equal(one, other)


def test_exposure_is_linear_in_its_parents():
    built = head(exposure=(1, 3))
    h = torch.randn(1, FEATURES, 4, 4)
    first, last = torch.randn(2, 1, PARENTS)
    shares = torch.tensor([0.0, 0.3, 0.5, 1.0, 1.7])  # 1.7: also outside
    between = torch.cat([first + share * (last - first) for share in shares])
    location, log_scale = built(h.expand(len(shares), -1, -1, -1), between)
    for moved in (location, log_scale.exp()):
        expected = moved[:1] + shares[:, None, None, None] * (moved[3:4] - moved[:1])
        torch.testing.assert_close(moved, expected)


def test_exposure_scales_the_gaussian_of_the_whole_image():
    built = head(exposure=(0,))
    h, zero = torch.randn(1, FEATURES, 4, 4), torch.zeros(1, PARENTS)
    built.exposure.fill_(0.3)
    location, log_scale = built(h, zero)
    for value in (-2.0, 1.0, 3.0):
        gain = 1.0 + 0.3 * value
        moved, spread = built(h, torch.tensor([[value, 9.0, -9.0, 9.0]]))
        torch.testing.assert_close(moved + 1.0, gain * (location + 1.0))
        torch.testing.assert_close(spread.exp(), gain * log_scale.exp())


def test_exposure_never_turns_an_image_into_its_negative():
    built = head(exposure=(0,))
    built.exposure.fill_(1.0)
    h = torch.randn(1, FEATURES, 4, 4)
    usual, (location, log_scale) = built(h, torch.zeros(1, 1)), built(h, torch.full((1, 1), -7.0))
    torch.testing.assert_close(location + 1.0, 0.05 * (usual[0] + 1.0))
    torch.testing.assert_close(log_scale.exp(), 0.05 * usual[1].exp())


def test_features_do_not_see_the_parents_that_act_as_exposure():
    parents = torch.randn(2, PARENTS)
    before = parents.clone()
    hidden = head(exposure=(1, 3)).hide(parents)
    assert (hidden[:, [1, 3]] == 0).all()
    assert torch.equal(hidden[:, [0, 2]], parents[:, [0, 2]])
    assert torch.equal(parents, before)
    assert torch.equal(head().hide(parents), parents)


def test_grey_levels_keep_full_precision_under_autocast():
    built = head(exposure=(0,))
    h, parents = torch.randn(2, FEATURES, 4, 4).bfloat16(), torch.randn(2, PARENTS)
    with torch.autocast("cpu", torch.bfloat16):
        found = built(h, parents)
    for one, other in zip(found, built(h.float(), parents), strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)

"""Tests of the discretised Gaussian: normalisation, finite tails, inversion of the pixel noise."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from counterfactory.nets.likelihood import (
    LEAST_PROBABILITY,
    LOG_SCALE_FLOOR,
    capped_gaussian_nll,
    discretised_gaussian_nll,
    standardise,
    unstandardise,
)
from tests.fixtures.originals import check_value, values

GREYS = torch.arange(256)
GRID = GREYS / 127.5 - 1.0
LOCATIONS = [-1.4, -1.0, -0.98, -0.3, 0.0, 1 / 255, 0.5, 1.0, 1.2]
LOG_SCALES = [-9.0, -7.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0]


def grid(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """All grey levels (256), for every location and log scale (K, 1)."""
    location, log_scale = torch.cartesian_prod(torch.tensor(LOCATIONS), torch.tensor(LOG_SCALES)).to(dtype).T
    return (GREYS.to(dtype) / 127.5 - 1.0), location[:, None], log_scale[:, None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bins_sum_to_one(dtype):
    x, location, log_scale = grid(dtype)
    total = discretised_gaussian_nll(x, location, log_scale).neg().exp().sum(1)
    # Neighbouring bins round their common edge separately, each by up to half a unit in the last place of 1.
    rounding = torch.finfo(dtype).eps * (-log_scale[:, 0]).exp() / math.sqrt(2 * math.pi)
    assert ((total - 1).abs() < 1e-5 + rounding).all()
    assert ((total - 1).abs() < 1e-5)[log_scale[:, 0] >= -5].all()
    if dtype == torch.float64:
        assert (total - 1).abs().max() < 1e-11


def test_bins_are_those_of_the_normal_distribution():
    x, location, log_scale = grid(torch.float64)
    found = discretised_gaussian_nll(x, location, log_scale).neg().exp().numpy()
    edges = (np.arange(257) - 0.5) / 127.5 - 1.0
    edges[0], edges[-1] = -np.inf, np.inf
    expected = np.diff(norm.cdf((edges - location.numpy()) / log_scale.exp().numpy()), axis=1)
    # A bin is a difference of two CDFs, each with at most the largest error of the approximation.
    u = np.linspace(-10, 10, 200_001)
    error = np.abs(norm.cdf(u) - 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))).max()
    assert 1e-4 < error < 5e-4
    assert np.abs(found - expected).max() <= 2 * error
    assert np.abs(found - expected)[:, [0, 255]].max() <= error
    # Within two standard deviations of a wide Gaussian, the error of every bin is below one hundredth.
    near = ((x - location).abs() < 2 * log_scale.exp()) & (log_scale >= -1) & (x.abs() < 1)
    near = near.numpy()
    assert near.sum() > 1000
    assert np.abs(found[near] / expected[near] - 1).max() < 0.01


@pytest.mark.parametrize("log_scale", [LOG_SCALE_FLOOR, -5.0, 0.0, 3.0, 8.0])
@pytest.mark.parametrize("location", [-1e6, -300.0, -3.0, -1.0, 0.1, 1.0, 3.0, 300.0, 1e6])
def test_extremes_are_finite(location, log_scale):
    m = torch.full((256,), location, requires_grad=True)
    s = torch.full((256,), log_scale, requires_grad=True)
    nll = discretised_gaussian_nll(GRID, m, s)
    nll.sum().backward()
    assert nll.isfinite().all() and (nll > -1e-6).all()
    assert m.grad.isfinite().all() and s.grad.isfinite().all()


def test_gradients_are_those_of_the_closed_form():
    x = torch.tensor([-1.0, -0.2, 0.6, 1.0], dtype=torch.float64)
    m = torch.tensor([-0.9, -0.25, 0.1, 0.7], dtype=torch.float64, requires_grad=True)
    s = torch.tensor([-2.0, -3.0, -0.5, -1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, s: discretised_gaussian_nll(x, m, s), (m, s))


def test_far_away_the_likelihood_still_says_which_way():
    m = torch.tensor([-40.0, 40.0], requires_grad=True)
    discretised_gaussian_nll(torch.zeros(2), m, torch.full((2,), LOG_SCALE_FLOOR)).sum().backward()
    assert m.grad[0] < 0 < m.grad[1]


@pytest.mark.parametrize("log_scale", [LOG_SCALE_FLOOR, -6.0, -3.0, 0.0, 2.0])
def test_pixel_noise_gives_the_pixel_back(log_scale):
    location = torch.cat([torch.linspace(-3, 3, 61), torch.tensor([-50.0, 50.0])])[:, None]
    log_scale = torch.full_like(location, log_scale)
    noise = standardise(GRID, location, log_scale)
    x = unstandardise(noise, location, log_scale)
    assert (x.abs() <= 1).all()
    assert (x.add(1).mul(127.5).round().to(torch.uint8) == GREYS).all()
    # Black implies only that the Gaussian lies at or below the range, white that it lies at or above.
    assert (noise[:, 0] <= 0).all() and (noise[:, 255] >= 0).all()
    inside = (GRID - location)[:, 1:255] / log_scale.exp()
    torch.testing.assert_close(noise[:, 1:255], inside, rtol=1e-5, atol=1e-5)


def test_black_under_a_black_prediction_carries_no_noise():
    location = torch.tensor([-5.0, -1.0, -0.5])
    noise = standardise(torch.full((3,), -1.0), location, torch.zeros(3))
    torch.testing.assert_close(noise, torch.tensor([0.0, 0.0, -0.5]))
    # A stroke that is predicted in that place is therefore not brightened.
    stroke = torch.tensor([0.3, 0.3, 0.3])
    torch.testing.assert_close(unstandardise(noise, stroke, torch.zeros(3)), torch.tensor([0.3, 0.3, -0.2]))


def test_capped_likelihood_as_published():
    """Nats and gradients of single pixels, as causal-gen's code printed them in float32; some rows are coarse."""
    fixture = values("likelihood_cap")
    for row in fixture["rows"]:
        x = torch.tensor(row["x"] / 127.5 - 1.0)
        location, log_scale = (
            torch.tensor(row[name], requires_grad=True) for name in ("location", "log_scale")
        )
        nll = capped_gaussian_nll(x, location, log_scale.clamp(min=LOG_SCALE_FLOOR))
        nll.backward()
        share = row.get("tolerance", fixture["tolerance"])
        largest = max(1.0, *(abs(row[name]) for name in ("nll", "d_location", "d_log_scale")))
        found = {"nll": nll, "d_location": location.grad, "d_log_scale": log_scale.grad}
        for name, value in found.items():
            kind = f"{name}, coarse row" if "tolerance" in row else name
            check_value("likelihood_cap", kind, float(value.detach()), row[name], share, largest)


def test_capped_and_exact_likelihood_agree_below_ten_nats():
    x, location, log_scale = grid(torch.float64)
    exact, capped = (f(x, location, log_scale) for f in (discretised_gaussian_nll, capped_gaussian_nll))
    near = exact < 10
    torch.testing.assert_close(capped[near], exact[near], rtol=1e-6, atol=1e-9)
    assert capped.max() <= -math.log(LEAST_PROBABILITY) and exact.max() > 100

"""Tests of diffusion steps: adding noise, ancestral sampling of a known distribution, DDIM in both directions."""

import math

import pytest
import torch

from counterfactory.diffusion.denoiser import denoiser
from counterfactory.diffusion.guidance import guide
from counterfactory.diffusion.schedule import linear, respace
from counterfactory.diffusion.steps import ddim_decode, ddim_invert, ddim_step, ddpm_step, q_sample

from .gaussian import MEAN, SPREAD, GaussianDenoiser, noise
from .reference import ancestral

FULL = linear(500)
SHORT = respace(FULL, 50)


def gaussian(schedule=SHORT, **options):
    return denoiser(GaussianDenoiser(FULL, **options), schedule, clip=False, learned=False)


# --- adding noise


def test_noisy_images_have_their_mean_and_variance():
    x0 = torch.full((20_000, 1, 1, 1), 0.7, dtype=torch.float64)
    x = q_sample(SHORT, x0, 20, noise(*x0.shape))
    assert x.mean().item() == pytest.approx(0.7 * SHORT.alphas_bar[20].sqrt().item(), abs=0.03)
    assert x.var().item() == pytest.approx(1 - SHORT.alphas_bar[20].item(), rel=0.05)
    assert torch.equal(q_sample(SHORT, x0, -1, noise(*x0.shape)), x0)


def test_each_image_may_have_its_own_step():
    x0, eps = noise(3, 1, 2, 2), noise(3, 1, 2, 2, seed=1)
    each = q_sample(SHORT, x0, torch.tensor([-1, 5, 49]), eps)
    for row, index in enumerate((-1, 5, 49)):
        torch.testing.assert_close(each[row], q_sample(SHORT, x0, index, eps)[row])


# --- DDPM steps


def test_a_step_back_adds_noise_except_the_last():
    x, fresh = noise(3, 1, 2, 2), noise(3, 1, 2, 2, seed=1)
    index = torch.tensor([0, 1, 30])
    prediction = gaussian()(x, index)
    back = ddpm_step(prediction, fresh, index)
    torch.testing.assert_close(back[0], prediction.mean[0])
    spread = SHORT.posterior_variance[[1, 30]].sqrt()[:, None, None, None]
    torch.testing.assert_close(back[1:], prediction.mean[1:] + spread * fresh[1:])
    for row, one in enumerate(index.tolist()):
        torch.testing.assert_close(back[row], ddpm_step(prediction, fresh, one)[row])


@pytest.mark.parametrize("fixed", ["small", "large"])
def test_ancestral_sampling_reproduces_the_distribution(fixed):
    shape = (8_000, 1, 1, 1)
    schedule = respace(FULL, 250)
    denoise = denoiser(GaussianDenoiser(FULL), schedule, clip=False, learned=False, fixed=fixed)
    x = ancestral(denoise, noise(*shape), 249, lambda step: noise(*shape, seed=step))
    assert x.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert x.std().item() == pytest.approx(SPREAD, abs=0.02)


def test_ancestral_sampling_calls_the_network_once_a_step_and_adds_no_noise_in_the_last():
    network, drawn = GaussianDenoiser(FULL), []

    def stream(step):
        drawn.append(step)
        return torch.zeros(2, 1, 2, 2, dtype=torch.float64)

    ancestral(denoiser(network, SHORT, learned=False), noise(2, 1, 2, 2), 9, stream)
    assert [times[0] for times, _ in network.calls] == SHORT.timesteps[:10].flip(0).tolist()
    assert drawn == list(range(9, 0, -1))


def test_guided_sampling_reproduces_the_tilted_distribution():
    # A loss with constant gradient g at the clean image tilts N(m, s^2) to N(m - s^2 g, s^2). Its gradient at x_t is
    # g d E[x0 | x_t] / d x_t.
    gradient, shape = 1.5, (4_000, 1, 1, 1)
    schedule = respace(FULL, 250)
    left = schedule.alphas_bar
    gain = left.sqrt() * SPREAD**2 / (left * SPREAD**2 + 1 - left)

    def tilt(x_t, prediction, index):
        return guide(prediction, torch.full_like(x_t, gradient * gain[index].item()))

    denoise = denoiser(GaussianDenoiser(FULL), schedule, clip=False, learned=False, fixed="large")
    x = ancestral(denoise, noise(*shape), 249, lambda step: noise(*shape, seed=step), guide=tilt)
    assert x.mean().item() == pytest.approx(MEAN - SPREAD**2 * gradient, abs=0.05)
    assert x.std().item() == pytest.approx(SPREAD, abs=0.03)


# --- DDIM steps


def test_a_deterministic_step_combines_the_clean_image_and_the_noise():
    x = noise(3, 1, 2, 2)
    prediction = gaussian()(x, 30)
    for to in (-1, 0, 12, 30, 49):
        expected = SHORT.signal(to, x) * prediction.x0 + SHORT.noise(to, x) * prediction.eps
        torch.testing.assert_close(ddim_step(SHORT, x, prediction, 30, to), expected)
    torch.testing.assert_close(ddim_step(SHORT, x, prediction, 30, 30), x)
    each = ddim_step(SHORT, x, prediction, 30, torch.tensor([-1, 12, 49]))
    torch.testing.assert_close(each[1], ddim_step(SHORT, x, prediction, 30, 12)[1])


def test_the_deterministic_path_keeps_the_rank_of_a_gaussian():
    # The end of the path is the optimal transport map between Gaussians: m + s (x - sqrt(left) m) / sqrt(v).
    schedule = linear(2_000)
    x = noise(50, 1, 1, 1)
    denoise = denoiser(GaussianDenoiser(schedule), schedule, clip=False, learned=False)
    left = schedule.alphas_bar[-1]
    expected = MEAN + SPREAD * (x - left.sqrt() * MEAN) / (left * SPREAD**2 + 1 - left).sqrt()
    torch.testing.assert_close(ddim_decode(denoise, schedule, x, 1_999), expected, rtol=0, atol=0.03)


def round_trip(steps, corrections=0, index=None):
    schedule = respace(FULL, steps)
    x0 = MEAN + SPREAD * noise(64, 1, 2, 2)
    index = steps - 1 if index is None else index
    network = GaussianDenoiser(FULL)
    denoise = denoiser(network, schedule, clip=False, learned=False)
    x_t = ddim_invert(denoise, schedule, x0, index, corrections=corrections)
    calls = len(network.calls)
    back = ddim_decode(denoise, schedule, x_t, index)
    return (back - x0).square().mean().sqrt().item(), calls, x_t


def test_the_error_of_inversion_falls_with_the_number_of_steps():
    errors = [round_trip(steps)[0] for steps in (16, 64, 256)]
    assert errors[0] > 2.5 * errors[1] > 2.5**2 * errors[2]
    assert errors[2] < 0.02


def test_inverted_images_look_like_noise():
    x_t = round_trip(256)[2]
    assert x_t.mean().item() == pytest.approx(0, abs=0.15)
    assert x_t.std().item() == pytest.approx(1, abs=0.15)


def test_corrections_make_inversion_exact():
    errors = [round_trip(32, corrections)[0] for corrections in (0, 1, 2, 3, 4)]
    assert all(after < 0.3 * before for before, after in zip(errors, errors[1:], strict=False))
    assert round_trip(32, 15)[0] < 1e-8


@pytest.mark.parametrize("corrections", [0, 2])
def test_calls_of_an_inversion(corrections):
    assert round_trip(20, corrections)[1] == 20 * (1 + corrections)
    assert round_trip(20, corrections, index=7)[1] == 8 * (1 + corrections)


def test_the_condition_is_passed_at_every_step():
    shift = torch.linspace(-0.5, 0.5, 8, dtype=torch.float64)
    x0 = MEAN + shift[:, None, None, None] + SPREAD * noise(8, 1, 2, 2)
    denoise = gaussian()
    x_t = ddim_invert(denoise, SHORT, x0, 49, (shift,), corrections=30)
    torch.testing.assert_close(ddim_decode(denoise, SHORT, x_t, 49, (shift,)), x0, rtol=0, atol=1e-4)
    # Decoding under another condition keeps the quantile of the image in its distribution.
    other = ddim_decode(denoise, SHORT, x_t, 49, (shift + 0.4,))
    moved = 0.4 * (1 - SPREAD * math.sqrt(SHORT.alphas_bar[-1].item()))
    torch.testing.assert_close(other - x0, torch.full_like(x0, moved), rtol=0, atol=0.02)

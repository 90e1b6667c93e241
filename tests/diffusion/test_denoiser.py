"""Tests of denoisers: the posterior mean of a Gaussian, learned and fixed variance, clipping."""

import pytest
import torch

from counterfactory.diffusion.denoiser import denoiser
from counterfactory.diffusion.schedule import cosine, linear, respace

from .gaussian import MEAN, SPREAD, GaussianDenoiser, noise

FULL = linear(500)
SHORT = respace(FULL, 50)
X = noise(6, 2, 3, 3)


@pytest.mark.parametrize("schedule", [FULL, SHORT, respace(FULL, 200)])
def test_the_clean_image_of_a_gaussian_world_is_its_posterior_mean(schedule):
    index = torch.tensor([0, 1, len(schedule) // 3, len(schedule) // 2, len(schedule) - 2, len(schedule) - 1])
    network = GaussianDenoiser(FULL)
    prediction = denoiser(network, schedule, clip=False, learned=False)(X, index)
    left = schedule.alphas_bar[index][:, None, None, None]
    gain = left.sqrt() * SPREAD**2 / (left * SPREAD**2 + 1 - left)
    torch.testing.assert_close(prediction.x0, MEAN + gain * (X - left.sqrt() * MEAN))
    # The network receives the time steps of the training schedule.
    assert network.calls == [(schedule.timesteps[index].tolist(), tuple(X.shape))]
    # Mean of the step back: the posterior's, with the estimate for the clean image.
    beta, before = (
        schedule.betas[index][:, None, None, None],
        schedule.alphas_bar_before[index][:, None, None, None],
    )
    mean = (before.sqrt() * beta * prediction.x0 + (1 - beta).sqrt() * (1 - before) * X) / (1 - left)
    torch.testing.assert_close(prediction.mean, mean)
    torch.testing.assert_close(left.sqrt() * prediction.x0 + (1 - left).sqrt() * prediction.eps, X)


def test_one_step_for_all_images_or_a_step_each():
    denoise = denoiser(GaussianDenoiser(FULL), SHORT, learned=False)
    for one, each in zip(denoise(X, 7), denoise(X, torch.full((6,), 7)), strict=True):
        assert one.shape == X.shape
        torch.testing.assert_close(one, each)


@pytest.mark.parametrize("schedule", [SHORT, cosine(20)])
def test_learned_variance_interpolates_the_logarithms(schedule):
    v = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0, 3.0], dtype=torch.float64)[:, None, None, None].expand_as(X)
    eps = noise(*X.shape, seed=1)
    denoise = denoiser(lambda x, t: torch.cat([eps, v], dim=1), schedule, clip=False)
    small, large = schedule.posterior_log_variance, schedule.betas.log()
    for index in (0, 1, 19):
        log_variance = denoise(X, index).log_variance
        expected = [
            small[index] + share * (large[index] - small[index]) for share in (0, 0.25, 0.5, 0.75, 1, 2)
        ]
        torch.testing.assert_close(log_variance[:, 0, 0, 0], torch.stack(expected))
        torch.testing.assert_close(denoise(X, index).variance, log_variance.exp())


def test_fixed_variance():
    network = GaussianDenoiser(FULL)
    small = denoiser(network, SHORT, learned=False)(X, torch.arange(6))
    torch.testing.assert_close(small.log_variance[:, 0, 0, 0], SHORT.posterior_log_variance[:6])
    large = denoiser(network, SHORT, learned=False, fixed="large")(X, torch.arange(6))
    torch.testing.assert_close(large.variance[1:, 0, 0, 0], SHORT.betas[1:6])
    assert large.variance[0, 0, 0, 0].item() == pytest.approx(SHORT.posterior_variance[1].item())


def test_clipping_moves_the_noise_and_the_mean_with_the_image():
    network = GaussianDenoiser(FULL, mean=2.0)
    free = denoiser(network, SHORT, clip=False, learned=False)(X, 20)
    clipped = denoiser(network, SHORT, learned=False)(X, 20)
    assert free.x0.max() > 1
    torch.testing.assert_close(clipped.x0, free.x0.clamp(-1, 1))
    signal, spread = SHORT.signal(20, X), SHORT.noise(20, X)
    torch.testing.assert_close(signal * clipped.x0 + spread * clipped.eps, X)
    shift = SHORT.posterior_weight_clean[20] * (clipped.x0 - free.x0)
    torch.testing.assert_close(clipped.mean - free.mean, shift)
    inside = free.x0.abs() <= 1
    torch.testing.assert_close(clipped.eps[inside], free.eps[inside])


def test_the_condition_is_passed_to_the_network():
    network = GaussianDenoiser(FULL)
    denoise = denoiser(network, SHORT, clip=False, learned=False)
    shift = torch.linspace(-1, 1, 6, dtype=torch.float64)
    index = 30
    left = SHORT.alphas_bar[index]
    moved = denoise(X, index, shift).x0 - denoise(X, index).x0
    gain = left.sqrt() * SPREAD**2 / (left * SPREAD**2 + 1 - left)
    torch.testing.assert_close(moved, ((1 - gain * left.sqrt()) * shift)[:, None, None, None].expand_as(X))


@pytest.mark.parametrize("learned", [True, False])
def test_a_network_of_other_channels_is_refused(learned):
    channels = 2 if learned else 4
    denoise = denoiser(lambda x, t: x.new_zeros(len(x), channels, 3, 3), SHORT, learned=learned)
    with pytest.raises(ValueError, match=f"{channels} outputs for 2 channels does not fit learned={learned}"):
        denoise(X, 0)

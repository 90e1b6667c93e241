"""Tests of schedules: published values, respacing, and the posterior by Bayes' rule."""

import dataclasses

import numpy as np
import pytest
import torch

from counterfactory.diffusion.schedule import Schedule, build_schedule, cosine, linear, respace

DIME = respace(linear(500), 200)


def test_the_values_of_the_published_respacing():
    assert len(DIME) == 200
    assert DIME.timesteps[:6].tolist() == [0, 3, 5, 8, 10, 13]
    assert DIME.timesteps[[59, 60, 199]].tolist() == [148, 150, 499]
    at = [0, 10, 30, 59, 60]
    left = [0.999800, 0.969335, 0.784256, 0.401358, 0.391685]
    np.testing.assert_allclose(DIME.alphas_bar[at], left, atol=5e-7)
    np.testing.assert_allclose(
        DIME.alphas_bar[at].rsqrt(), [1.0001, 1.0157, 1.1292, 1.5785, 1.5978], atol=5e-5
    )
    np.testing.assert_allclose(DIME.betas[[59, 60]], [0.035349, 0.024101], atol=5e-7)


@pytest.mark.parametrize("steps", [100, 500, 1000])
def test_linear_schedules_end_with_as_little_signal_whatever_their_length(steps):
    schedule = linear(steps)
    assert schedule.betas[[0, -1]].tolist() == pytest.approx([0.1 / steps, 20 / steps])
    assert schedule.betas.diff().std() < 1e-12
    assert schedule.alphas_bar[-1].log().item() == pytest.approx(
        linear(1000).alphas_bar[-1].log().item(), rel=0.1
    )
    assert linear(1000).betas[[0, -1]].tolist() == pytest.approx([1e-4, 0.02])


def test_cosine_schedule():
    schedule = cosine(1000)
    angle = lambda t: np.cos((t / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2  # noqa: E731
    np.testing.assert_allclose(
        schedule.alphas_bar[[0, 499, 899]], [angle(t) / angle(0) for t in (1, 500, 900)]
    )
    assert schedule.betas.max() == 0.999
    assert (schedule.alphas_bar.diff() < 0).all()


@pytest.mark.parametrize("schedule", [linear(60), cosine(60)])
@pytest.mark.parametrize("count", [1, 2, 7, 59, 60])
def test_respacing_keeps_what_is_left_of_the_image(schedule, count):
    kept = respace(schedule, count)
    assert len(kept) == count
    torch.testing.assert_close(kept.alphas_bar, schedule.alphas_bar[kept.timesteps], rtol=1e-10, atol=0)
    assert kept.timesteps[0] == 0 and (count == 1 or kept.timesteps[-1] == 59)
    assert (kept.timesteps.diff() > 0).all()
    # As evenly as whole numbers can.
    assert count < 3 or kept.timesteps.diff().max() - kept.timesteps.diff().min() <= 1
    if count == len(schedule):
        torch.testing.assert_close(kept.betas, schedule.betas, rtol=1e-10, atol=0)


def test_respacing_twice_remembers_the_first_numbers():
    twice = respace(respace(linear(101), 51), 6)
    assert twice.timesteps.tolist() == [0, 20, 40, 60, 80, 100]
    torch.testing.assert_close(twice.alphas_bar, linear(101).alphas_bar[twice.timesteps])


@pytest.mark.parametrize("schedule", [linear(100), cosine(40), DIME])
def test_the_posterior_is_bayes_rule(schedule):
    before, beta = schedule.alphas_bar_before[1:], schedule.betas[1:]
    # Prior N(sqrt(before) x0, 1 - before) times likelihood N(x_i; sqrt(1 - beta) x, beta): precisions add.
    precision = 1 / (1 - before) + (1 - beta) / beta
    torch.testing.assert_close(schedule.posterior_variance[1:], 1 / precision, rtol=1e-9, atol=0)
    clean, noisy = before.sqrt() / (1 - before) / precision, (1 - beta).sqrt() / beta / precision
    torch.testing.assert_close(schedule.posterior_weight_clean[1:], clean, rtol=1e-9, atol=0)
    torch.testing.assert_close(schedule.posterior_weight_noisy[1:], noisy, rtol=1e-9, atol=0)
    # The first step back leads to the image itself.
    assert schedule.posterior_variance[0] == 0
    assert (schedule.posterior_weight_clean[0], schedule.posterior_weight_noisy[0]) == (pytest.approx(1), 0)
    assert (schedule.posterior_variance <= schedule.betas).all()


def test_the_first_log_variance_is_the_second():
    log = DIME.posterior_log_variance
    assert log[0] == log[1] and torch.isfinite(log).all()
    torch.testing.assert_close(log[1:].exp(), DIME.posterior_variance[1:])


def test_values_are_shaped_and_typed_for_images():
    like = torch.zeros(3, 2, 4, 4)
    signal = DIME.signal(torch.tensor([-1, 0, 60]), like)
    assert signal.shape == (3, 1, 1, 1) and signal.dtype == torch.float32
    np.testing.assert_allclose(signal.flatten().square(), [1, 0.9998, 0.391685], atol=1e-6)
    assert DIME.noise(-1, like) == 0 and DIME.signal(-1, like) == 1
    torch.testing.assert_close(DIME.signal(7, like) ** 2 + DIME.noise(7, like) ** 2, torch.tensor(1.0))
    assert DIME.take(DIME.betas, 59, like).item() == pytest.approx(0.035349, abs=5e-7)
    for wrong in (-2, 200):
        with pytest.raises(IndexError):
            DIME.signal(wrong, like)
    with pytest.raises(IndexError):
        DIME.take(DIME.betas, -1, like)


def test_a_schedule_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DIME.betas = DIME.betas[:3]
    moved = DIME.to("cpu")
    assert moved is not DIME and torch.equal(moved.alphas_bar, DIME.alphas_bar)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: linear(20), "at least 21 steps, not 20"),
        (lambda: respace(linear(50), 51), "cannot keep 51 of 50 steps; choose from 1 to 50"),
        (lambda: respace(linear(50), 0), "cannot keep 0 of 50 steps"),
        (lambda: build_schedule("square", 50), "square: no such schedule; choose one of linear, cosine"),
        (lambda: Schedule(torch.tensor([0.1, 1.0]), torch.arange(2)), "between 0 and 1"),
        (lambda: Schedule(torch.tensor([0.1, 0.2]), torch.arange(3)), "as many betas as timesteps"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_the_schedule_a_configuration_names():
    assert torch.equal(build_schedule("linear", 500, 200).betas, DIME.betas)
    assert len(build_schedule("cosine", 30)) == 30

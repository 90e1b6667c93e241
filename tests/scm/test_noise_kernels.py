"""Kernels: invariance of the prior, reversibility, and exact limits of the stickiness."""

import numpy as np
import pytest
from scipy import stats

from counterfactory.core.errors import UserError
from counterfactory.scm.noise_kernels import (
    KERNELS,
    Affine,
    Sticky,
    autoregressive,
    build_kernel,
    discrete,
    gumbel,
    original_gaussian,
    standard_normal,
    streams,
    symmetric_uniform,
)

COUNT = 4_000
LAWS = {
    "normal": (standard_normal, stats.norm()),
    "uniform": (symmetric_uniform, stats.uniform(-1, 2)),
    "gumbel": (gumbel, stats.gumbel_r()),
}


def pairs(kernel, prior, seed=0, count=COUNT, dimension=3):
    """Actual noises from the prior, and their counterfactual copies."""
    rng = np.random.default_rng(seed)
    noise = prior(rng, np.arange(count * dimension)).reshape(count, dimension)
    state = kernel.draw(dimension, streams(range(count), "test", seed))
    return noise, kernel.apply(noise, state)


@pytest.mark.parametrize("stickiness", [0.0, 0.4, 0.9, 1.0])
@pytest.mark.parametrize("law", LAWS)
def test_the_sticky_kernel_keeps_the_prior(law, stickiness):
    prior, expected = LAWS[law]
    noise, copy = pairs(Sticky(stickiness, prior), prior)
    assert stats.kstest(copy.ravel(), expected.cdf).pvalue > 1e-3
    if 0 < stickiness < 1:
        assert np.corrcoef(noise.ravel(), copy.ravel())[0, 1] == pytest.approx(stickiness, abs=0.04)


@pytest.mark.parametrize("stickiness", [0.0, 0.4, 0.9])
def test_the_autoregressive_kernel_keeps_the_prior_and_has_the_same_correlation(stickiness):
    noise, copy = pairs(autoregressive(stickiness), standard_normal)
    assert stats.kstest(copy.ravel(), stats.norm().cdf).pvalue > 1e-3
    assert np.corrcoef(noise.ravel(), copy.ravel())[0, 1] == pytest.approx(stickiness, abs=0.04)


@pytest.mark.parametrize("law", LAWS)
def test_time_has_no_direction(law):
    r"""Reversibility: :math:`E[f(z) g(z')] = E[g(z) f(z')]`, also for a law without symmetry."""
    prior, _ = LAWS[law]
    kernels = [Sticky(0.6, prior)] + ([autoregressive(0.6)] if law == "normal" else [])
    for kernel in kernels:
        noise, copy = pairs(kernel, prior, count=3 * COUNT)
        for f, g in ((np.square, np.tanh), (np.exp if law == "uniform" else np.cos, np.sign)):
            difference = (f(noise) * g(copy) - g(noise) * f(copy)).ravel()
            assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(difference.size)


@pytest.mark.parametrize("kernel", [Sticky(1.0), autoregressive(1.0)])
def test_at_one_every_noise_is_kept_bit_for_bit(kernel):
    noise, copy = pairs(kernel, standard_normal)
    assert (noise == copy).all()


@pytest.mark.parametrize("name", ["sticky", "autoregressive"])
def test_at_zero_the_copy_does_not_know_the_actual_noise(name):
    state = build_kernel(name, 0.0).draw(3, streams(range(5)))
    copies = [build_kernel(name, 0.0).apply(np.full((5, 3), value), state) for value in (-1.0, 7.0)]
    assert (copies[0] == copies[1]).all()


def test_a_noise_of_several_coordinates_is_kept_or_redrawn_as_one():
    blocks = [0, 0, 1, 1, 1]
    noise, copy = pairs(Sticky(0.5, standard_normal, blocks), standard_normal, dimension=5)
    kept = noise == copy
    assert (kept[:, 0] == kept[:, 1]).all()
    assert (kept[:, 2:] == kept[:, 2:3]).all()
    assert (kept[:, 0] == kept[:, 2]).mean() == pytest.approx(0.5, abs=0.04)
    with pytest.raises(UserError, match="blocks: has 5 entries for 3 coordinates"):
        Sticky(0.5, blocks=blocks).draw(3, streams([0]))


def test_a_draw_is_its_seeds_alone():
    for kernel in (Sticky(0.5), autoregressive(0.5)):
        many, one = kernel.draw(4, streams(range(9))), kernel.draw(4, streams([7]))
        assert all((m[7] == o[0]).all() for m, o in zip(many, one, strict=True))


def test_discrete_noise():
    prior = discrete([(0.2, 0.5, 0.3), (1.0, 0.0)])
    drawn = prior(np.random.default_rng(0), np.repeat([0, 1], 20_000))
    np.testing.assert_allclose(np.bincount(drawn[:20_000].astype(int)) / 20_000, [0.2, 0.5, 0.3], atol=0.015)
    assert (drawn[20_000:] == 0).all()


def test_the_originals_gaussian_sampler_leaves_the_prior():
    noise, copy = pairs(original_gaussian(), symmetric_uniform, count=3 * COUNT)
    assert copy.var() == pytest.approx(1 / 3 + 1 / 12, rel=0.03)
    assert (np.abs(copy) > 1).mean() == pytest.approx(0.114, abs=0.006)
    assert np.corrcoef(noise.ravel(), copy.ravel())[0, 1] == pytest.approx(0.894, abs=0.005)


def test_the_originals_uniform_sampler_leaves_the_prior():
    noise, copy = pairs(build_kernel("original_uniform", 0.5, "uniform"), symmetric_uniform)
    redrawn = copy[noise != copy]
    assert np.abs(redrawn).max() <= 0.5
    assert copy.var() == pytest.approx(0.5 / 3 + 0.5 / 12, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sticky", 1.5), "stickiness: 1.5"),
        (("autoregressive", -0.1), "stickiness: -0.1"),
        (("autoregressive", 0.5, "uniform"), "requires a normal prior"),
        (("gibbs", 0.5), "gibbs: no such kernel"),
        (("sticky", 0.5, "cauchy"), "cauchy: no such prior"),
    ],
)
def test_what_is_no_kernel_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        build_kernel(*arguments)


def test_every_kernel_is_built_by_its_name():
    assert {type(build_kernel(name, 0.5)) for name in KERNELS} == {Sticky, Affine}

"""Samplers against exact answers: the bacon network, a conjugate Gaussian, and evidence of one in 140,000."""

import math

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.esm.samplers import (
    Sampling,
    actual_noise,
    counterfactual_intervention,
    counterfactual_observation,
    markov_chain,
    rejection,
    tempered_smc,
)
from counterfactory.scm.noise_kernels import Sticky, autoregressive, discrete, standard_normal
from tests.esm.bacon import BACON, exact_answer, log_sigmoid, rare_evidence
from tests.esm.networks import evaluate

COUNT = 3_000


def bacon(noise, do=None):
    names = dict(zip(BACON.noises, noise.astype(int).T, strict=True))
    return evaluate(BACON, names, do)


def certain(event):
    with np.errstate(divide="ignore"):
        return np.log(event.astype(float))


@pytest.fixture(scope="module")
def actual():
    """Noises of the actual world, given that there is bacon, a smell and a neighbour."""
    prior = discrete(list(BACON.noises.values()))

    def all_there(noise):
        values = bacon(noise)
        return certain((values["B"] == 1) & (values["S"] == 1) & (values["N"] == 1))

    return prior, actual_noise(prior, 3, all_there, range(COUNT))


def test_evidence_about_the_actual_world(actual):
    _, drawn = actual
    assert drawn.reached.all()
    assert (drawn.noise[:, :2] == 1).all()
    assert drawn.noise[:, 2].mean() == pytest.approx(0.1, abs=0.02)
    assert math.exp(drawn.log_evidence) == pytest.approx(0.81, abs=0.02)


@pytest.mark.parametrize(("sampler", "count"), [(rejection, COUNT), (markov_chain, COUNT // 3)])
def test_counterfactual_observation_on_a_bayes_net(actual, sampler, count):
    prior, drawn = actual
    answer = sampler(
        Sticky(0.5, prior),
        drawn.noise[:count],
        lambda noise: certain(bacon(noise)["S"] == 0),
        range(count),
        250,
    )
    assert answer.reached.all()
    values = bacon(answer.noise)
    assert values["B"].mean() == pytest.approx(0.4872, abs=0.045)
    assert values["N"].mean() == pytest.approx(0.10, abs=0.03)
    if sampler is rejection:
        assert math.exp(answer.log_evidence) == pytest.approx(1 - 0.95**2, abs=0.01)


def test_counterfactual_intervention_on_a_bayes_net(actual):
    prior, drawn = actual
    noise = counterfactual_intervention(Sticky(0.5, prior), drawn.noise, range(COUNT))
    values = bacon(noise, {"S": 0})
    assert values["B"].mean() == pytest.approx(0.95, abs=0.015)
    assert values["N"].mean() == pytest.approx(0.10, abs=0.02)


@pytest.mark.parametrize("sampler", ["rejection", "chain", "smc"])
def test_a_conjugate_gaussian(sampler):
    """Of z' = s z + sqrt(1 - s^2) e seen as y = z' + N(0, t^2), posterior and evidence are Gaussian."""
    s, t, z, y = 0.6, 0.5, 1.5, -0.5
    top = 0.5 * math.log(2 * math.pi * t**2)  # brings the density's largest value to 1

    def log_likelihood(noise):
        return -0.5 * ((y - noise[:, 0]) / t) ** 2

    drawn = counterfactual_observation(
        autoregressive(s),
        np.array([z, 0.0]),
        log_likelihood,
        3,
        1_500,
        Sampling(sampler=sampler, particles=1_500, sweeps=5),
    )
    variance = 1 / (1 / (1 - s**2) + 1 / t**2)
    mean = variance * (s * z / (1 - s**2) + y / t**2)
    assert drawn.noise[:, 0].mean() == pytest.approx(mean, abs=0.05)
    assert drawn.noise[:, 0].std() == pytest.approx(math.sqrt(variance), abs=0.04)
    assert drawn.noise[:, 1].std() == pytest.approx(math.sqrt(1 - s**2), abs=0.06)
    total = 1 - s**2 + t**2
    log_evidence = -0.5 * (y - s * z) ** 2 / total - 0.5 * math.log(2 * math.pi * total) + top
    if sampler == "chain":
        assert math.isnan(drawn.log_evidence)
    else:
        assert drawn.log_evidence == pytest.approx(log_evidence, abs=0.12)


def test_rare_evidence_by_enumeration():
    """The 2^20 masks; the values are those of an independent computation."""
    evidence, mean, kept = exact_answer(*rare_evidence(), 0.7)
    assert evidence == pytest.approx(7.248e-6, rel=2e-3)
    assert mean == pytest.approx(2.8690, abs=1e-3)
    assert kept == pytest.approx(0.5385, abs=3e-4)


@pytest.mark.slow
def test_rare_evidence_by_smc():
    w, z = rare_evidence()
    drawn = tempered_smc(
        Sticky(0.7), z, lambda noise: log_sigmoid(8.0 * (noise @ w - 3.0)), 0, particles=2_000
    )
    assert math.exp(drawn.log_evidence) == pytest.approx(7.248e-6, rel=0.4)
    assert (drawn.noise @ w).mean() == pytest.approx(2.869, abs=0.05)
    assert drawn.kept.mean() == pytest.approx(0.5385, abs=0.015)
    assert drawn.calls < 300_000  # rejection requires a hundred times as many


def test_rare_evidence_by_a_chain():
    w, z = rare_evidence()

    def log_likelihood(noise):
        return log_sigmoid(8.0 * (noise @ w - 3.0))

    drawn = markov_chain(Sticky(0.7), z, log_likelihood, range(150), sweeps=800)
    assert (drawn.noise @ w).mean() == pytest.approx(2.869, abs=0.08)
    assert drawn.kept.mean() == pytest.approx(0.5385, abs=0.03)
    assert 0.3 < drawn.acceptance < 0.8


def test_a_draw_does_not_depend_on_the_others():
    w, z = rare_evidence()

    def log_likelihood(noise):
        return log_sigmoid(3.0 * ((noise * w).sum(1) - 1.0))

    for sampler in (rejection, markov_chain):
        for kernel in (Sticky(0.7), autoregressive(0.7)):
            many = sampler(kernel, z, log_likelihood, [3, 1, 4, 1], 30)
            one = sampler(kernel, z, log_likelihood, [4], 30)
            assert (many.noise[2] == one.noise[0]).all()
            assert (many.noise[1] == many.noise[3]).all()
            assert not (many.noise[0] == many.noise[1]).all()


def test_the_kernel_itself_where_the_evidence_says_nothing():
    z = np.linspace(-2.0, 2.0, 6)
    plain = counterfactual_intervention(Sticky(0.5), z, range(2_000))
    for sampler in ("rejection", "chain", "smc"):
        drawn = counterfactual_observation(
            Sticky(0.5), z, lambda noise: np.zeros(len(noise)), 0, 2_000, Sampling(sampler=sampler, sweeps=2)
        )
        np.testing.assert_allclose(drawn.noise.mean(0), plain.mean(0), atol=0.12)
        assert sampler == "chain" or drawn.log_evidence == 0.0


def test_auto_takes_rejection_for_the_common_and_smc_for_the_rare():
    w, z = rare_evidence()
    common = counterfactual_observation(Sticky(0.7), z, lambda noise: log_sigmoid(noise @ w), 0, 10)
    rare = counterfactual_observation(
        Sticky(0.7),
        z,
        lambda noise: log_sigmoid(8.0 * (noise @ w - 3.0)),
        0,
        10,
        Sampling(particles=50, sweeps=2),
    )
    assert common.noise.shape == rare.noise.shape == (10, 20)
    assert 200 < common.calls < 300
    assert rare.calls > 400
    assert math.exp(common.log_evidence) == pytest.approx(0.41, abs=0.1)
    assert rare.log_evidence < -5


def test_what_cannot_happen_is_reported():
    def never(noise):
        return np.full(len(noise), -np.inf)

    for sampler in ("rejection", "chain", "smc"):
        drawn = counterfactual_observation(
            Sticky(0.7), np.zeros(2), never, 0, 5, Sampling(sampler=sampler, particles=5, sweeps=1)
        )
        assert not drawn.reached.any()
        assert sampler == "chain" or drawn.log_evidence == -math.inf


def test_evidence_that_is_certain_or_not_is_sampled_by_smc():
    """A likelihood of 0 and 1: the first quarter turn of two fair coins."""
    drawn = tempered_smc(
        Sticky(0.0), np.zeros(2), lambda noise: certain((noise > 0).all(1)), 0, 2_000, sweeps=5
    )
    assert (drawn.noise > 0).all()
    assert math.exp(drawn.log_evidence) == pytest.approx(0.25, abs=0.03)
    assert drawn.noise.mean() == pytest.approx(math.sqrt(2 / math.pi), abs=0.04)


def test_mistakes_are_refused():
    with pytest.raises(UserError, match="above 0"):
        rejection(Sticky(0.5), np.zeros(2), lambda noise: noise[:, 0] + 10.0, range(4))
    with pytest.raises(UserError, match="gibbs: no such sampler"):
        counterfactual_observation(
            Sticky(0.5), np.zeros(2), lambda noise: noise[:, 0], 0, 4, Sampling(sampler="gibbs")
        )
    assert standard_normal(np.random.default_rng(0), np.arange(3)).shape == (3,)

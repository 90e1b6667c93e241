"""The generating processes: abduction inverts them, densities integrate to one."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from counterfactory.core.errors import UserError
from counterfactory.data.processes import INTENSITY, SLANT, WIDTH
from tests.data.samples import sample

GAMMA = stats.gamma(10, loc=0.5, scale=1 / 5)
PROCESSES = pytest.mark.parametrize("process", [INTENSITY, SLANT, WIDTH], ids=lambda process: process.effect)


def test_thickness_is_the_gamma_quantile_of_its_noise():
    noise = np.linspace(-6, 6, 25)
    for process, shift in ((INTENSITY, 0.0), (SLANT, 0.5), (WIDTH, 0.5)):
        found = process.thickness(noise) + shift
        np.testing.assert_allclose(found[:13], GAMMA.ppf(stats.norm.cdf(noise[:13])), rtol=1e-12)
        np.testing.assert_allclose(found[12:], GAMMA.isf(stats.norm.sf(noise[12:])), rtol=1e-12)


def test_effects_by_hand():
    assert INTENSITY.value(2.5, 0.0) == 64 + 191 / 2
    assert SLANT.value(3.0, 0.5) == 20 * 0.5 + 0.5
    assert WIDTH.value(2.5, 0.0) == 10 + 15 / 2
    assert WIDTH.value(2.0, 0.5) == 10 + 15 / 2  # 2 (2 - 2.5) + 2 * 0.5 = 0


@PROCESSES
def test_abduction_inverts_the_process(process):
    noise = np.random.default_rng(0).standard_normal((2, 2000))
    noise[:, :2] = [[-7.0, 7.0], [3.0, -3.0]]
    thickness = process.thickness(noise[0])
    found = process.abduct(thickness, process.value(thickness, noise[1]))
    assert list(found) == ["noise_thickness", f"noise_{process.effect}"]
    np.testing.assert_allclose(found["noise_thickness"], noise[0], atol=1e-9)
    np.testing.assert_allclose(found[f"noise_{process.effect}"], noise[1], atol=1e-6)


def test_abduction_refuses_values_that_the_process_does_not_generate():
    with pytest.raises(
        UserError, match=r"thickness: the process generates only values above 0.5 px; found 0.4"
    ):
        INTENSITY.abduct(np.array([0.4]), np.array([100.0]))
    with pytest.raises(
        UserError, match="intensity: the process generates 64 to 255 grey levels; found 60 to 100"
    ):
        INTENSITY.abduct(np.array([2.0, 2.0]), np.array([100.0, 60.0]))
    with pytest.raises(UserError, match="width: the process generates 10 to 25 px; found 9 to 9"):
        WIDTH.abduct(np.array([2.0]), np.array([9.0]))


@PROCESSES
def test_sampled_parents_have_their_distribution(process):
    table = process.sample(20_000, 3)
    gamma = stats.gamma(10, loc=process.offset, scale=1 / 5)
    assert stats.kstest(table["thickness"], gamma.cdf).pvalue > 0.01
    noises = ("noise_thickness", f"noise_{process.effect}")
    for name in noises:
        assert stats.kstest(table[name], "norm").pvalue > 0.01
    assert abs(table[noises[0]].corr(table[noises[1]])) < 0.03
    np.testing.assert_allclose(process.value(table["thickness"], table[noises[1]]), table[process.effect])


def test_thickness_and_intensity_have_the_known_correlation():
    table = INTENSITY.sample(20_000, 3)
    assert table["thickness"].corr(table["intensity"]) == pytest.approx(0.908, abs=0.01)


def test_a_longer_sample_begins_with_the_shorter():
    pd.testing.assert_frame_equal(INTENSITY.sample(100, 0).iloc[:10], INTENSITY.sample(10, 0))
    assert not np.array_equal(INTENSITY.sample(10, 0), INTENSITY.sample(10, 1))
    assert not np.array_equal(INTENSITY.sample(10, 0), INTENSITY.sample(10, 0, "other"))


@pytest.mark.parametrize(
    ("process", "low", "high"),
    [(INTENSITY, 64, 255), (SLANT, -80, 80), (WIDTH, 10, 25)],
    ids=lambda x: str(x)[:20],
)
def test_densities_integrate_to_one(process, low, high):
    def density(thickness, value):
        return np.exp(process.log_density([thickness], [value]))

    total, _ = integrate.quad(lambda t: density(t, (low + high) / 2)["thickness"][0], process.offset, 20)
    assert total == pytest.approx(1, abs=1e-6)
    for t in (1.5, 2.5, 3.5):
        peak = float(process.value(t, 0.0))
        total, _ = integrate.quad(
            lambda value, t=t: density(t, value)[process.effect][0],
            low + 1e-9,
            high - 1e-9,
            limit=200,
            points=[peak],
        )
        assert total == pytest.approx(1, abs=1e-6)
    gamma = stats.gamma(10, loc=process.offset, scale=1 / 5)
    found = process.log_density([1.0, 4.0], [20.0, 20.0])["thickness"]
    np.testing.assert_allclose(found, gamma.logpdf([1.0, 4.0]))


def test_densities_outside_of_the_support_are_zero():
    table = INTENSITY.log_density([0.4, 2.0, 2.0], [100.0, 64.0, 300.0], [3, 10, 0])
    assert np.isneginf([table["thickness"][0], *table["intensity"][1:], table["digit"][1]]).all()
    assert table["digit"][0] == -np.log(10)


def test_published_parents_have_the_known_density():
    # On axes scaled to [-1, 1] over the published training range.
    table = pd.read_csv(sample("t10k-morpho.csv"))
    mean = INTENSITY.log_density(table["thickness"], table["intensity"]).mean()
    assert mean["thickness"] + np.log((6.255515 - 0.87598526) / 2) == pytest.approx(0.0627, abs=1e-4)
    assert mean["intensity"] + np.log((254.90317 - 66.601204) / 2) == pytest.approx(0.3494, abs=1e-4)


def attributes_of(process):
    return process.sample(50, 0).assign(digit=np.arange(50) % 10)


@PROCESSES
def test_a_null_intervention_changes_nothing(process):
    attributes = attributes_of(process)
    for do in ({}, {name: np.full(50, np.nan) for name in process.names}):
        after = process.counterfactual_parents(attributes, do)
        for name in process.names:
            np.testing.assert_array_equal(after[name], attributes[name])


@PROCESSES
def test_an_intervention_on_thickness_keeps_the_noise_of_the_effect(process):
    attributes, effect = attributes_of(process), process.effect
    target = np.where(np.arange(50) % 2, 3.0, np.nan)
    after = process.counterfactual_parents(attributes, {"thickness": target})
    expected = process.value(3.0, attributes[f"noise_{effect}"])
    np.testing.assert_allclose(
        after[effect], np.where(np.isnan(target), attributes[effect], expected), rtol=1e-10
    )
    np.testing.assert_array_equal(after["digit"], attributes["digit"])
    back = process.counterfactual_parents(after, {"thickness": attributes["thickness"].to_numpy()})
    np.testing.assert_allclose(back[effect], attributes[effect], rtol=1e-10)


def test_interventions_on_intensity_and_digit_change_no_other_variable():
    attributes = attributes_of(INTENSITY)
    after = INTENSITY.counterfactual_parents(
        attributes, {"intensity": np.full(50, 90.0), "digit": np.full(50, 7)}
    )
    assert (after["intensity"] == 90).all() and (after["digit"] == 7).all()
    np.testing.assert_array_equal(after["thickness"], attributes["thickness"])
    both = INTENSITY.counterfactual_parents(
        attributes, {"intensity": np.full(50, 90.0), "thickness": np.full(50, 2.0)}
    )
    assert (both["intensity"] == 90).all() and (both["thickness"] == 2).all()


def test_unknown_variables_are_named():
    with pytest.raises(UserError, match="do: slant: not a variable; choose from thickness, intensity, digit"):
        INTENSITY.counterfactual_parents(attributes_of(INTENSITY), {"slant": np.zeros(50)})

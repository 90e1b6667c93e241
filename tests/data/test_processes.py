"""The generating processes: abduction inverts them, densities integrate to one, images follow their targets."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from counterfactory.core.errors import UserError
from counterfactory.data.morphology import measure, render
from counterfactory.data.processes import (
    PROCESSES,
    abduct,
    counterfactual_parents,
    generate,
    intensity_of,
    log_density,
    sample_parents,
    thickness_of,
)
from tests.data.samples import sample, strokes

GAMMA = stats.gamma(10, loc=0.5, scale=1 / 5)


def test_thickness_is_the_gamma_quantile_of_its_noise():
    noise = np.linspace(-6, 6, 25)
    np.testing.assert_allclose(thickness_of(noise[:13]), GAMMA.ppf(stats.norm.cdf(noise[:13])), rtol=1e-12)
    np.testing.assert_allclose(thickness_of(noise[12:]), GAMMA.isf(stats.norm.sf(noise[12:])), rtol=1e-12)
    assert intensity_of(2.5, 0.0) == 64 + 191 / 2


def test_abduction_inverts_the_process():
    noise = np.random.default_rng(0).standard_normal((2, 2000))
    noise[:, :2] = [[-7.0, 7.0], [3.0, -3.0]]
    thickness = thickness_of(noise[0])
    found = abduct(thickness, intensity_of(thickness, noise[1]))
    np.testing.assert_allclose(found["noise_thickness"], noise[0], atol=1e-9)
    np.testing.assert_allclose(found["noise_intensity"], noise[1], atol=1e-6)


def test_abduction_refuses_what_the_process_never_gives():
    with pytest.raises(UserError, match="thickness: the process gives none of 0.5 px or less; found 0.4"):
        abduct(np.array([0.4]), np.array([100.0]))
    with pytest.raises(
        UserError, match="intensity: the process gives 64 to 255 grey levels; found 60 to 100"
    ):
        abduct(np.array([2.0, 2.0]), np.array([100.0, 60.0]))


def test_sampled_parents_have_their_distribution():
    table = sample_parents(20_000, 3)
    assert stats.kstest(table["thickness"], GAMMA.cdf).pvalue > 0.01
    for name in ("noise_thickness", "noise_intensity"):
        assert stats.kstest(table[name], "norm").pvalue > 0.01
    assert abs(table["noise_thickness"].corr(table["noise_intensity"])) < 0.03
    assert table["thickness"].corr(table["intensity"]) == pytest.approx(0.908, abs=0.01)
    np.testing.assert_allclose(intensity_of(table["thickness"], table["noise_intensity"]), table["intensity"])


def test_a_longer_draw_begins_with_the_shorter():
    pd.testing.assert_frame_equal(sample_parents(100, 0).iloc[:10], sample_parents(10, 0))
    assert not np.array_equal(sample_parents(10, 0), sample_parents(10, 1))
    assert not np.array_equal(sample_parents(10, 0), sample_parents(10, 0, "other"))


def test_densities_integrate_to_one():
    total, _ = integrate.quad(lambda t: np.exp(log_density([t], [100.0])["thickness"][0]), 0.5, 20)
    assert total == pytest.approx(1, abs=1e-6)
    for t in (1.5, 2.5, 3.5):
        total, _ = integrate.quad(
            lambda i, t=t: np.exp(log_density([t], [i])["intensity"][0]), 64 + 1e-9, 255 - 1e-9, limit=200
        )
        assert total == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(log_density([1.0, 4.0], [99.0, 99.0])["thickness"], GAMMA.logpdf([1.0, 4.0]))


def test_densities_outside_of_the_support_are_zero():
    table = log_density([0.4, 2.0, 2.0], [100.0, 64.0, 300.0], [3, 10, 0])
    assert np.isneginf([table["thickness"][0], *table["intensity"][1:], table["digit"][1]]).all()
    assert table["digit"][0] == -np.log(10)


def test_published_parents_have_the_known_density():
    # On axes scaled to [-1, 1] over the published training range.
    table = pd.read_csv(sample("t10k-morpho.csv"))
    mean = log_density(table["thickness"], table["intensity"]).mean()
    assert mean["thickness"] + np.log((6.255515 - 0.87598526) / 2) == pytest.approx(0.0627, abs=1e-4)
    assert mean["intensity"] + np.log((254.90317 - 66.601204) / 2) == pytest.approx(0.3494, abs=1e-4)


@pytest.fixture
def attributes():
    return sample_parents(50, 0).assign(digit=np.arange(50) % 10)


def test_a_null_intervention_changes_nothing(attributes):
    for do in ({}, {name: np.full(50, np.nan) for name in ("thickness", "intensity", "digit")}):
        after = counterfactual_parents(attributes, do)
        for name in ("thickness", "intensity", "digit"):
            np.testing.assert_array_equal(after[name], attributes[name])


def test_thickness_moves_intensity_by_the_kept_noise(attributes):
    target = np.where(np.arange(50) % 2, 3.0, np.nan)
    after = counterfactual_parents(attributes, {"thickness": target})
    expected = np.where(
        np.isnan(target), attributes["intensity"], intensity_of(3.0, attributes["noise_intensity"])
    )
    np.testing.assert_allclose(after["intensity"], expected, rtol=1e-10)
    np.testing.assert_array_equal(after["digit"], attributes["digit"])
    back = counterfactual_parents(after, {"thickness": attributes["thickness"].to_numpy()})
    np.testing.assert_allclose(back["intensity"], attributes["intensity"], rtol=1e-10)


def test_intensity_and_digit_move_nothing_else(attributes):
    after = counterfactual_parents(attributes, {"intensity": np.full(50, 90.0), "digit": np.full(50, 7)})
    assert (after["intensity"] == 90).all() and (after["digit"] == 7).all()
    np.testing.assert_array_equal(after["thickness"], attributes["thickness"])
    both = counterfactual_parents(attributes, {"intensity": np.full(50, 90.0), "thickness": np.full(50, 2.0)})
    assert (both["intensity"] == 90).all() and (both["thickness"] == 2).all()


def test_unknown_variables_are_named(attributes):
    with pytest.raises(
        UserError, match="do: slant is not a variable; choose from thickness, intensity, digit"
    ):
        counterfactual_parents(attributes, {"slant": np.zeros(50)})


def test_images_are_generated_from_their_tables():
    digits = strokes(30, seed=4)
    images, table = generate("thickness_intensity", digits, 0)
    np.testing.assert_array_equal(images, render(digits, table["thickness"], table["intensity"]))
    images, table = generate("thickness_slant", digits, 0, threads=2)
    assert np.abs(measure(images)["slant"] - np.deg2rad(table["slant"])).median() < 0.03
    np.testing.assert_allclose(table["slant"], 20 * (table["thickness"] - 2.5) + table["noise_slant"])
    images, table = generate("thickness_width", digits, 0)
    assert measure(images)["width"].corr(table["width"]) > 0.7
    assert table["width"].between(10, 25).all()


def test_unknown_processes_are_named():
    with pytest.raises(UserError, match="thickness_colour: not a generating process; choose one of"):
        generate("thickness_colour", strokes(1), 0)
    assert PROCESSES[0] == "thickness_intensity"

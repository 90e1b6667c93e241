"""The causal circuit: its mechanisms, noises that are kept, true counterfactuals, and measurements of the pixels."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import beta, kstest, norm, uniform

from counterfactory.core.errors import UserError
from counterfactory.data import causal_circuit, drawn
from counterfactory.data.causal_circuit import (
    DATASET,
    abduct,
    counterfactual_parents,
    log_density,
    means,
    measure,
    render,
    render_counterfactual,
    sample_parents,
    synthesise,
)
from counterfactory.data.dataset import SPLITS, load_dataset, load_split
from counterfactory.data.graph import causes, descendants
from counterfactory.data.worlds import undetermined, world

NAMES = list(DATASET.names)
LIGHTS = ["blue", "green", "red"]


def settings(**changes):
    sizes = {"train": 150, "valid": 20, "judges": 1000, "test": 30}
    return SimpleNamespace(**{"seed": 3, "image_size": 32, **sizes, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("circuit")
    synthesise(settings(), False, None, folder)
    return folder


def simulate(noises, do):
    """An independent implementation of the process with scipy.stats, from noises; `do` replaces mechanisms."""
    values = {"arm": do.get("arm", norm.cdf(noises["noise_arm"]))}
    for name in LIGHTS:
        mean = means(values, name)
        own = beta.ppf(norm.cdf(noises[f"noise_{name}"]), 8 * mean, 8 * (1 - mean))
        values[name] = do.get(name, own)
    return values


def test_the_graph_is_the_published_one():
    assert NAMES == ["arm", "blue", "green", "red"]
    assert causes(DATASET, "red") == ("arm", "blue", "green")
    assert causes(DATASET, "blue") == causes(DATASET, "green") == ("arm",)


def test_means_worked_out_by_hand():
    # Over its own button a light has the mean 0.8; far from it 0.2.
    np.testing.assert_allclose(means({"arm": [1 / 6, 1.0]}, "blue"), [0.8, 0.2], atol=1e-4)
    np.testing.assert_allclose(means({"arm": [0.5 + 0.12]}, "green"), 0.2 + 0.6 * np.exp(-0.5))
    # Each of the other lights alone also switches red on, in proportion to its brightness.
    dark = {
        "arm": np.zeros(4),
        "blue": np.array([0.0, 1.0, 0.0, 0.5]),
        "green": np.array([0.0, 0.0, 1.0, 0.5]),
    }
    np.testing.assert_allclose(means(dark, "red"), [0.2, 0.8, 0.8, 0.65], atol=1e-9)


def test_sampled_values_have_the_laws_of_the_process():
    table = sample_parents(20_000, 1)
    for name in NAMES:
        noise = table[f"noise_{name}"]
        assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    noises = table[[f"noise_{name}" for name in NAMES]]
    assert np.abs(noises.corr().to_numpy() - np.eye(4)).max() < 0.03
    assert kstest(table["arm"], uniform.cdf).pvalue > 0.01
    for name in LIGHTS:
        mean = means(table, name)
        assert kstest(beta.cdf(table[name], 8 * mean, 8 * (1 - mean)), uniform.cdf).pvalue > 0.01
        # Beta(8 m, 8 (1 - m)) has the variance m (1 - m) / 9.
        spread = (table[name] - mean) / np.sqrt(mean * (1 - mean) / 9)
        assert abs(spread.mean()) < 0.03 and abs(spread.std() - 1) < 0.03
    pd.testing.assert_frame_equal(sample_parents(7, 1), table.head(7))
    assert not np.array_equal(sample_parents(7, 1, "other")["arm"], table["arm"].head(7))


def test_noises_give_the_values_back():
    table = sample_parents(2_000, 0)
    found = abduct(table)
    for name in NAMES:
        np.testing.assert_allclose(found[f"noise_{name}"], table[f"noise_{name}"], atol=1e-7)
    with pytest.raises(UserError, match="green: must be between 0 and 1; found"):
        abduct(table.assign(green=1.5))


def test_far_tails_are_accurate():
    noise = np.array([-7.0, -3.0, 3.0, 7.0])
    mean = np.full(4, 0.5)
    values = causal_circuit._quantile(noise, mean)
    np.testing.assert_allclose(causal_circuit._noise(values, mean), noise, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_counterfactual_parents_equal_the_process_run_again_with_the_kept_noises(name):
    table = sample_parents(300, 2)
    value = table[name].to_numpy()[::-1].copy()
    after = counterfactual_parents(table, {name: value})
    again = simulate(table, {name: value})
    moved = descendants(DATASET, name)
    np.testing.assert_array_equal(after[name], value)
    for other in NAMES:
        np.testing.assert_allclose(after[other], again[other], atol=1e-8)
        if other != name and other not in moved:
            np.testing.assert_array_equal(after[other], table[other])
        if other in moved:
            assert np.abs(after[other] - table[other]).mean() > 0.02


def test_interventions_row_by_row_and_several_at_once():
    table = sample_parents(3, 2)
    nothing = np.full(3, np.nan)
    for do in ({}, {"arm": nothing, "red": nothing}):
        after = counterfactual_parents(table, do)
        for name in NAMES:
            np.testing.assert_array_equal(after[name], table[name])
    do = {"arm": np.array([0.5, np.nan, 0.2]), "blue": np.array([np.nan, 0.9, 0.1])}
    after = counterfactual_parents(table, do)
    for row, chosen in enumerate([{"arm": 0.5}, {"blue": 0.9}, {"arm": 0.2, "blue": 0.1}]):
        again = simulate(table.iloc[[row]], {key: np.array([value]) for key, value in chosen.items()})
        for name in NAMES:
            np.testing.assert_allclose(after[name][row], again[name][0], atol=1e-8)
    assert after["green"][1] == table["green"][1]
    with pytest.raises(UserError, match="do: lamp: not a variable; choose from arm, blue, green, red"):
        counterfactual_parents(table, {"lamp": nothing})


def test_setting_to_the_factual_value_changes_nothing_but_rounding():
    table = sample_parents(500, 4)
    for name in NAMES:
        after = counterfactual_parents(table, {name: table[name].to_numpy()})
        for other in NAMES:
            np.testing.assert_allclose(after[other], table[other], rtol=1e-9)


def test_log_density_is_a_density():
    one = {"arm": 0.3, "blue": 0.6, "green": 0.4, "red": 0.7}

    def density(name, value):
        values = {key: np.array([x]) for key, x in {**one, name: value}.items()}
        return float(np.exp(log_density(**values)[name][0]))

    for name in NAMES:
        mass, _ = quad(lambda value, name=name: density(name, value), 0, 1, limit=200)
        assert mass == pytest.approx(1.0, abs=1e-6)
    table = sample_parents(50, 6)
    mean = means(table, "red")
    expected = beta.logpdf(table["red"], 8 * mean, 8 * (1 - mean))
    np.testing.assert_allclose(log_density(**table[NAMES])["red"], expected, atol=1e-9)
    assert np.isneginf(log_density([1.1], [-0.1], [2.0], [-1.0])).all(axis=None)


@pytest.mark.parametrize("size", [32, 64])
def test_the_pixels_show_the_variables(size):
    table = sample_parents(400, 4)
    errors = (measure(render(table, size)) - table[NAMES]).abs()
    # A light is quantized in 217 levels; the arm is 8.4 units long and turns by 108 degrees, 15.8 units on the arc.
    assert errors[LIGHTS].max().max() <= 0.5 / (255 * 0.85) + 1e-9
    assert errors["arm"].max() < 0.004 and errors["arm"].mean() < 0.0015


def test_extreme_values_are_inside_the_view_and_measured():
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * 4)).reshape(4, -1)
    table = pd.DataFrame(dict(zip(NAMES, corners, strict=True)))
    found = measure(render(table, 32))
    np.testing.assert_allclose(found, table[NAMES], atol=0.01)


def test_each_variable_is_drawn_from_itself_alone():
    table = sample_parents(1, 5)
    before = render(table, 64)[0].astype(int)
    for name, channel in {"red": 0, "green": 1, "blue": 2}.items():
        changed = render(table.assign(**{name: 1.0 - table[name]}), 64)[0] != before
        assert changed[channel].any() and not np.delete(changed, channel, 0).any()
    moved = render(table.assign(arm=1.0 - table["arm"]), 64)
    found = measure(moved)
    np.testing.assert_allclose(found[LIGHTS], table[LIGHTS], atol=0.003)


def test_splits_and_their_images(data):
    assert load_dataset(data) == DATASET
    for split in SPLITS:
        part = load_split(data, split)
        np.testing.assert_array_equal(render(part.attributes, 32), part.images)
    judges, train = load_split(data, "judges").attributes, load_split(data, "train").attributes
    assert np.abs(np.corrcoef(judges[NAMES].T) - np.eye(4)).max() < 4 / np.sqrt(1000)
    assert np.corrcoef(train["arm"], train["blue"])[0, 1] < -0.5
    again = simulate(judges, {})
    for name in LIGHTS:  # the noises are those that the permuted values require
        np.testing.assert_allclose(judges[name], again[name], atol=1e-6)


def test_confounded_judges_have_the_same_marginals(data, tmp_path):
    synthesise(settings(train=5, valid=5, test=5), True, None, tmp_path)
    confounded, independent = (load_split(folder, "judges").attributes for folder in (tmp_path, data))
    for name in NAMES:
        assert sorted(confounded[name]) == sorted(independent[name])
    assert np.corrcoef(confounded["arm"], confounded["blue"])[0, 1] < -0.5


def test_rows_do_not_depend_on_chunks_threads_or_sizes(data, tmp_path, monkeypatch):
    monkeypatch.setattr(drawn, "CHUNK", 7)
    synthesise(settings(train=60, test=30), False, None, tmp_path, threads=3)
    few, many = load_split(tmp_path, "train"), load_split(data, "train")
    np.testing.assert_array_equal(few.images, many.images[:60])
    pd.testing.assert_frame_equal(few.attributes, many.attributes.head(60))
    pd.testing.assert_frame_equal(measure(few.images), measure(many.images).head(60))


def test_true_images_are_those_of_the_parents(data):
    split = load_split(data, "test")
    factual = counterfactual_parents(split.attributes, {})
    images, known = render_counterfactual(data, split.attributes, factual)
    assert known.all()
    np.testing.assert_array_equal(images, split.images)
    after = counterfactual_parents(split.attributes, {"arm": np.full(30, 0.5)})
    images, known = render_counterfactual(data, split.attributes, after)
    assert known.all()
    np.testing.assert_allclose(measure(images), pd.DataFrame(after)[NAMES], atol=0.004)
    assert undetermined(DATASET) == () and world("causal_circuit") is causal_circuit


def test_an_image_without_an_arm():
    shown = measure(np.zeros((2, 3, 32, 32), np.uint8))
    assert shown["arm"].isna().all() and (shown[LIGHTS] == 0).all(axis=None)
    assert list(measure(np.zeros((0, 3, 32, 32), np.uint8))) == NAMES

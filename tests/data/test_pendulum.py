"""The pendulum world: geometry computed by hand, noises, true counterfactuals, and measurements of the pixels."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

from counterfactory.core.errors import UserError
from counterfactory.data import pendulum
from counterfactory.data.dataset import load_dataset, load_split
from counterfactory.data.graph import descendants
from counterfactory.data.pendulum import (
    DATASET,
    abduct,
    counterfactual_parents,
    log_density,
    measure,
    render,
    render_counterfactual,
    sample_parents,
    shadow_of,
    synthesise,
)

NAMES = list(DATASET.names)


def settings(**changes):
    asked = {"seed": 3, "train": 150, "valid": 20, "judges": 400, "test": 30, "image_size": 32}
    return SimpleNamespace(**{**asked, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pendulum")
    synthesise(settings(), False, None, folder)
    return folder


def test_the_shadow_worked_out_by_hand():
    # Light straight above (100 gon): the rays are vertical, so the shadow reaches from the pivot's foot to the tip's.
    length, position = shadow_of([0.0, 100.0 / 3.0], [100.0, 100.0])
    # 100/3 gon are 30 degrees: the tip is 9.5 / 2 to the right.
    np.testing.assert_allclose(length, [3.0, 4.75])  # a vertical pendulum would have none; the minimum is 3
    np.testing.assert_allclose(position, [10.0, 10.0 + 4.75 / 2])
    # Light at 45 degrees (50 gon), pendulum vertical: the ray through P = (10, 10.5) falls 11 to the left of 10, that
    # through the tip (10, 1) falls 1.5 to the left.
    length, position = shadow_of([0.0], [50.0])
    np.testing.assert_allclose([length[0], position[0]], [9.5, 10.0 - (11.0 + 1.5) / 2])


def test_a_light_from_below_is_refused():
    for light in (0.0, 200.0, -20.0):
        with pytest.raises(UserError, match="light: must be between 0 and 200 gon"):
            shadow_of([0.0], [light])


def test_noises_give_the_values_back():
    table = sample_parents(500, 0)
    found = abduct(table)
    for name in NAMES:
        np.testing.assert_allclose(found[f"noise_{name}"], table[f"noise_{name}"], atol=1e-6)
    assert table["angle"].between(-40, 44).all() and table["light"].between(60, 148).all()
    pd.testing.assert_frame_equal(sample_parents(7, 0), table.head(7))
    assert not np.array_equal(sample_parents(7, 0, "other")["angle"], table["angle"].head(7))
    with pytest.raises(UserError, match="shadow_length: must be above 0"):
        abduct(table.assign(shadow_length=0.0))


def test_noise_is_standard_normal():
    table = sample_parents(20_000, 1)
    for name in NAMES:
        noise = table[f"noise_{name}"]
        assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    assert abs(table[[f"noise_{name}" for name in NAMES]].corr().to_numpy() - np.eye(4)).max() < 0.03


def test_counterfactual_parents_keep_the_noise_and_follow_the_graph():
    table = sample_parents(200, 2)
    for name in NAMES:
        value = table[name].to_numpy()[::-1].copy()
        after = counterfactual_parents(table, {name: value})
        np.testing.assert_array_equal(after[name], value)
        moved = descendants(DATASET, name)
        for other in set(NAMES) - {name} - moved:
            np.testing.assert_array_equal(after[other], table[other])
        noises = abduct(after)
        for other in moved:
            assert not np.array_equal(after[other], table[other])
            np.testing.assert_allclose(noises[f"noise_{other}"], table[f"noise_{other}"], atol=1e-9)


def test_interventions_row_by_row_and_several_at_once():
    table = sample_parents(3, 2)
    nothing = np.full(3, np.nan)
    after = counterfactual_parents(table, {"angle": nothing, "light": nothing})
    for name in NAMES:
        np.testing.assert_array_equal(after[name], table[name])
    do = {"light": np.array([100.0, np.nan, 80.0]), "shadow_length": np.array([np.nan, 5.0, 7.0])}
    after = counterfactual_parents(table, do)
    length, _ = shadow_of(table["angle"][:1], [100.0])
    np.testing.assert_allclose(
        after["shadow_length"], [length[0] * np.exp(0.1 * table["noise_shadow_length"][0]), 5.0, 7.0]
    )
    assert after["shadow_position"][1] == table["shadow_position"][1]
    with pytest.raises(UserError, match="do: sun: not a variable"):
        counterfactual_parents(table, {"sun": nothing})


def test_log_density_is_a_density():
    one = {"angle": 20.0, "light": 75.0, "shadow_length": 6.0, "shadow_position": 8.0}

    def density(name, value):
        given = {**one, name: value}
        return float(np.exp(log_density(**{key: np.array([v]) for key, v in given.items()})[name][0]))

    for name, low, high in [
        ("angle", -50, 50),
        ("light", 50, 160),
        ("shadow_length", 0, 40),
        ("shadow_position", -20, 40),
    ]:
        mass, _ = quad(
            lambda value, name=name: density(name, value), low, high, limit=400, points=[-40, 44, 60, 148]
        )
        assert mass == pytest.approx(1.0, abs=2e-3)
    assert np.isneginf(log_density([50.0], [100.0], [-1.0], [5.0])[["angle", "shadow_length"]]).all(axis=None)


@pytest.mark.parametrize("size", [32, 48])
def test_the_pixels_show_the_variables(size):
    table = sample_parents(200, 4)
    found = measure(render(table, size))
    pixel = 26 / size
    errors = (found - table[NAMES]).abs()
    # The bob is 8 units from the pivot: one unit there is 8 gon.
    assert errors["angle"].mean() < 0.2 * pixel * 8 and errors["light"].mean() < 0.05 * pixel * 10
    assert errors["shadow_length"].mean() < 0.02 and errors["shadow_position"].mean() < 0.02


def test_the_picture_is_drawn_from_the_four_variables_each_by_itself():
    table = sample_parents(1, 5)
    before = render(table, 64)[0].astype(int)
    rows = np.arange(64)
    sun, bob, ground = rows < 17, (rows > 30) & (rows < 57), rows > 57
    parts = {"angle": bob, "light": sun, "shadow_length": ground, "shadow_position": ground}
    for name, part in parts.items():
        changed = render(table.assign(**{name: table[name] + 2.0}), 64)[0] != before
        assert changed[:, part].any() and not changed[:, ~part].any()


def test_a_blank_picture_shows_nothing():
    found = measure(np.full((2, 3, 32, 32), 255, dtype=np.uint8))
    assert found.isna().all(axis=None) and list(found) == NAMES
    assert list(measure(np.zeros((0, 3, 32, 32), dtype=np.uint8))) == NAMES


def test_the_data_set(data):
    assert load_dataset(data) == DATASET
    for split, count in (("train", 150), ("valid", 20), ("judges", 400), ("test", 30)):
        found = load_split(data, split)
        assert found.images.shape == (count, 3, 32, 32) and found.images.dtype == np.uint8
        assert list(found.attributes) == ["index", *NAMES, *(f"noise_{name}" for name in NAMES)]
        np.testing.assert_array_equal(found.images, render(found.attributes, 32))
        pd.testing.assert_frame_equal(
            abduct(found.attributes), found.attributes.filter(like="noise_"), atol=1e-6, check_dtype=False
        )


def test_sizes_of_splits_change_no_row(data, tmp_path):
    synthesise(settings(train=60, image_size=24), True, None, tmp_path)
    less, more = (load_split(folder, "train").attributes for folder in (tmp_path, data))
    pd.testing.assert_frame_equal(less, more.head(60))
    assert load_dataset(tmp_path).shape == (3, 24, 24)


def test_judges_see_no_confounding_unless_asked(data, tmp_path):
    synthesise(settings(), True, None, tmp_path)
    dealt, confounded = (load_split(folder, "judges").attributes for folder in (data, tmp_path))
    for name in NAMES:
        assert sorted(dealt[name]) == sorted(confounded[name])
    turned = pd.DataFrame({"light": dealt["light"], "where": dealt["shadow_position"]}).corr().iloc[0, 1]
    assert abs(turned) < 0.15 < 0.8 < abs(confounded[["light", "shadow_position"]].corr().iloc[0, 1])


def test_true_counterfactual_images(data):
    test = load_split(data, "test")
    images, known = render_counterfactual(
        data, test.attributes, {name: test.attributes[name] for name in NAMES}
    )
    np.testing.assert_array_equal(images, test.images)
    assert known.all()
    after = counterfactual_parents(test.attributes, {"light": np.full(30, 90.0)})
    images, _ = render_counterfactual(data, test.attributes, after)
    found = measure(images)
    assert np.abs(found["light"] - 90.0).max() < 1.0
    assert np.abs(found["shadow_position"] - after["shadow_position"]).mean() < 0.05
    assert np.abs(found["angle"] - test.attributes["angle"]).mean() < 1.0


def test_the_module_is_a_world():
    for name in ("counterfactual_parents", "render_counterfactual", "measure", "log_density", "synthesise"):
        assert callable(getattr(pendulum, name))

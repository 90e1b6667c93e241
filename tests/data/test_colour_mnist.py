"""The Colour-MNIST world: confounding, noises that are kept, true counterfactuals, and measured colours."""

import colorsys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.errors import UserError
from counterfactory.data import colour_mnist
from counterfactory.data.colour_mnist import (
    CLASSES,
    DATASET,
    abduct,
    counterfactual_parents,
    log_probability,
    measure,
    render,
    render_counterfactual,
    sample_noises,
    synthesise,
)
from counterfactory.data.dataset import SPLITS, load_dataset, load_split
from counterfactory.data.worlds import undetermined, world
from tests.data.samples import strokes

SIZES = {"train": 900, "valid": 40, "judges": 900, "test": 60}


def settings(**changes):
    return SimpleNamespace(**{"seed": 3, "image_size": 32, "confounding": 0.8, **SIZES, **changes})


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A stand-in for MNIST: 100 drawings, repeated."""
    folder = tmp_path_factory.mktemp("mnist") / "digits"
    folder.mkdir()
    np.save(folder / "images.npy", np.tile(strokes(100), (700, 1, 1)))
    np.save(folder / "labels.npy", (np.arange(70_000) % 10).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def data(digits):
    synthesise(settings(), False, digits, digits.parent)
    return digits.parent


def simulate(digit, noises):
    """An independent implementation of the process, row by row: the colour of each digit from its stored noises."""
    rows = zip(digit, noises["noise_own"], noises["noise_colour"], strict=True)
    return np.array([d if own else hue for d, own, hue in rows])


def test_confounding_has_the_declared_strength():
    for strength in (0.0, 0.5, 0.9, 1.0):
        noises = sample_noises(40_000, 1, strength)
        digit = np.arange(40_000) % CLASSES
        colour = simulate(digit, noises)
        expected = strength + (1 - strength) / CLASSES
        assert np.mean(colour == digit) == pytest.approx(expected, abs=0.008)
        # The marginal stays uniform, and other hues are equally likely.
        np.testing.assert_allclose(np.bincount(colour, minlength=CLASSES) / 40_000, 0.1, atol=0.01)
        other = (colour - digit)[colour != digit] % CLASSES
        if strength < 1:
            share = np.bincount(other, minlength=CLASSES)[1:] / len(other)
            np.testing.assert_allclose(share, 1 / 9, atol=4 / np.sqrt(9 * len(other)))
    with pytest.raises(UserError, match="data.confounding is 1.2; choose 0 to 1"):
        sample_noises(10, 1, 1.2)


def test_noises_have_their_laws_and_are_independent():
    noises = sample_noises(20_000, 2, 0.5)
    assert set(noises["noise_own"]) == {0, 1} and set(noises["noise_colour"]) == set(range(CLASSES))
    for name in ("noise_hue", "noise_brightness"):
        assert abs(noises[name].mean()) < 0.03 and abs(noises[name].std() - 1) < 0.03
    assert np.abs(noises.corr().to_numpy() - np.eye(4)).max() < 0.03
    pd.testing.assert_frame_equal(sample_noises(7, 2, 0.5), noises.head(7))
    # Strengths are coupled: a larger confounding changes the noise g only.
    strong = sample_noises(20_000, 2, 0.9)
    assert (strong["noise_own"] >= noises["noise_own"]).all()
    assert strong.drop(columns="noise_own").equals(noises.drop(columns="noise_own"))


def test_splits_are_confounded_but_that_of_the_judges(data):
    assert load_dataset(data) == DATASET
    sources = {}
    for split in SPLITS:
        part = load_split(data, split)
        table = part.attributes
        assert part.images.shape == (SIZES[split], 3, 32, 32)
        np.testing.assert_array_equal(table["digit"], table["source"] % 10)
        np.testing.assert_array_equal(table["colour"], simulate(table["digit"], table))
        share = np.mean(table["colour"] == table["digit"])
        expected = 0.1 if split == "judges" else 0.82
        assert share == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / len(table)))
        sources[split] = set(table["source"])
    assert sum(map(len, sources.values())) == len(set.union(*sources.values()))
    assert min(sources["test"]) >= 60_000 > max(sources["train"] | sources["judges"] | sources["valid"])


def test_a_confounded_judges_split_has_the_same_marginal(digits, data, tmp_path):
    synthesise(settings(train=5, valid=5, test=5), True, digits, tmp_path)
    confounded, independent = (load_split(folder, "judges").attributes for folder in (tmp_path, data))
    np.testing.assert_array_equal(confounded["source"], independent["source"])
    assert sorted(confounded["colour"]) == sorted(independent["colour"])
    assert np.mean(confounded["colour"] == confounded["digit"]) > 0.75


def test_an_image_depends_on_its_digit_and_the_seed_alone(digits, data, tmp_path, monkeypatch):
    monkeypatch.setattr(colour_mnist, "_CHUNK", 7)
    synthesise(settings(train=200, valid=40, judges=900, test=30), False, digits, tmp_path, threads=3)
    many, few = (load_split(folder, "judges") for folder in (data, tmp_path))
    np.testing.assert_array_equal(few.images, many.images)
    few, many = load_split(tmp_path, "train"), load_split(data, "train")
    same = many.attributes["source"].isin(few.attributes["source"])
    np.testing.assert_array_equal(few.images, many.images[same])


def test_null_interventions_are_exact(data):
    split = load_split(data, "test")
    for do in ({}, {"digit": np.full(60, np.nan)}, {name: split.attributes[name] for name in DATASET.names}):
        after = counterfactual_parents(split.attributes, do)
        for name in DATASET.names:
            np.testing.assert_array_equal(after[name], split.attributes[name])
    images, known = render_counterfactual(data, split.attributes, after)
    assert known.all()
    np.testing.assert_array_equal(images, split.images)


def test_counterfactual_colours_equal_the_process_run_again_with_the_kept_noises(data):
    table = load_split(data, "train").attributes
    digit = (table["digit"].to_numpy() + 1 + np.arange(len(table)) % 9) % CLASSES
    after = counterfactual_parents(table, {"digit": digit.astype(float)})
    np.testing.assert_array_equal(after["digit"], digit)
    np.testing.assert_array_equal(after["colour"], simulate(digit, table))
    own = table["noise_own"] == 1
    assert (after["colour"][own] == digit[own]).all()
    np.testing.assert_array_equal(after["colour"][~own], table["colour"][~own])
    # There are images in their own hue by chance, which keep it.
    chance = ~own & (table["colour"] == table["digit"])
    assert chance.any() and (after["colour"][chance] != digit[chance]).all()
    back = counterfactual_parents(table.assign(**after), {"digit": table["digit"]})
    np.testing.assert_array_equal(back["colour"], table["colour"])
    both = counterfactual_parents(table, {"digit": digit, "colour": np.full(len(table), 4.0)})
    assert (both["colour"] == 4).all() and np.array_equal(both["digit"], digit)


def test_colour_does_not_cause_the_digit_and_rows_are_set_one_by_one(data):
    table = load_split(data, "test").attributes.head(3)
    after = counterfactual_parents(table, {"colour": np.array([1.0, np.nan, 9.0])})
    np.testing.assert_array_equal(after["digit"], table["digit"])
    np.testing.assert_array_equal(after["colour"], [1, table["colour"][1], 9])


def test_noises_are_abducted_from_the_variables_alone():
    pairs = {"digit": np.array([3, 3, 0]), "colour": np.array([3, 5, 9])}
    found = abduct(pairs)
    assert found["noise_own"].tolist() == [1, 0, 0] and found["noise_colour"].tolist() == [3, 5, 9]
    after = counterfactual_parents(pairs, {"digit": np.array([7.0, 7.0, 9.0])})
    assert after["colour"].tolist() == [7, 5, 9]


def test_impossible_values_are_refused():
    pairs = {"digit": np.array([3]), "colour": np.array([5])}
    with pytest.raises(UserError, match="do: hue: not a variable; choose from digit, colour"):
        counterfactual_parents(pairs, {"hue": np.array([3.0])})
    with pytest.raises(UserError, match="do: colour must be a class of 0 to 9"):
        counterfactual_parents(pairs, {"colour": np.array([10.0])})
    with pytest.raises(UserError, match="colour: must be a class of 0 to 9"):
        abduct({"digit": np.array([3]), "colour": np.array([2.5])})
    with pytest.raises(UserError, match="noise_own, noise_colour: 1 rows do not generate their colour"):
        abduct({**pairs, "noise_own": np.array([1]), "noise_colour": np.array([5])})


def test_probabilities_sum_to_one_and_are_the_observed_ones():
    digit, colour = (grid.ravel() for grid in np.meshgrid(np.arange(10), np.arange(10)))
    for strength in (0.0, 0.7, 1.0):
        table = log_probability(digit, colour, strength)
        assert np.exp(table.sum(axis=1)).sum() == pytest.approx(1.0)
        assert np.exp(table["colour"])[0] == pytest.approx(strength + (1 - strength) / 10)
    assert np.isneginf(log_probability(np.array([10]), np.array([-1]), 0.7)).all(axis=None)


def test_the_true_image_of_another_colour_is_the_same_handwriting(data):
    split = load_split(data, "test")
    colour = (split.attributes["colour"].to_numpy() + 3) % CLASSES
    after = counterfactual_parents(split.attributes, {"colour": colour.astype(float)})
    images, known = render_counterfactual(data, split.attributes, after)
    assert known.all()
    # The pixels of the digit are the same in every hue.
    np.testing.assert_array_equal(images.max(1) > 20, split.images.max(1) > 20)
    shown, before = measure(images), measure(split.images)
    np.testing.assert_array_equal(shown["colour"], colour)
    turn = (shown["hue"] - before["hue"]) % 360.0
    np.testing.assert_allclose(turn, 108.0, atol=0.8)


def test_the_image_of_another_digit_is_not_determined(data):
    split = load_split(data, "test")
    digit = split.attributes["digit"].to_numpy().copy()
    digit[::2] = (digit[::2] + 1) % CLASSES
    after = counterfactual_parents(split.attributes, {"digit": digit.astype(float)})
    images, known = render_counterfactual(data, split.attributes, after)
    np.testing.assert_array_equal(known, np.arange(60) % 2 == 1)
    assert not images[~known].any()
    np.testing.assert_array_equal(images[known], split.images[known])
    assert undetermined(DATASET) == ("digit",) and world("colour_mnist") is colour_mnist


def test_colours_are_those_of_the_colour_circle():
    grey = np.full((10, 28, 28), 255, np.uint8)
    images = render(grey, np.arange(10), {"noise_hue": np.zeros(10), "noise_brightness": np.full(10, 40.0)})
    for colour, image in enumerate(images):
        expected = 255 * np.array(colorsys.hsv_to_rgb(colour / 10, 1.0, 1.0))
        np.testing.assert_allclose(image[:, 16, 16], expected, atol=0.51)
        assert not image[:, :2].any() and not image[:, :, 30:].any()


@pytest.mark.parametrize("noise", [-40.0, 0.0, 40.0])
def test_measured_colours_are_exact_at_the_ends_of_the_noise(noise):
    colour = np.arange(100) % CLASSES
    noises = {"noise_hue": np.full(100, noise), "noise_brightness": np.full(100, noise)}
    shown = measure(render(strokes(100), colour, noises))
    np.testing.assert_array_equal(shown["colour"], colour)
    np.testing.assert_allclose(shown["hue"], 36 * colour + 12 * np.sign(noise), atol=0.5)
    np.testing.assert_allclose(shown["brightness"], 0.8 + 0.2 * np.sign(noise), atol=0.003)


def test_measurements_of_every_image_are_those_of_the_attributes(data):
    for split in SPLITS:
        part = load_split(data, split)
        shown = measure(part.images)
        np.testing.assert_array_equal(shown["colour"], part.attributes["colour"])
    # A grey haze, as a network leaves it, changes no hue.
    hazy = np.clip(part.images.astype(int) + 9, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(measure(hazy)["colour"], part.attributes["colour"])


def test_an_image_without_colour_has_none():
    black, grey = np.zeros((1, 3, 32, 32), np.uint8), np.full((1, 3, 32, 32), 90, np.uint8)
    shown = measure(np.concatenate([black, grey]))
    assert shown[["colour", "hue"]].isna().all(axis=None)
    assert shown["brightness"].isna().tolist() == [True, False] and shown["area"][1] == 32 * 32
    assert colour_mnist.BLANK["colour"] not in range(CLASSES)
    assert list(measure(black[:0])) == ["colour", "hue", "brightness", "area"]

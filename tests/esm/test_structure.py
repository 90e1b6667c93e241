"""Conditional tables: they show dependences in the data, and their absence in a generator without them."""

import numpy as np
import pandas as pd

from counterfactory.esm.structure import binned_means, conditional_shares


def world(count: int, slope: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=count)
    y = slope * x + 0.1 * rng.normal(size=count)
    return pd.DataFrame({"x": x, "y": y, "a": (x > 0).astype(int), "b": (y > 0).astype(int)})


def test_means_of_an_effect_follow_its_cause_where_it_is_known():
    means = binned_means({"real": world(6000, 2.0), "gan": world(6000, 0.0)}, "x", "y", bins=4)
    real, gan = means["real"], means["gan"]
    assert (real[:, 2] == 1500).all()
    np.testing.assert_allclose(real[:, 1], 2 * real[:, 0], atol=0.02)
    np.testing.assert_allclose(gan[:, 1], 0, atol=0.02)


def test_a_bin_of_few_images_says_nothing():
    few = pd.DataFrame({"x": np.full(5, 9.0), "y": np.zeros(5)})
    means = binned_means({"real": world(100, 1.0), "gan": few}, "x", "y", bins=3)["gan"]
    assert np.isnan(means[:, :2]).all()
    assert means[:, 2].tolist() == [0, 0, 5]


def test_shares_given_an_attribute():
    shares = conditional_shares(world(6000, 2.0), ["a", "b"])
    assert abs(shares.loc["any", "b"] - 0.5) < 0.03
    assert shares.loc["a", "a"] == 1
    assert shares.loc["a", "b"] > 0.95
    nothing = world(100, 1.0).assign(a=0)
    assert conditional_shares(nothing, ["a", "b"]).loc["a"].isna().all()

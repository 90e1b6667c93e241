"""Worlds on toy networks: abducted noises reproduce the image, and an intervention changes its effects only."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.esm.worlds import CausalWorld, ObservedWorld
from counterfactory.models.gan.network import Gan
from counterfactory.scm.model import ParentsSCM
from tests.squares import SQUARES

BIG = {"big": {"of": "size", "above": 2.5}, "wide": {"of": "width", "above": 1.0}}


class Classifier:
    """`big`: the mean is above that of a dark image; the classes follow the first pixels."""

    names, attributes, constant = ("big", "wide"), BIG, {}
    categorical = (SimpleNamespace(name="kind", classes=3),)
    blocks = {"big": slice(0, 1), "wide": slice(1, 2), "kind": slice(2, 5)}

    def logits(self, x):
        flat = x.flatten(1)
        mean = flat.mean(1, keepdim=True)
        return torch.cat([20 * (mean + 0.5), mean, 5 * flat[:, :3]], 1)


@pytest.fixture(scope="module")
def parents() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    size = rng.uniform(1, 4, 80)
    shade = 50 + 40 * size + 20 * rng.normal(size=80)
    return pd.DataFrame({"size": size, "shade": shade, "kind": rng.integers(0, 3, 80)})


@pytest.fixture(scope="module")
def world(parents) -> CausalWorld:
    torch.manual_seed(0)
    network = Gan(SQUARES.shape, SQUARES.width, latent=4, widths=[8], hidden=8).eval().requires_grad_(False)
    scm = ParentsSCM(SQUARES, bins=4, hidden=(8,)).requires_grad_(False)
    for weights in scm.parameters():  # initially, causes have no effect
        weights += 0.2 * torch.randn(weights.shape, dtype=weights.dtype)
    return CausalWorld(scm, network, Classifier(), SQUARES, parents, "cpu")


@pytest.fixture(scope="module")
def abducted(world, parents) -> np.ndarray:
    images = np.random.default_rng(2).integers(0, 255, (80, 1, 6, 6)).astype(np.uint8)
    return world.abduct(images, parents, range(80))


def test_what_is_abducted_gives_the_parents_back(world, parents, abducted):
    found = world.parents(torch.from_numpy(abducted))
    assert (found["kind"] == parents["kind"]).all()
    for name in ("size", "shade"):
        np.testing.assert_allclose(found[name], parents[name], rtol=1e-4)


def test_what_is_set_moves_its_effects_and_nothing_else(world, parents, abducted):
    found = world.parents(torch.from_numpy(abducted), {"size": torch.full((80,), 3.5, dtype=torch.float64)})
    assert (found["size"] == 3.5).all()
    assert (found["kind"] == parents["kind"]).all()
    assert (np.abs(found["shade"] - parents["shade"]) > 1e-3).all()
    found = world.parents(torch.from_numpy(abducted), {"shade": torch.full((80,), 99.0, dtype=torch.float64)})
    np.testing.assert_allclose(found["size"], parents["size"], rtol=1e-4)


def test_noises_are_drawn_from_their_laws_and_a_class_is_one_noise(world):
    rng = np.random.default_rng(0)
    noise = np.stack([world.prior(rng, np.arange(world.dimension)) for _ in range(4000)])
    assert noise.shape[1] == 1 + 1 + 3 + 4
    normal, drawn = noise[:, [0, 1, 5, 6, 7, 8]], noise[:, 2:5]
    assert np.abs(normal.mean(0)).max() < 0.07
    assert np.abs(normal.std(0) - 1).max() < 0.05
    assert np.abs(drawn.mean(0) - 0.5772).max() < 0.08
    keep, _ = world.kernel("sticky", 0.5).draw(world.dimension, [np.random.default_rng(k) for k in range(50)])
    assert (keep[:, 2:5] == keep[:, 2:3]).all()
    assert 0 < keep[:, 0].mean() < 1
    with pytest.raises(UserError, match="choose sticky"):
        world.kernel("autoregressive", 0.5)


def test_an_attribute_is_set_to_a_value_of_that_side(world, parents):
    values = world.act({"big": 1}, range(40))["size"]
    assert (values > 2.5).all()
    assert set(values) <= set(parents["size"])
    assert (world.act({"big": 1}, [7])["size"] == values[7]).all()
    both = world.act({"kind": 2, "size": 1.5}, [0, 1])
    assert {name: values.tolist() for name, values in both.items()} == {"kind": [2, 2], "size": [1.5, 1.5]}
    with pytest.raises(UserError, match="wide: cannot be set"):
        world.act({"wide": 1}, [0])


def test_an_image_is_its_own_noises_alone(world, abducted):
    whole = world.images(abducted)
    assert whole.dtype == np.uint8
    assert (world.images(abducted[:5]) == whole[:5]).all()
    do = {"size": np.linspace(1, 4, 80)}
    assert (world.images(abducted[:5], {"size": do["size"][:5]}) == world.images(abducted, do)[:5]).all()
    assert (world.images(abducted, do) != whole).any()
    facts = world.log_likelihood({"big": 1, "kind": 0})(abducted)
    assert (facts <= 0).all()


@pytest.mark.parametrize(("prior", "encoder"), [("uniform", False), ("normal", True)])
def test_the_noise_of_its_own_image_is_found(prior, encoder):
    torch.manual_seed(1)
    network = Gan((1, 4, 4), 0, latent=3, prior=prior, widths=[8], hidden=8, encoder=encoder)
    world = ObservedWorld(network.eval().requires_grad_(False), Classifier(), "cpu", 150)
    noise = np.stack([world.prior(np.random.default_rng(k), np.arange(3)) for k in range(6)])
    images = world.images(noise)
    again = world.images(world.abduct(images))
    other = world.images(noise[::-1])
    assert np.abs(again.astype(int) - images).mean() < 0.2 * np.abs(other.astype(int) - images).mean()
    if prior == "uniform":
        assert np.abs(world.abduct(images)).max() <= 1

"""Calibration of parents: a known error is removed, null questions stay exact, what is not measured is left alone."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from counterfactory.data.dataset import Dataset, Variable
from counterfactory.methods.dscm import counterfactual_image
from counterfactory.models.image import calibration
from counterfactory.models.image.calibration import MOST, Calibration, fit_calibration
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.nets.latents import Latent, draw_noise

WORLD = Dataset(
    "world",
    (
        Variable("size", "continuous", unit="px", low=2.0, high=6.0),
        Variable("light", "continuous", low=-1.0, high=1.0),
        Variable("kind", "categorical", classes=2),
    ),
    (("size", "light"),),
    (1, 16, 16),
    False,
)
EXPOSED = [1]


def parents_of(count, seed=0):
    """Returns encoded parents: uniform size and light, and a class."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.eye(2)[torch.randint(2, (count,), generator=generator)]
    return torch.cat([2 * torch.rand(count, 2, generator=generator) - 1, kind], 1)


def bias(parents, parents_after):
    """The error of the size of an answer, on the scale of network inputs."""
    changed = (parents[:, 2] != parents_after[:, 2]).float()
    return 0.2 * (parents_after[:, 0] - parents[:, 0]) + changed * (0.1 - 0.05 * parents_after[:, 0])


def test_a_known_error_is_removed():
    fitted, before, after = Calibration(WORLD, EXPOSED), parents_of(800), parents_of(800, seed=1)

    def errors():
        return (fitted(before, after)[:, 0] + bias(before, after) - after[:, 0])[:, None]

    assert errors().abs().mean() > 0.1
    left = fitted.fit(before, after, errors)
    assert left < 0.002
    # The function is learned, not the rows: other questions have a small error as well.
    before, after = parents_of(300, seed=2), parents_of(300, seed=3)
    assert errors().abs().max() < 0.01


def test_only_calibrated_parents_change_and_none_where_no_parent_changes():
    fitted = Calibration(WORLD, EXPOSED)
    fitted.weights.normal_(generator=torch.Generator().manual_seed(0))
    before, after = parents_of(50), parents_of(50, seed=1)
    assert torch.equal(fitted(before, before), before)
    found = fitted(before, after)
    assert torch.equal(found[:, 1:], after[:, 1:])
    assert ((found - after)[:, 0].abs() <= MOST + 1e-6).all() and (found != after).any()
    # The order and the number of the rows do not matter.
    assert torch.equal(fitted(before.flip(0), after.flip(0)).flip(0), found)
    assert_close(fitted(before[:3], after[:3]), found[:3])


def test_an_error_that_the_parents_do_not_move_is_left():
    fitted, before, after = Calibration(WORLD, EXPOSED), parents_of(100), parents_of(100, seed=1)
    fitted.fit(before, after, lambda: bias(before, after)[:, None])
    assert not fitted.weights.any()


def test_what_is_not_measured_is_left_alone():
    fitted, before, after = Calibration(WORLD, EXPOSED), parents_of(100), parents_of(100, seed=1)
    found = fitted.fit(before, after, lambda: torch.full((100, 1), torch.nan))
    assert not fitted.weights.any() and found != found
    some = torch.arange(100) % 3 == 0

    def errors():
        error = fitted(before, after)[:, 0] + bias(before, after) - after[:, 0]
        return torch.where(some, torch.nan, error)[:, None]

    assert fitted.fit(before, after, errors) < 0.005


class Grey(torch.nn.Module):
    """Images of one grey level, which is the size, with the error `bias`; there are no latents."""

    transport = grey_levels = None
    debias = 0.0
    noise_shapes = [(1,)]

    def __init__(self):
        super().__init__()
        self.calibration = Calibration(WORLD, EXPOSED)
        self.factual = None

    def abduct(self, x, parents, noise, temperature=1.0):
        self.factual = parents
        return [Latent(noise[0], (noise[0], noise[0]))]

    def predict(self, z, parents):
        # The answer is right where the parents are factual: the pixel noise is then 0.
        wrong = parents[:, 0] + bias(self.factual, parents)
        return (0.5 * wrong)[:, None, None, None].expand(-1, 1, 4, 4), torch.zeros(len(z[0]), 1, 4, 4)


def test_a_mechanism_is_calibrated_by_measurement(monkeypatch):
    def measure(images):
        level = images.reshape(len(images), -1).mean(1) / 127.5 - 1.0
        # 4 px are the middle of the range of size.
        return pd.DataFrame({"size": 4.0 + 4.0 * level})

    monkeypatch.setattr(calibration, "world", lambda _: SimpleNamespace(measure=measure))
    parents = parents_of(2000)
    images = ((0.5 * parents[:, :1] + 1.0) * 127.5).round().to(torch.uint8)[:, :, None, None]
    images = images.expand(-1, 1, 4, 4).contiguous()
    mechanism = Grey()
    fit_calibration(mechanism, WORLD, images, parents, seed=0)
    before, after = parents_of(300, seed=5), parents_of(300, seed=6)
    inputs = mechanism.calibration(before, after)
    plain = bias(before, after).abs().mean()
    left = (inputs[:, 0] + bias(before, inputs) - after[:, 0]).abs().mean()
    assert left < 0.1 * plain
    weights = mechanism.calibration.weights.clone()
    fit_calibration(mechanism, WORLD, images, parents, seed=0)
    assert torch.equal(mechanism.calibration.weights, weights)


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_null_questions_stay_exact_and_the_weights_hold_the_calibration(name):
    network = {
        "vae": {"channels": 4, "hidden": 8, "latent": 5},
        "hvae": {
            "resolutions": [16, 4, 1],
            "widths": [4, 8, 8],
            "encoder_blocks": [1, 1, 1],
            "decoder_blocks": [1, 1, 1],
            "latents": [0, 2, 2],
        },
    }[name] | {"levels": True, "calibrate": True, "exposure": ["light"]}
    mechanism = build_image_mechanism(name, WORLD, network).eval()
    mechanism.calibration.weights.normal_(generator=torch.Generator().manual_seed(0))
    again = build_image_mechanism(name, WORLD, network)
    again.load_state_dict(mechanism.state_dict())
    assert torch.equal(again.calibration.weights, mechanism.calibration.weights)
    x = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    noise = draw_noise(mechanism.noise_shapes, x, torch.Generator().manual_seed(2))
    before, after = parents_of(5), parents_of(5, seed=1)
    assert_close(counterfactual_image(mechanism, x, before, before, noise), x, atol=1e-4, rtol=0)
    found = counterfactual_image(mechanism, x, before, after, noise)
    mechanism.calibration = None
    assert not torch.equal(counterfactual_image(mechanism, x, before, after, noise), found)

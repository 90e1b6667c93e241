"""Stickiness and the corrections of an image mechanism: grey levels are one noise of the image, kept or redrawn."""

import pytest
import torch
from torch.testing import assert_close

from counterfactory.methods.dscm import counterfactual_image
from counterfactory.methods.stickiness import kept_rows, sticky_copy
from counterfactory.models.image.exposure import fit_exposure, white_level
from counterfactory.models.image.levels import fit_levels
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.nets.latents import draw_noise
from tests.models.test_levels import NETWORK, WORLD, as_bytes, grey, noises_of, parents_of, render

COUNT = 200


@pytest.fixture(scope="module")
def mechanism():
    torch.manual_seed(0)
    model = build_image_mechanism("vae", WORLD, NETWORK | {"calibrate": True}).eval()
    parents = parents_of(600)
    images = as_bytes(render(parents, noises_of(600)))
    fit_exposure(model.head, images, parents)
    fit_levels(model, images, parents)
    model.calibration.weights.copy_(0.1 * torch.randn(model.calibration.weights.shape))
    return model


@pytest.fixture(scope="module")
def asked():
    """Images, their parents, the parents afterwards, and noise."""
    parents = parents_of(COUNT, seed=4)
    x = as_bytes(render(parents, noises_of(COUNT, seed=5))).float() / 127.5 - 1.0
    return x, parents, parents_of(COUNT, seed=6)


def answer(mechanism, asked, stickiness=None, seed=1):
    noise = draw_noise(mechanism.noise_shapes, asked[0], torch.Generator().manual_seed(seed))
    copy = None if stickiness is None else sticky_copy(stickiness, range(COUNT), 0)
    return counterfactual_image(mechanism, *asked, noise, copy=copy)


def plain(mechanism, *arguments):
    """Returns the answers without correction."""
    corrections = mechanism.grey_levels, mechanism.calibration
    mechanism.grey_levels = mechanism.calibration = None
    try:
        return answer(mechanism, *arguments)
    finally:
        mechanism.grey_levels, mechanism.calibration = corrections


def test_the_share_of_kept_noises_is_the_stickiness():
    x = torch.zeros(3_000, 1, 2, 2)
    for stickiness in (0.0, 0.3, 0.8, 1.0):
        kept = kept_rows(sticky_copy(stickiness, range(3_000), 0), "levels", x)
        assert kept.dtype == torch.bool and kept.shape == (3_000,)
        assert float(kept.float().mean()) == pytest.approx(stickiness, abs=0.03)
    # A function of the seed, the step and the name.
    half = sticky_copy(0.5, range(3_000), 0)
    assert torch.equal(kept_rows(half, "levels", x), kept_rows(half, "levels", x))
    others = (kept_rows(half, "other", x), kept_rows(sticky_copy(0.5, range(3_000), 1), "levels", x))
    assert not any(torch.equal(kept_rows(half, "levels", x), other) for other in others)


def test_at_zero_there_is_no_correction_and_the_image_is_forgotten(mechanism, asked):
    found = answer(mechanism, asked, 0.0)
    assert torch.equal(found, plain(mechanism, asked, 0.0))
    x, parents, after = asked
    assert torch.equal(found, answer(mechanism, (x.flip(0), parents.flip(0), after), 0.0))


def test_at_one_nothing_is_redrawn(mechanism, asked):
    assert_close(answer(mechanism, asked, 1.0), answer(mechanism, asked), atol=1e-4, rtol=0)


def test_images_whose_levels_are_kept_have_those_of_the_factual_image(mechanism, asked):
    found, without = answer(mechanism, asked, 0.5), plain(mechanism, asked, 0.5)
    kept = kept_rows(sticky_copy(0.5, range(COUNT), 0), "levels", asked[0])
    assert 60 < kept.sum() < 140
    assert torch.equal(found[~kept], without[~kept])
    white, _ = mechanism.grey_levels.levels(*asked)
    errors = [(white_level(grey(image)) - white).abs()[kept].mean() for image in (found, without)]
    assert errors[0] < 0.2 * errors[1]

"""Published ways of answering and scoring, chosen by options, give the numbers that the originals' code printed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.methods.dscm import Pearl, counterfactual_image
from counterfactory.metrics.cout import area
from counterfactory.nets.likelihood import standardise, unstandardise
from tests.fixtures.originals import Original
from tests.pretrained.test_published_networks import _mechanism


@pytest.mark.parametrize(
    "name", ["hvae_q_correction", "hvae_colour_mnist", "hvae_light_ukbb", "hvae_z_max_res8"]
)
@pytest.mark.parametrize(("latents", "residual"), [(1.0, 1.0), (0.1, 1.0), (0.1, 0.1)])
def test_counterfactuals_of_causal_gen(name, latents, residual):
    original = Original(name)
    given, noise = original.inputs(), original.noise()
    settings = Pearl(latent_temperature=latents, residual_temperature=residual, residual="clipped")
    parts = (given["x"], given["parents"], given["parents_cf"])
    found = counterfactual_image(_mechanism(original), *parts, noise, settings)
    output = f"cf_t{'1' if latents == 1 else latents}_u{residual}"
    assert original.error(output, found) <= 1


@pytest.mark.parametrize(("effect", "output"), [("total", "cf_total"), ("indirect", "cf_indirect")])
def test_mediator_of_the_simple_vae(effect, output):
    original = Original("vae_morphomnist_conditional")
    model, given = _mechanism(original), original.inputs()
    x, parents, after = given["x"], given["parents"], given["parents_cf"]
    with torch.inference_mode():
        [mediator] = model.mediate(
            model.abduct(x, parents, [given["noise_mediator.0"]]), after, 0.65, linear=True
        )
        assert original.error("mediator_t1", mediator) <= 1
        squared = model.mediate(model.abduct(x, parents, [given["noise_mediator.0"]]), after, 0.65)[0]
        assert original.error("mediator_t1", squared) > 100
        # As the notebook does it: the residual is that of other latents than the mediator's.
        latents = model.abduct(x, parents, original.noise())
        residual = standardise(x, *model.predict([latents[0].z], parents), clipped=True)
        target = after if effect == "total" else parents
        found = unstandardise(0.1 * residual, *model.predict([mediator], target), clipped=True)
    assert original.error(output, found) <= 1


@pytest.mark.parametrize(
    ("level", "location", "log_scale", "location_after", "log_scale_after", "noise", "whole", "tenth"),
    [
        (0, -1.4, -2.0, -0.6, -1.5, 0.0, -0.6, -0.6),
        (0, -0.9, -2.0, -0.6, -1.5, -0.7389058, -0.7648722, -0.6164873),
        (255, 1.2, -2.5, 0.4, -2.0, 0.0, 0.4, 0.4),
        (255, 0.8, -2.5, 1.3, -2.0, 2.436499, 1.0, 1.0),
        (128, 1.1, -2.0, 0.9, -1.0, -7.360079, -1.0, 0.6292378),
        (64, -1.1, -1.0, 0.2, -1.0, 1.364471, 0.7019607, 0.2501961),
    ],
)
def test_residual_of_single_pixels(
    level, location, log_scale, location_after, log_scale_after, noise, whole, tenth
):
    x = torch.tensor(level / 127.5 - 1)
    found = standardise(x, torch.tensor(location), torch.tensor(log_scale), clipped=True)
    assert float(found) == pytest.approx(noise, abs=1e-5)
    after = torch.tensor(location_after), torch.tensor(log_scale_after)
    assert float(unstandardise(found, *after, clipped=True)) == pytest.approx(whole, abs=1e-5)
    assert float(unstandardise(0.1 * found, *after, clipped=True)) == pytest.approx(tenth, abs=1e-5)


@pytest.mark.parametrize(
    ("side", "points", "early", "linear", "late"),
    [
        (32, 53, (0.580078125, 0.566015625), (0.0, -0.0147115385), (-0.796875, -0.796875)),
        (64, 52, (0.56953125, 0.56184082), (0.0, -0.00804227941), (-0.791015625, -0.791015625)),
        (128, 52, (0.574804687, 0.558709717), (0.0, -0.0168313419), (-0.798339844, -0.798339844)),
    ],
)
def test_last_portion_of_cout(side, points, early, linear, late):
    """Curves of the probability p of the goal; that of the factual class is 1 - p."""
    steps = np.arange(points)
    curves = {
        "early": (np.where(steps < 10, 0.05, 0.95), early),
        "linear": (0.02 + 0.96 * steps / (points - 1), linear),
        "late": (np.where(steps < points - 1, 0.1, 0.9), late),
    }
    pixels, portion = side * side, max(1, side * side // 50)
    for goal, (published, exact) in curves.values():
        curve = (2 * goal - 1)[:, None]
        assert area(curve, pixels, portion, whole=True)[0] == pytest.approx(published, abs=1e-6)
        assert area(curve, pixels, portion)[0] == pytest.approx(exact, abs=1e-6)


def test_settings_without_the_option_answer_as_before():
    original = Original("vae_morphomnist_exogenous")
    model, given = _mechanism(original), original.inputs()
    old = SimpleNamespace(
        latent_temperature=1.0, residual_temperature=1.0, effect="direct", mediator_weight=0.5
    )
    parts = (given["x"], given["parents"], given["parents_cf"], original.noise())
    assert torch.equal(counterfactual_image(model, *parts, old), counterfactual_image(model, *parts, Pearl()))

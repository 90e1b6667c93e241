"""Published ways of answering and scoring, chosen by options, give the numbers that the originals' code printed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.methods.dscm import Pearl, SecondDraw, counterfactual_image
from counterfactory.metrics.cout import area
from counterfactory.nets.likelihood import LOG_SCALE_FLOOR, standardise, unstandardise
from tests.fixtures.originals import Original, check_value, names, values
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
    original.check(f"cf_t{'1' if latents == 1 else latents}_u{residual}", found)


@pytest.mark.parametrize("name", names("vae_"))
@pytest.mark.parametrize("residual", [1.0, 0.1])
def test_counterfactuals_of_the_simple_vae(name, residual):
    """The published temperature of its latents is 1: its abduction ignores a temperature."""
    original = Original(name)
    model, given = _mechanism(original), original.inputs()
    settings = Pearl(residual_temperature=residual, residual="clipped")
    parts = (given["x"], given["parents"], given["parents_cf"], original.noise())
    original.check(f"cf_u{residual}", counterfactual_image(model, *parts, settings))
    original.check("z_t0.1", model.abduct(*parts[:2], parts[3])[0].z)


CONDITIONAL = ["vae_morphomnist_conditional", "hvae_q_correction_conditional"]


def _noise(original: Original, kind: str) -> list[torch.Tensor]:
    given = original.inputs()
    return [given[name] for name in given if name.startswith(f"{kind}.")]


@pytest.mark.parametrize("name", CONDITIONAL)
@pytest.mark.parametrize("effect", ["total", "indirect"])
def test_effects_through_the_mediator(name, effect):
    """As in causal-gen's notebook: the mediator is drawn anew, the residual is that of the first draw."""
    original = Original(name)
    model, given = _mechanism(original), original.inputs()
    settings = Pearl(
        latent_temperature=0.1 if name.startswith("hvae") else 1.0,
        residual_temperature=0.1,
        effect=effect,
        mediator_weight=0.65,
        residual="clipped",
        mediator_variance="linear",
        mediator_draws="fresh",
    )
    parts = (given["x"], given["parents"], given["parents_cf"], original.noise(), settings)
    second = SecondDraw(_noise(original, "noise_mediator"), _noise(original, "noise_prior"))
    original.check(f"cf_{effect}", counterfactual_image(model, *parts, second=second))
    # With the noise kept, as by default, the answer is another one.
    assert original.error(f"cf_{effect}", counterfactual_image(model, *parts)) > 100


@torch.inference_mode()
def test_mediator_of_the_simple_vae():
    original = Original("vae_morphomnist_conditional")
    model, given = _mechanism(original), original.inputs()
    latents = model.abduct(given["x"], given["parents"], _noise(original, "noise_mediator"))
    original.check("mediator_t1", model.mediate(latents, given["parents_cf"], 0.65, linear=True)[0])
    squared = model.mediate(latents, given["parents_cf"], 0.65)[0]
    assert original.error("mediator_t1", squared) > 100


@torch.inference_mode()
def test_mediator_of_the_hvae():
    """Only the prior of the layers below the first depends on what was drawn above."""
    original = Original("hvae_q_correction_conditional")
    model, given = _mechanism(original), original.inputs()
    latents = model.abduct(given["x"], given["parents"], _noise(original, "noise_mediator"))
    prior = _noise(original, "noise_prior")
    drawn = model.mediate(latents, given["parents_cf"], 0.65, prior_noise=prior)
    kept = model.mediate(latents, given["parents_cf"], 0.65)
    layers = [k for k in range(len(drawn)) if original.has(f"mediator_t1.{k}")]
    assert layers[0] == 0 and len(layers) > 2
    for k in layers:
        original.check(f"mediator_t1.{k}", drawn[k])
    assert torch.equal(kept[0], drawn[0])
    assert all(original.error(f"mediator_t1.{k}", kept[k]) > 100 for k in layers[1:])


@pytest.mark.parametrize("number", range(10))
def test_residual_of_single_pixels(number):
    fixture = values("residual")
    row = fixture["rows"][number]
    x = torch.tensor(row["x"] / 127.5 - 1)
    # The head of a network bounds its log scale; here are the values before that.
    before, after = (
        (torch.tensor(row[f"location{end}"]), torch.tensor(row[f"log_scale{end}"]).clamp(min=LOG_SCALE_FLOOR))
        for end in ("", "_cf")
    )
    noise = standardise(x, *before, clipped=True)
    check_value("residual", "noise", float(noise), row["u"], fixture["tolerance"], max(1.0, abs(row["u"])))
    for name, pixels in (("cf", after), ("null", before)):
        for temperature in (1, 0.1):
            found = float(unstandardise(temperature * noise, *pixels, clipped=True))
            expected = row[f"{name}_t_u_{temperature}"]
            check_value("residual", f"{name}, temperature {temperature}", found, expected, 1e-5, 1.0)


@pytest.mark.parametrize("row", values("cout")["rows"], ids=lambda row: f"{row['side']}-{row['curve']}")
def test_last_portion_of_cout(row):
    """Curves of the probability p of the goal; that of the factual class is 1 - p."""
    points = row["points"]
    steps = np.arange(points)
    goal = {
        "early": np.where(steps < 10, 0.05, 0.95),
        "linear": 0.02 + 0.96 * steps / (points - 1),
        "late": np.where(steps < points - 1, 0.1, 0.9),
    }[row["curve"]]
    pixels, curve = row["side"] ** 2, (2 * goal - 1)[:, None]
    found = area(curve, pixels, row["portion"], whole=True)[0]
    check_value("cout", f"{row['curve']}, {row['side']} px", found, row["value"], 1e-6, 1.0)
    assert area(curve, pixels, row["portion"])[0] == pytest.approx(row["exact_trapezoid"], abs=1e-6)


def test_settings_without_the_option_answer_as_before():
    original = Original("vae_morphomnist_exogenous")
    model, given = _mechanism(original), original.inputs()
    old = SimpleNamespace(
        latent_temperature=1.0, residual_temperature=1.0, effect="direct", mediator_weight=0.5
    )
    parts = (given["x"], given["parents"], given["parents_cf"], original.noise())
    assert torch.equal(counterfactual_image(model, *parts, old), counterfactual_image(model, *parts, Pearl()))

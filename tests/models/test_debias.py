"""Bias of abducted latents: a known bias is reduced, null questions stay exact, images do not influence each other."""

import pytest
import torch
from torch.testing import assert_close

from counterfactory.config import load_settings
from counterfactory.core.errors import UserError
from counterfactory.data.dataset import Dataset, Variable
from counterfactory.methods.dscm import counterfactual_image
from counterfactory.models.image.debias import abduct_latents
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.models.image.transport import own_noise
from counterfactory.nets.latents import Latent, draw_noise

TOY = Dataset(
    "toy",
    (Variable("size", "continuous", low=-1.0, high=1.0), Variable("kind", "categorical", classes=2)),
    (),
    (1, 16, 16),
    False,
)
NETWORKS = {
    "vae": {"channels": 4, "hidden": 8, "latent": 5},
    "hvae": {
        "resolutions": [16, 4, 1],
        "widths": [4, 8, 8],
        "encoder_blocks": [1, 1, 1],
        "decoder_blocks": [1, 1, 1],
        "latents": [0, 2, 3],
        "patch": 1,
    },
}


class Shrinking:
    """An image is its latent, (B, 1); the encoder returns 1 - `shrinkage` of it, plus the noise."""

    def __init__(self, shrinkage, debias):
        self.shrinkage, self.debias = shrinkage, debias

    def abduct(self, x, parents, noise, temperature=1.0):
        zero = torch.zeros_like(x)
        return [Latent((1 - self.shrinkage) * x + temperature * noise[0], (zero, zero))]

    def generate(self, parents, noise):
        return noise[0], torch.zeros_like(noise[0])

    def place(self, parents, noise):
        zero = torch.zeros_like(noise[0])
        return [Latent(noise[0], (zero, zero))]


def parents_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    kind = torch.eye(2)[torch.randint(2, (count,), generator=generator)]
    return torch.cat([2 * torch.rand(count, 1, generator=generator) - 1, kind], 1)


def built(name, **network):
    torch.manual_seed(0)
    model = build_image_mechanism(name, TOY, NETWORKS[name] | network).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return model


def images_of(count):
    return (
        torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(1)).round(decimals=2) * 1.6 - 0.8
    )


@pytest.mark.parametrize("shrinkage", [-0.1, 0.2])
def test_the_whole_correction_leaves_the_square_of_a_proportional_bias(shrinkage):
    # u = x (1 - s) and its image abducts to u (1 - s), so that the corrected one is u (1 + s) = x (1 - s^2).
    x, none = torch.linspace(-0.8, 0.8, 9)[:, None], [torch.zeros(9, 1)]
    for share, left in ((0.0, shrinkage), (1.0, shrinkage**2), (0.5, (shrinkage + shrinkage**2) / 2)):
        [latent] = abduct_latents(Shrinking(shrinkage, share), x, x, none)
        assert_close(latent.z, (1 - left) * x)


def test_an_unbiased_encoder_is_left_alone_and_a_draw_is_reduced():
    x, noise = torch.linspace(-0.5, 0.5, 9)[:, None], [0.1 * torch.randn(9, 1)]
    [latent] = abduct_latents(Shrinking(0.0, 0.5), x, x, [torch.zeros(9, 1)])
    assert_close(latent.z, x)
    # With the same draw in both abductions, half of it is taken for a bias and removed.
    [latent] = abduct_latents(Shrinking(0.0, 0.5), x, x, noise)
    assert_close(latent.z, x + 0.5 * noise[0])


def test_the_simulated_image_is_within_the_range_of_images():
    x = torch.tensor([[1.0]])
    [latent] = abduct_latents(Shrinking(-0.5, 1.0), x, x, [torch.zeros(1, 1)])
    # 1.5 is abducted; its image is clipped to 1, which abducts to 1.5 again.
    assert_close(latent.z, torch.tensor([[1.5]]))


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_latents_are_placed_where_their_noises_say(name):
    model, parents = built(name), parents_of(6)
    noise = draw_noise(model.noise_shapes, parents, torch.Generator().manual_seed(2))
    placed = model.place(parents, noise)
    for given, found in zip(noise, own_noise(placed), strict=True):
        assert_close(found, given, atol=1e-5, rtol=1e-5)
    again = model.predict([latent.z for latent in placed], parents)
    for one, other in zip(again, model.generate(parents, noise), strict=True):
        assert_close(one, other)
    latents = model.abduct(images_of(6), parents, noise)
    for one, other in zip(latents, model.place(parents, own_noise(latents)), strict=True):
        assert_close(one.z, other.z, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["vae", "hvae"])
@torch.no_grad()
def test_the_bias_of_a_network_is_that_of_abducting_from_its_own_prediction(name):
    model, parents, x = built(name, debias=0.25), parents_of(8), images_of(8)
    noise = draw_noise(model.noise_shapes, parents, torch.Generator().manual_seed(2))
    first = model.abduct(x, parents, noise, 0.1)
    simulated = model.predict([latent.z for latent in first], parents)[0].clamp(-1, 1)
    again = own_noise(model.abduct(simulated, parents, noise, 0.1))
    found = own_noise(abduct_latents(model, x, parents, noise, 0.1))
    for u, v, corrected in zip(own_noise(first), again, found, strict=True):
        assert_close(corrected, 1.25 * u - 0.25 * v, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_null_questions_stay_exact_and_images_do_not_influence_each_other(name):
    model, parents, after, x = built(name, debias=0.5), parents_of(6), parents_of(6, seed=3), images_of(6)
    noise = draw_noise(model.noise_shapes, parents, torch.Generator().manual_seed(2))
    assert_close(counterfactual_image(model, x, parents, parents, noise), x, atol=1e-5, rtol=0)
    found = counterfactual_image(model, x, parents, after, noise)
    alone = counterfactual_image(model, x[2:3], parents[2:3], after[2:3], [layer[2:3] for layer in noise])
    assert_close(found[2:3], alone, atol=1e-5, rtol=1e-5)
    model.debias = 0.0
    assert not torch.allclose(counterfactual_image(model, x, parents, after, noise), found, atol=1e-4)


def test_the_share_is_half_where_the_prior_is_exogenous_and_models_are_trained():
    models = load_settings({}).models
    assert models.vae.network.debias == models.hvae.network.debias == 0.5
    conditional = load_settings({"models": {"vae": {"network": {"prior": "conditional"}}}}).models
    assert (conditional.vae.network.debias, conditional.hvae.network.debias) == (0.0, 0.5)
    chosen = load_settings({"models": {"hvae": {"network": {"debias": 1}}}}).models
    assert (chosen.vae.network.debias, chosen.hvae.network.debias) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (
            {"debias": 0.5, "prior": "conditional"},
            "models.vae.network.debias is 0.5, which requires models.vae",
        ),
        ({"debias": 1.5}, "models.vae.network.debias"),
        ({"debias": -0.1}, "models.vae.network.debias"),
    ],
)
def test_a_share_has_its_conditions(network, named):
    with pytest.raises(UserError, match=named):
        load_settings({"models": {"vae": {"network": network}}})

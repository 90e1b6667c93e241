"""Centring of latents: no linear dependence on the parents remains, the ELBO stays one, and nothing else changes."""

import pytest
import torch
from torch.testing import assert_close

from counterfactory.core.errors import UserError
from counterfactory.data.dataset import Dataset, Variable
from counterfactory.methods.dscm import counterfactual_image
from counterfactory.models.image.centring import RATE, RIDGE, Centring
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.nets.latents import draw_noise

TOY = Dataset(
    "toy",
    (Variable("size", "continuous", low=-1.0, high=1.0), Variable("digit", "categorical", classes=3)),
    (),
    (1, 16, 16),
    False,
)
NETWORKS = {
    "vae": {"channels": 4, "hidden": 8, "latent": 5},
    "hvae": {
        "resolutions": [8, 4, 1],
        "widths": [8, 8, 8],
        "encoder_blocks": [1, 1, 1],
        "decoder_blocks": [1, 1, 1],
        "latents": [0, 2, 3],
        "bottleneck": 1,
        "block": "light",
        "patch": 2,
    },
}


def parents_of(count, generator):
    size = torch.rand(count, 1, generator=generator) * 2 - 1
    classes = torch.randint(3, (count,), generator=generator)
    return torch.cat([size, torch.eye(3)[classes]], 1)


def filled(shapes, batches, locations, generator, size=128):
    """Returns a centring after so many batches, with locations `locations(parents)` under a standard normal prior."""
    centring = Centring(4, shapes)
    for _ in range(batches):
        parents = parents_of(size, generator)
        for layer, shape in enumerate(shapes):
            m = locations(parents, layer).view(size, *shape)
            centring(layer, (m, torch.zeros_like(m)), (torch.zeros_like(m), torch.zeros_like(m)), parents)
    return centring.eval()


def test_the_regression_on_the_parents_is_removed():
    generator = torch.Generator().manual_seed(0)
    slopes = [torch.randn(4, 6, generator=generator), torch.randn(4, 2, generator=generator)]

    def locations(parents, layer):
        noise = torch.randn(len(parents), slopes[layer].shape[1], generator=generator)
        return 1.5 + parents @ slopes[layer] + noise

    centring = filled([(6,), (2, 1, 1)], 300, locations, generator)
    parents = parents_of(20_000, generator)
    for layer, shape in enumerate([(6,), (2, 1, 1)]):
        m = locations(parents, layer)
        zero = torch.zeros(len(m), *shape)
        centred, _ = centring(layer, (m.view_as(zero), zero), (zero, zero), parents)
        centred = centred.flatten(1)
        # Means of the classes and the slope on the size; before, they differ by up to 3.
        for column in range(1, 4):
            rows = parents[:, column] == 1
            assert (centred[rows].mean(0) - centred.mean(0)).abs().max() < 0.06
        assert (parents[:, :1] * (centred - centred.mean(0))).mean(0).abs().max() < 0.03
        # The mean over all classes, and the variance within them, are kept.
        assert_close(centred.mean(0), m.mean(0), atol=0.05, rtol=0)
        assert_close(
            (centred - m).T.cov().trace(), (parents @ slopes[layer]).T.cov().trace(), rtol=0.1, atol=0
        )


def test_the_units_are_those_of_the_prior():
    generator = torch.Generator().manual_seed(1)
    centring = filled([(3,)], 50, lambda parents, layer: parents @ torch.ones(4, 3), generator)
    parents = parents_of(8, generator)
    m, prior = torch.randn(8, 3), (torch.full((8, 3), 2.0), torch.full((8, 3), 1.5))
    zero = torch.zeros(8, 3)
    shift = centring(0, (m, zero), (zero, zero), parents)[0] - m
    scaled, log_scale = centring(0, (m, zero), prior, parents)
    assert_close(scaled - m, shift * torch.exp(torch.tensor(1.5)))
    assert_close(log_scale, zero)


def test_a_rare_class_is_shifted_less():
    """A class with a share of p has a shift p (1 - p) / (p (1 - p) + ridge) times its difference."""
    centring, share = Centring(1, [(1,)]), 0.01
    parents = (torch.arange(10_000) < 10_000 * share).float()[:, None]
    centring.update(0, 5.0 * parents, parents)
    variance = share * (1 - share)
    assert_close(centring.slope0.item(), 5.0 * variance / (variance + RIDGE), rtol=1e-3, atol=0)
    assert_close(centring.weight.item(), RATE)


def test_moments_change_in_training_only_and_survive_a_batch_that_is_not_finite():
    generator = torch.Generator().manual_seed(2)
    centring = filled([(3,)], 20, lambda parents, layer: parents @ torch.ones(4, 3), generator)
    before = {name: value.clone() for name, value in centring.state_dict().items()}
    parents, zero = parents_of(8, generator), torch.zeros(8, 3)
    centring(0, (torch.randn(8, 3), zero), (zero, zero), parents)
    centring.train()
    with torch.no_grad():
        centring(0, (torch.randn(8, 3), zero), (zero, zero), parents)
    assert_close(centring.state_dict(), before)
    centring(0, (torch.full((8, 3), torch.nan), zero), (zero, zero), parents)
    assert all(torch.isfinite(value).all() for value in centring.state_dict().values())


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_pass_and_null_interventions_are_exact(name):
    torch.manual_seed(0)
    model = build_image_mechanism(name, TOY, {**NETWORKS[name], "centred": True})
    generator = torch.Generator().manual_seed(3)
    x, parents = torch.rand(16, 1, 16, 16, generator=generator) * 2 - 1, parents_of(16, generator)
    nll, kl, _ = model.elbo(x, parents, draw_noise(model.noise_shapes, x, generator))
    (nll + kl).backward()
    assert float(model.centring.weight) == pytest.approx(RATE)
    assert any(value.abs().max() > 0 for key, value in model.centring.state_dict().items() if "slope" in key)
    model.eval()
    noise = draw_noise(model.noise_shapes, x, generator)
    assert_close(counterfactual_image(model, x, parents, parents, noise), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_encoder_cannot_write_the_class_into_the_mean_of_the_latents(name):
    """The centred posterior is the same for all constants that depend linearly on the parents."""
    torch.manual_seed(0)
    model = build_image_mechanism(name, TOY, {**NETWORKS[name], "centred": True})
    generator = torch.Generator().manual_seed(4)
    for _ in range(250):
        x, parents = torch.zeros(64, 1, 16, 16), parents_of(64, generator)
        model.abduct(x, parents, draw_noise(model.noise_shapes, x, generator))
    model.eval()
    x, classes = torch.zeros(3, 1, 16, 16), torch.cat([torch.zeros(3, 1), torch.eye(3)], 1)
    with torch.no_grad():
        latents = model.abduct(x, classes, [torch.zeros(3, *shape) for shape in model.noise_shapes])
        free = build_image_mechanism(name, TOY, NETWORKS[name]).eval()
        free.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("centring")})
        before = free.abduct(x, classes, [torch.zeros(3, *shape) for shape in free.noise_shapes])
    # The image says nothing here, so all that differs between the rows is what the encoder read from the parents.
    assert latents[0].z.flatten(1).std(0).mean() < 0.2 * before[0].z.flatten(1).std(0).mean()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_conditional_prior_is_refused(name):
    with pytest.raises(UserError, match=f"{name}.network: centred is true, which requires prior: exogenous"):
        build_image_mechanism(name, TOY, {**NETWORKS[name], "centred": True, "prior": "conditional"})
